"""Who the OOM killer took, and whether its counters moved, around the moment of an end."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.deaths.record import OomRecord, OomRise
from jupyter_kernel_exporter.linux.oomcounters import Counter, Kind, compare
from jupyter_kernel_exporter.linux.oomlog import OomKill
from jupyter_kernel_exporter.model import ProcessId, Scope

BEFORE_SECONDS = 1.0
"""A victim is counted, then killed, and has ended when its memory is freed: so much before."""
KEPT_SECONDS = 60.0

Read = Callable[[Iterable[str]], Mapping[Counter, int]]
"""Reads the counters from some cgroups up to the root, and the machine's."""


class _Reading(NamedTuple):
    """Counters, as they stood from one moment to another."""

    since: float
    until: float
    counters: Mapping[Counter, int]


@dataclass(slots=True)
class OomWatch:
    """Remembers kills and counters for a minute. Times are seconds of CLOCK_MONOTONIC.

    The machine's counter rises with every kill, so as long as it stands still no other is read.
    """

    read: Read
    log_is_heard: bool
    """Whether linux' log can be read, so that a victim would have been named."""
    _readings: deque[_Reading] = field(default_factory=deque, init=False)
    _paths: set[str] = field(default_factory=set, init=False)
    _kills: deque[OomKill] = field(default_factory=deque, init=False)

    def look(self, paths: Iterable[str], now: float) -> None:
        """Once per tick: ``paths`` are the cgroups that kernels live in."""
        wanted = set(paths)
        host = Counter(Kind.HOST, "")
        current = self.read(())
        last = self._readings[-1] if self._readings else None
        still = last is not None and host in current and last.counters.get(host) == current[host]
        if last is not None and still and wanted <= self._paths:
            self._readings[-1] = last._replace(until=now)
        elif last is not None and still:
            # Of cgroups that are new here: what their counters had before does not matter.
            counters = {**last.counters, **self.read(wanted - self._paths)}
            self._readings[-1] = _Reading(last.since, now, counters)
            self._paths |= wanted
        else:
            self._readings.append(_Reading(now, now, self.read(wanted)))
            self._paths = wanted
        while len(self._readings) > 1 and self._readings[0].until < now - KEPT_SECONDS:
            self._readings.popleft()
        while self._kills and self._kills[0].at < now - KEPT_SECONDS:
            self._kills.popleft()

    def note(self, kills: Iterable[OomKill]) -> None:
        """Linux' log named victims."""
        self._kills.extend(kills)

    def records_of(
        self, processes: Iterable[ProcessId], ended_at: float
    ) -> tuple[OomRecord, ...] | None:
        """Records that name one of these processes; ``None`` if there is no log to read."""
        if not self.log_is_heard:
            return None
        pids = {process.pid for process in processes}
        return tuple(
            OomRecord(kill.scope or Scope.CGROUP, kill.limit_path or "")
            for kill in self._kills
            if kill.pid in pids and abs(kill.at - ended_at) < KEPT_SECONDS
        )

    def rises(
        self, path: str | None, processes: Iterable[ProcessId], ended_at: float
    ) -> tuple[OomRise | None, OomRise | None]:
        """How far the cgroup's and the machine's counters rose around an end, until now."""
        before = next(
            (r for r in reversed(self._readings) if r.since <= ended_at - BEFORE_SECONDS),
            self._readings[0] if self._readings else None,
        )
        if before is None:
            return None, None
        pids = {process.pid for process in processes}
        others = [
            k
            for k in self._kills
            if k.pid not in pids and k.at >= min(before.until, ended_at) - BEFORE_SECONDS
        ]
        after = self.read([path] if path is not None else [])
        host_counter = Counter(Kind.HOST, "")
        host = None
        if host_counter in before.counters and host_counter in after:
            rise = after[host_counter] - before.counters[host_counter]
            host = OomRise(rise, min(rise, len(others)))
        cgroup = None
        if path is not None:
            comparison = compare(before.counters, after, path)
            local = [
                c
                for c in before.counters
                if c.kind is Kind.LOCAL and f"{path}/".startswith(f"{c.path}/")
            ]
            own = max(local, key=lambda counter: len(counter.path), default=None)
            if own is not None and own not in comparison.lost:
                rise = next((r.by for r in comparison.rises if r.counter == own), 0)
                beside = [k for k in others if k.task_path is None or path.endswith(k.task_path)]
                cgroup = OomRise(rise, min(rise, len(beside)))
        return cgroup, host
