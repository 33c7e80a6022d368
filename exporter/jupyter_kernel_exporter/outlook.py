"""Samples -> how long the memory of each kernel will last: which numbers a forecast is fed with.

A kernel that has its cgroup to itself is forecast by what counts against that cgroup's limit:
linux counts shared memory and files on tmpfs there, and leaves out page cache that can be dropped,
such as that of a memory-mapped array. Where several kernels share a limit, each is forecast by its
own anonymous memory against what all of them have left, so that who grows is named, and who just
sits beside is not. RLIMIT_AS limits address space, whatever is in it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.forecast import MemoryForecast
from jupyter_kernel_exporter.model import MemoryLimit, ProcessId, Sample, Scope

SAME_BYTES = 64 << 10
"""A change below this is no news."""
REPEAT_SECONDS = 10.0
"""An unchanged number is told to the forecast so often: an idle kernel costs next to nothing."""


class Series(NamedTuple):
    """What is observed of one kernel at one moment."""

    name: str
    """A series of another name has nothing to do with the one before."""
    used_bytes: int
    limit_bytes: int
    """What the same number may grow to."""


@dataclass(slots=True)
class _Outlook:
    name: str
    forecast: MemoryForecast = field(default_factory=MemoryForecast)
    used_bytes: int = -1
    told_at: float = -math.inf
    seconds: float = math.inf


@dataclass(slots=True)
class Outlooks:
    """The forecasts of all kernels. Not thread-safe."""

    _outlooks: dict[ProcessId, _Outlook] = field(default_factory=dict)

    def update(self, samples: Mapping[ProcessId, Sample], now: float) -> dict[ProcessId, float]:
        """Seconds until the memory of each kernel is used up, ``inf`` if nothing points that way.

        ``now`` is of a clock that never jumps. Kernels without any known limit are left out.
        """
        # Kernels of one cgroup mostly have the very same limits: those are looked at once.
        number = Counter(id(sample.limits) for sample in samples.values())
        distinct = {id(sample.limits): sample.limits for sample in samples.values()}
        sharers: Counter[str] = Counter()
        for key, limits in distinct.items():
            for limit in limits:
                if limit.place:
                    sharers[limit.place] += number[key]
        tightest = {key: find_tightest(limits) for key, limits in distinct.items()}
        found = {}
        for process, sample in samples.items():
            series = choose(sample, tightest[id(sample.limits)], sharers)
            if series is not None:
                found[process] = self._look(process, series, now)
        self._forget_all_but(found)
        return found

    def _look(self, process: ProcessId, series: Series, now: float) -> float:
        outlook = self._outlooks.get(process)
        if outlook is None or outlook.name != series.name:
            outlook = self._outlooks[process] = _Outlook(series.name)
        same = abs(series.used_bytes - outlook.used_bytes) < SAME_BYTES
        if same and now - outlook.told_at < REPEAT_SECONDS and outlook.seconds == math.inf:
            return math.inf
        outlook.forecast.observe(now, series.used_bytes)
        outlook.used_bytes, outlook.told_at = series.used_bytes, now
        outlook.seconds = outlook.forecast.seconds_to_exhaustion(series.limit_bytes)
        return outlook.seconds

    def _forget_all_but(self, alive: Iterable[ProcessId]) -> None:
        for gone in self._outlooks.keys() - set(alive):
            del self._outlooks[gone]


def find_tightest(limits: Iterable[MemoryLimit]) -> MemoryLimit | None:
    """The limit that would strike first."""
    return min(limits, key=_headroom, default=None)


def choose(
    sample: Sample, tightest: MemoryLimit | None, sharers: Mapping[str, int]
) -> Series | None:
    """What to observe of a kernel: what counts against its ``tightest`` limit.

    ``sharers`` says how many kernels live below each cgroup that has a limit.
    """
    if tightest is None:
        return None
    alone = tightest.scope is Scope.CGROUP and sharers.get(tightest.place, 0) <= 1
    if alone or tightest.scope is Scope.RLIMIT:
        used = tightest.limit_bytes - tightest.headroom_bytes
        return Series(f"{tightest.scope} {tightest.place}", used, tightest.limit_bytes)
    own = sample.anonymous_bytes
    return Series("own", own, own + tightest.headroom_bytes)


def _headroom(limit: MemoryLimit) -> int:
    return limit.headroom_bytes
