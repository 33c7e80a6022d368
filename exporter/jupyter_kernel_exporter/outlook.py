"""Looks -> how long the memory of each kernel will last: which numbers forecasts are fed with.

Each cgroup with a limit, and the machine, has a forecast of all that counts against its limit:
linux counts shared memory and files on tmpfs there, and leaves out page cache that can be dropped,
such as that of a memory-mapped array. Each kernel has one of its own anonymous memory, and one of
its address space where RLIMIT_AS limits that. A kernel's memory lasts until the first of its limits
is reached. A cgroup that a kernel has to itself is its own affair; what several share, and the
machine, is laid at the door of those that drive it, so that who grows is named, and who just sits
beside is not.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.forecast import MemoryForecast
from jupyter_kernel_exporter.model import Look, MemoryLimit, ProcessId, Scope

SAME_BYTES = 64 << 10
"""A change below this is no news."""
REPEAT_SECONDS = 10.0
"""An unchanged number is told to the forecast so often: an idle kernel costs next to nothing."""
WINDOW_SECONDS = 60.0
"""What a kernel has taken lately: in the last one to two times this."""
LEAST_RISE_BYTES = 4 << 20
"""An idle kernel moves by less."""
DRIVING_SHARE = 0.05
"""Who alone fills by himself in 300 s what is left takes a fifth of it in a minute; a quarter of
that makes him one of the drivers, and where several grow, each needs only his part of it."""
LARGE_SHARE = 0.05
"""Of what is used in a place; a kernel that held so much and is gone leaves a gap behind."""


class Place(NamedTuple):
    """Where a limit is that several processes may share."""

    scope: Scope
    name: str


@dataclass(slots=True)
class _Series:
    """One number over time, and its forecast."""

    forecast: MemoryForecast = field(default_factory=MemoryForecast)
    used_bytes: int = -1
    told_at: float = -math.inf
    seconds: float = math.inf
    """The last answer."""

    def observe(self, used: int, now: float) -> bool:
        """Whether it is news."""
        same = -SAME_BYTES < used - self.used_bytes < SAME_BYTES
        if same and self.seconds == math.inf and now - self.told_at < REPEAT_SECONDS:
            return False
        self.forecast.observe(now, used)
        self.used_bytes, self.told_at = used, now
        return True

    def until(self, limit: int) -> float:
        """Seconds until the limit is reached."""
        self.seconds = self.forecast.seconds_to_exhaustion(limit)
        return self.seconds


@dataclass(slots=True)
class _Past:
    """One kernel's."""

    own: _Series = field(default_factory=_Series)
    """Of its anonymous memory."""
    address_space: _Series | None = None
    places: tuple[Place, ...] = ()
    low: int = 0
    low_before: int = 0
    window_at: float = -math.inf
    rise: int = 0
    """What it has taken lately, bytes."""

    def rests(self, used: int, now: float) -> bool:
        """Whether nothing has to be noted: the quick way, for most kernels do nothing."""
        return (
            -SAME_BYTES < used - self.own.used_bytes < SAME_BYTES
            and self.rise < LEAST_RISE_BYTES
            and now - self.own.told_at < REPEAT_SECONDS
        )

    def observe(self, used: int, now: float) -> None:
        """Take note of its anonymous memory."""
        if now - self.window_at >= WINDOW_SECONDS:
            self.low_before = used if self.window_at == -math.inf else self.low
            self.low, self.window_at = used, now
        elif used < self.low:
            self.low = used
        self.own.observe(used, now)
        self.rise = used - min(self.low, self.low_before)


@dataclass(slots=True)
class _Shared:
    """A place: what is used of it, and by whom."""

    series: _Series = field(default_factory=_Series)
    members: int = 0


@dataclass(slots=True)
class _Group:
    """Kernels that have the very same limits, as those of one cgroup mostly do."""

    limits: tuple[MemoryLimit, ...]
    members: int = 1
    places: tuple[Place, ...] = ()
    is_personal: bool = False
    """Whether one of the limits is nobody else's affair."""


@dataclass(slots=True)
class Outlooks:
    """The forecasts of all kernels. Not thread-safe."""

    _pasts: dict[ProcessId, _Past] = field(default_factory=dict)
    _places: dict[Place, _Shared] = field(default_factory=dict)

    def update(self, looks: Mapping[ProcessId, Look], now: float) -> dict[ProcessId, float]:
        """Seconds until the memory of each kernel is used up, ``inf`` if nothing points that way.

        ``now`` is of a clock that never jumps. Kernels without any known limit are left out.
        """
        self._forget_all_but(looks)
        groups = self._group(looks.values(), now)
        found: dict[ProcessId, float] = {}
        judged: list[ProcessId] = []
        growers: Counter[Place] = Counter()
        for process, look in looks.items():
            group = groups.get(id(look.limits))
            if group is None:
                continue
            found[process] = math.inf
            past = self._pasts.get(process)
            if past is None:
                past = self._pasts[process] = _Past()
            past.places = group.places
            used = look.sample.anonymous_bytes
            if not past.rests(used, now):
                past.observe(used, now)
            if past.rise >= LEAST_RISE_BYTES:
                growers.update(past.places)
                judged.append(process)
            elif group.is_personal:
                judged.append(process)
        for process in judged:
            found[process] = self._seconds(self._pasts[process], looks[process], growers, now)
        return found

    def _group(self, looks: Iterable[Look], now: float) -> dict[int, _Group]:
        """Kernels by the identity of their limits; each place is forecast once for all in it."""
        groups: dict[int, _Group] = {}
        for _, limits in looks:
            group = groups.get(id(limits))
            if group is not None:
                group.members += 1
            elif limits:
                groups[id(limits)] = _Group(limits)
        self._look_at_places(groups.values(), now)
        for group in groups.values():
            group.places = tuple(
                [_place_of(limit) for limit in group.limits if limit.scope is not Scope.RLIMIT]
            )
            group.is_personal = any(
                limit.scope is Scope.RLIMIT
                or (limit.scope is Scope.CGROUP and self._places[_place_of(limit)].members == 1)
                for limit in group.limits
            )
        return groups

    def _look_at_places(self, groups: Collection[_Group], now: float) -> None:
        counted: Counter[Place] = Counter()
        tightest: dict[Place, MemoryLimit] = {}
        for group in groups:
            for limit in group.limits:
                if limit.scope is not Scope.RLIMIT:
                    place = _place_of(limit)
                    counted[place] += group.members
                    tightest[place] = limit
        for gone in self._places.keys() - counted.keys():
            del self._places[gone]
        for place, limit in tightest.items():
            shared = self._places.get(place)
            if shared is None:
                shared = self._places[place] = _Shared()
            shared.members = counted[place]
            if shared.series.observe(limit.limit_bytes - limit.headroom_bytes, now):
                shared.series.until(limit.limit_bytes)

    def _seconds(self, past: _Past, look: Look, growers: Mapping[Place, int], now: float) -> float:
        """Seconds until the first of a kernel's limits is reached."""
        soonest = past.own.seconds = math.inf
        for limit in look.limits:
            left = limit.headroom_bytes
            if limit.scope is Scope.RLIMIT:
                past.address_space = past.address_space or _Series()
                past.address_space.observe(limit.limit_bytes - left, now)
                soonest = min(soonest, past.address_space.until(limit.limit_bytes))
                continue
            place = _place_of(limit)
            shared = self._places[place]
            if limit.scope is Scope.CGROUP and shared.members == 1:
                soonest = min(soonest, shared.series.seconds)
            elif (
                past.rise >= LEAST_RISE_BYTES and past.rise * growers[place] >= DRIVING_SHARE * left
            ):
                own = past.own.until(look.sample.anonymous_bytes + left)
                soonest = min(soonest, own, shared.series.seconds)
        return soonest

    def _forget_all_but(self, alive: Collection[ProcessId]) -> None:
        for process in self._pasts.keys() - set(alive):
            gone = self._pasts.pop(process)
            for place in gone.places:
                shared = self._places.get(place)
                # What is used falls, and grows anew up to where it has been: that is news again.
                if shared is not None and (
                    shared.members == 1
                    or gone.own.used_bytes >= LARGE_SHARE * shared.series.used_bytes
                ):
                    del self._places[place]


def _place_of(limit: MemoryLimit) -> Place:
    return Place(limit.scope, limit.place)
