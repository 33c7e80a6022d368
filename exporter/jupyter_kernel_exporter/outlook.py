"""Looks -> how long the memory of each kernel will last: which numbers a forecast is fed with.

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
from jupyter_kernel_exporter.model import Look, MemoryLimit, ProcessId, Scope, find_tightest

SAME_BYTES = 64 << 10
"""A change below this is no news."""
REPEAT_SECONDS = 10.0
"""An unchanged number is told to the forecast so often: an idle kernel costs next to nothing."""


class Yardstick(NamedTuple):
    """Which number of a kernel is observed at one moment, and how far it may grow."""

    name: str
    """What is measured by one of another name has nothing to do with what was before."""
    used_bytes: int | None
    """``None``: the kernel's own anonymous memory."""
    left_bytes: int


@dataclass(slots=True)
class _Outlook:
    name: str
    forecast: MemoryForecast = field(default_factory=MemoryForecast)
    used_bytes: int = -1
    told_at: float = -math.inf
    seconds: float = math.inf

    def observe(self, used: int, left: int, now: float) -> None:
        self.forecast.observe(now, used)
        self.used_bytes, self.told_at = used, now
        self.seconds = self.forecast.seconds_to_exhaustion(used + left)


@dataclass(slots=True)
class Outlooks:
    """The forecasts of all kernels. Not thread-safe."""

    _outlooks: dict[ProcessId, _Outlook] = field(default_factory=dict)

    def update(self, looks: Mapping[ProcessId, Look], now: float) -> dict[ProcessId, float]:
        """Seconds until the memory of each kernel is used up, ``inf`` if nothing points that way.

        ``now`` is of a clock that never jumps. Kernels without any known limit are left out.
        """
        # Kernels of one cgroup mostly have the very same limits: those are looked at once.
        number = Counter(id(look.limits) for look in looks.values())
        distinct = {id(look.limits): look.limits for look in looks.values()}
        sharers: Counter[str] = Counter()
        for key, limits in distinct.items():
            for limit in limits:
                if limit.place:
                    sharers[limit.place] += number[key]
        yardsticks = {key: choose(limits, sharers) for key, limits in distinct.items()}
        found = {}
        for process, (sample, limits) in looks.items():
            yardstick = yardsticks[id(limits)]
            if yardstick is None:
                continue
            name, used, left = yardstick
            if used is None:
                used = sample.anonymous_bytes
            outlook = self._outlooks.get(process)
            if outlook is None or outlook.name != name:
                outlook = self._outlooks[process] = _Outlook(name)
            same = -SAME_BYTES < used - outlook.used_bytes < SAME_BYTES
            if not same or outlook.seconds < math.inf or now - outlook.told_at >= REPEAT_SECONDS:
                outlook.observe(used, left, now)
            found[process] = outlook.seconds
        self._forget_all_but(found)
        return found

    def _forget_all_but(self, alive: Iterable[ProcessId]) -> None:
        for gone in self._outlooks.keys() - set(alive):
            del self._outlooks[gone]


def choose(limits: Iterable[MemoryLimit], sharers: Mapping[str, int]) -> Yardstick | None:
    """What counts against the limit that would strike first; ``None`` without one.

    ``sharers`` says how many kernels live below each cgroup that has a limit.
    """
    tightest = find_tightest(limits)
    if tightest is None:
        return None
    left = tightest.headroom_bytes
    alone = tightest.scope is Scope.CGROUP and sharers.get(tightest.place, 0) <= 1
    if alone or tightest.scope is Scope.RLIMIT:
        used = tightest.limit_bytes - left
        return Yardstick(f"{tightest.scope} {tightest.place}", used, left)
    return Yardstick("own", None, left)
