"""Made-up memory traces, labelled: what a forecast has to see, and what must leave it quiet.

A trace is drawn from a family (``forecast_growing``, ``forecast_steady``) and a seed: the same seed
gives the same trace. Shapes are fractions of the limit over time; here they become bytes, seen at
about one sample a second with jitter, gaps, and the noise that real kernels show.
"""

import math
import random
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

MIB = 1024**2
LIMITS = tuple(MIB * n for n in (256, 512, 1024, 2048, 4096, 8192, 16384, 65536))
PAGE = 4096


class Label(StrEnum):
    """What is right to say about a trace."""

    EXHAUSTING = "exhausting"
    """It ends at its limit, and somebody has to be told before."""
    BENIGN = "benign"
    """It comes to rest below its limit, or returns."""
    STATIONARY = "stationary"
    """It stays what it is; the same again and again."""


class Shape(NamedTuple):
    """A family's drawing: use as a fraction of the limit."""

    duration: float
    """Seconds."""
    level: Callable[[float], float]
    """Asked with times that only go up."""
    onset: float = 0.0
    """Since when it grows towards its end, or since when it is stationary, seconds."""
    noisy: bool = True
    """Whether noise may be laid over it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Times in seconds, use in bytes."""

    name: str
    label: Label
    limit: float
    times: "array[float]"
    used: "array[float]"
    onset: float
    """Growth to the end (or the stationary part) begins here; what is before is its past."""
    ends: float
    """When the limit is reached, or when the trace stops."""

    @property
    def lead_wanted(self) -> float:
        """Seconds before the end when it has to be known: 60, or 40 % of half full to full."""
        half = self.onset
        for t, used in zip(self.times, self.used, strict=True):
            if t >= self.onset and used >= self.limit / 2:
                half = t
                break
        return min(60.0, 0.4 * (self.ends - half))


Family = Callable[[random.Random], Shape]


def draw(name: str, label: Label, family: Family, seed: int) -> Trace:
    """The trace of a family and a seed."""
    rng = random.Random(f"{name}/{seed}")
    limit = float(rng.choice(LIMITS))
    shape = family(rng)
    noise = rng.choice((0.0, 0.0, 1e-5, 2e-4, 2e-3)) if shape.noisy else 0.0
    jitter = rng.choice((0.0, 0.02, 0.1, 0.3))
    gap_every = rng.choice((math.inf, math.inf, 1200.0, 300.0))
    samples: list[tuple[float, float]] = []
    t, ends = rng.random(), shape.duration
    while t < shape.duration:
        level = shape.level(t)
        if level >= 1.0:
            ends = t
            break
        level = min(max(level + rng.gauss(0.0, noise), 0.001), 0.9995)
        samples.append((t, float(int(level * limit / PAGE) * PAGE)))
        t += 1.0 + jitter * (rng.random() - 0.5)
    # Nobody sees what is not looked at: no gap hides the last minutes of growth.
    safe = ends - 180.0 if label is Label.EXHAUSTING else ends
    gaps = list(draw_gaps(rng, gap_every, safe))
    seen = [(t, used) for t, used in samples if not any(a <= t < b for a, b in gaps)]
    return Trace(
        f"{name}/{seed}",
        label,
        limit,
        array("d", (t for t, _ in seen)),
        array("d", (used for _, used in seen)),
        shape.onset,
        ends,
    )


def draw_gaps(rng: random.Random, every: float, until: float) -> Iterator[tuple[float, float]]:
    """Times of 5 to 60 s in which nobody looks."""
    start = rng.expovariate(1.0 / every) if every < math.inf else math.inf
    while start + 60.0 < until:
        end = start + rng.uniform(5.0, 60.0)
        yield start, end
        start = end + rng.expovariate(1.0 / every)


def read_recorded(path: Path) -> Trace:
    """A trace that was recorded from a real kernel (``record_traces.py``); every second sample."""
    lines = path.read_text().splitlines()
    facts = dict(word.split("=") for word in lines[0].lstrip("# ").split())
    limit = float(facts["limit_bytes"])
    times: array[float] = array("d")
    used: array[float] = array("d")
    ends = 0.0
    for line in lines[2:]:
        seconds, counted_kib, _ = line.split(",")
        ends = float(seconds)
        if int(counted_kib) * 1024 >= limit:
            break
        if not times or ends - times[-1] > 0.8:
            times.append(ends)
            used.append(int(counted_kib) * 1024.0)
    return Trace(path.stem, Label(facts["label"]), limit, times, used, 0.0, ends)
