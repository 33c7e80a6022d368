"""Families of traces that come to rest below their limit, or stay what they are."""

import math
import random
from bisect import bisect_right

from forecast_growing import seconds
from forecast_traces import Family, Shape

HOUR = 3600.0


def load_then_flat(rng: random.Random) -> Shape:
    """One large read, then work on it."""
    low = rng.uniform(0.05, 0.4)
    high = low + rng.uniform(0.1, 0.9 - low)
    at, length = seconds(rng, 5.0, 900.0), seconds(rng, 2.0, 400.0)
    return Shape(HOUR, lambda t: low + (high - low) * min(1.0, max(0.0, t - at) / length))


def loads(rng: random.Random) -> Shape:
    """Some reads, one after another, with work between."""
    count = rng.randint(2, 4)
    low, high = rng.uniform(0.05, 0.2), rng.uniform(0.4, 0.85)
    at = sorted(rng.uniform(5.0, 3000.0) for _ in range(count))
    length = [seconds(rng, 1.0, 60.0) for _ in at]
    share = [rng.uniform(0.5, 1.5) for _ in at]
    scale = (high - low) / sum(share)

    def level(t: float) -> float:
        parts = zip(at, length, share, strict=True)
        return low + scale * sum(s * min(1.0, max(0.0, t - a) / n) for a, n, s in parts)

    return Shape(HOUR, level)


def batch_peaks(rng: random.Random) -> Shape:
    """Bursts of random height and length that return."""
    low = rng.uniform(0.05, 0.4)
    most = rng.uniform(0.2, 0.9 - low)
    bursts = []
    t = rng.uniform(10.0, 300.0)
    while t < HOUR:
        up, hold, down = seconds(rng, 1, 40), seconds(rng, 1, 60), seconds(rng, 0.5, 20)
        bursts.append((t, up, hold, down, most * rng.uniform(0.3, 1.0)))
        t += up + hold + down + seconds(rng, 10.0, 900.0)

    def level(t: float) -> float:
        for at, up, hold, down, height in bursts:
            if at <= t < at + up + hold + down:
                since = t - at
                return low + height * min(since / up, 1.0, (up + hold + down - since) / down)
        return low

    return Shape(HOUR, level)


def warm_up(rng: random.Random) -> Shape:
    """Caches that fill, ever slower."""
    low, high = rng.uniform(0.05, 0.3), rng.uniform(0.4, 0.9)
    at, tau = seconds(rng, 5.0, 300.0), seconds(rng, 5.0, 900.0)
    return Shape(
        HOUR, lambda t: low + (high - low) * -math.expm1(-max(0.0, t - at) / tau), noisy=True
    )


def steps(rng: random.Random) -> Shape:
    """One to three jumps, up or down."""
    at = sorted(rng.uniform(10.0, HOUR) for _ in range(rng.randint(1, 3)))
    levels = [rng.uniform(0.05, 0.85) for _ in range(len(at) + 1)]
    return Shape(HOUR, lambda t: levels[bisect_right(at, t)])


def cache_and_reclaim(rng: random.Random) -> Shape:
    """Rises like a page cache for minutes to an hour, and is taken back; not always as far."""
    low, high = rng.uniform(0.05, 0.4), rng.uniform(0.6, 0.88)
    at = [0.0]
    tops = []
    while at[-1] < HOUR:
        at.append(at[-1] + seconds(rng, 120.0, 2400.0))
        tops.append(high * rng.uniform(0.95, 1.0))

    def level(t: float) -> float:
        k = bisect_right(at, t) - 1
        return low + (tops[k] - low) * (t - at[k]) / (at[k + 1] - at[k])

    return Shape(HOUR, level)


def load_and_release(rng: random.Random) -> Shape:
    """Read, work, delete; then the next, with the same script or another."""
    low = rng.uniform(0.05, 0.2)
    turns = []
    t = rng.uniform(5.0, 120.0)
    while t < HOUR:
        up, hold = seconds(rng, 3.0, 120.0), seconds(rng, 10.0, 600.0)
        turns.append((t, up, hold, rng.uniform(0.2, 0.85) - low))
        t += up + hold + seconds(rng, 5.0, 300.0)

    def level(t: float) -> float:
        for at, up, hold, height in turns:
            if at <= t < at + up + hold:
                return low + height * min(1.0, (t - at) / up)
        return low

    return Shape(HOUR, level)


def sawtooth(rng: random.Random) -> Shape:
    """Garbage collection, the same each time but for some jitter; slow or fast, small or large."""
    period = seconds(rng, 5.0, 1200.0)
    low = rng.uniform(0.05, 0.6)
    swing = rng.uniform(0.02, min(0.8, 0.88 - low))
    fall = rng.choice((0.02, 0.1, 0.5, 0.9))
    wobble = rng.choice((0.0, 0.0, 0.03))
    phase0 = rng.random()
    heights = [swing * (1 + wobble * rng.gauss(0, 1)) for _ in range(int(HOUR / period) + 3)]

    def level(t: float) -> float:
        cycle, phase = divmod(t / period + phase0, 1.0)
        tooth = phase / (1 - fall) if phase < 1 - fall else (1 - phase) / fall
        return low + min(heights[int(cycle)], 0.93 - low) * tooth

    # Until the end of its first rise nobody can tell it from growth, nor before the next sample.
    return Shape(HOUR, level, onset=(1 - phase0 + (phase0 > 1 - fall)) * period + 2.0)


def wave(rng: random.Random) -> Shape:
    """A smooth swing."""
    period = seconds(rng, 8.0, 1200.0)
    low = rng.uniform(0.05, 0.6)
    swing = rng.uniform(0.02, min(0.8, 0.88 - low)) / 2
    phase0 = rng.uniform(0, 2 * math.pi)
    return Shape(
        HOUR,
        lambda t: low + swing * (1 - math.cos(2 * math.pi * t / period + phase0)),
        onset=period,
    )


def noise(rng: random.Random) -> Shape:
    """White noise about a level."""
    level, sigma = rng.uniform(0.05, 0.85), rng.choice((0.0, 1e-4, 1e-3, 0.01, 0.03))
    return Shape(HOUR, lambda _: min(rng.gauss(level, sigma), 0.97), noisy=False)


def wander(rng: random.Random) -> Shape:
    """A random walk that is drawn back to its mean."""
    mean = rng.uniform(0.1, 0.8)
    sigma = rng.uniform(0.02, 1.0) * (0.95 - mean) / 4.5
    tau = seconds(rng, 10.0, 900.0)
    now, last = mean, 0.0

    def level(t: float) -> float:
        nonlocal now, last
        keep = math.exp(-(t - last) / tau)
        now = mean + (now - mean) * keep + rng.gauss(0, sigma) * math.sqrt(1 - keep * keep)
        last = t
        return min(now, 0.97)

    return Shape(HOUR, level)


def flat(rng: random.Random) -> Shape:
    """Nothing happens."""
    level = rng.uniform(0.05, 0.97)
    return Shape(HOUR, lambda _: level)


def settled(rng: random.Random) -> Shape:
    """What follows a load, from twenty seconds after it: flat, but never quite still."""
    low, high = rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.9)
    at, length = seconds(rng, 3.0, 600.0), seconds(rng, 2.0, 120.0)
    noise = seconds(rng, 1e-5, 2e-3)

    def level(t: float) -> float:
        loaded = low + (high - low) * min(1.0, max(0.0, t - at) / length)
        return loaded + rng.gauss(0.0, noise)

    return Shape(HOUR / 3, level, onset=at + length + 20.0, noisy=False)


def steady_epochs(rng: random.Random) -> Shape:
    """A training loop that gives back all it takes."""
    low = rng.uniform(0.05, 0.5)
    period = seconds(rng, 10.0, 600.0)
    working = rng.uniform(0.05, 0.88 - low)
    busy, up = rng.uniform(0.3, 0.9), rng.uniform(0.02, 0.3)

    def level(t: float) -> float:
        phase = t / period % 1.0
        return low + (working * min(1.0, phase / up) if phase < busy else 0.0)

    return Shape(HOUR, level, onset=period)


BENIGN: dict[str, Family] = {
    "load_then_flat": load_then_flat,
    "loads": loads,
    "batch_peaks": batch_peaks,
    "warm_up": warm_up,
    "steps": steps,
    "cache_and_reclaim": cache_and_reclaim,
    "load_and_release": load_and_release,
}
STATIONARY: dict[str, Family] = {
    "sawtooth": sawtooth,
    "wave": wave,
    "noise": noise,
    "wander": wander,
    "flat": flat,
    "settled": settled,
    "steady_epochs": steady_epochs,
}
