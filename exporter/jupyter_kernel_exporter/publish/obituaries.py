"""Deaths made public: written down for good, counted, and kept for a while for those who come late.

Counters outlive kernels, so they live in the :mod:`.history`; what the metrics show of them is
made anew only when something has changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from math import isfinite
from typing import Any

from jupyter_kernel_exporter.deaths.record import Death, Evidence, OomRecord, OomRise, Reason
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import (
    DeathCount,
    Kernel,
    LastDeath,
    WorkerOomCount,
    find_tightest,
)
from jupyter_kernel_exporter.publish.deathrow import DeathRow, Identity, clean, counter_key
from jupyter_kernel_exporter.publish.history import History

DEATHS = "jupyter_kernel_deaths_total"
WORKER_OOM_KILLS = "jupyter_kernel_worker_oom_kills_total"
SHOWN_SECONDS = 900.0
"""How long the last death of a kernel stays visible."""

OF_THE_ROW = frozenset({"process", "ended_at", "missing"})
"""Fields of the evidence that a row has a place of its own for."""


@dataclass(slots=True)
class Obituaries:
    """The public side of deaths. For one thread; the history may be read by any."""

    history: History
    boot_id: str
    _last: dict[str, LastDeath] = field(default_factory=dict, init=False)
    """By kernel id, in the order of their ends."""
    _newest: dict[tuple[str, str, str], tuple[str, float]] = field(default_factory=dict, init=False)
    """Kernel id and moment of the newest death of each series."""
    _pairs: set[tuple[str, str]] = field(default_factory=set, init=False)
    _deaths: tuple[DeathCount, ...] | None = field(default=None, init=False)
    _workers: tuple[WorkerOomCount, ...] = field(default=(), init=False)

    def see(self, kernels: Iterable[Kernel]) -> None:
        """These are alive: from now on there are counters for them, at 0 if need be."""
        for kernel in kernels:
            pair = (kernel.username, kernel.kernel_name)
            if pair not in self._pairs:
                self._pairs.add(pair)
                self.history.see(*pair)
                self._deaths = None

    def announce(self, death: Death, boot_id: str | None = None) -> bool:
        """Write a death down, and count it; ``False`` if that was done before.

        ``boot_id`` names the boot of the machine if it was not in this one.
        """
        kernel, reason = death.kernel, death.verdict.reason
        labels = {
            "username": kernel.username,
            "kernel_name": kernel.kernel_name,
            "reason": reason.value,
        }
        row = death_row(death, boot_id or self.boot_id)
        if not self.history.record_death(row, [(DEATHS, labels)]):
            return False
        ended_at = death.evidence.ended_at
        self._last.pop(kernel.id, None)
        status = death.evidence.status
        self._last[kernel.id] = LastDeath(kernel, ended_at, reason, str(status) if status else "")
        key = (clean(kernel.username), clean(kernel.kernel_name), reason.value)
        self._newest[key] = (kernel.id, ended_at)
        self._pairs.add((kernel.username, kernel.kernel_name))
        self._deaths = None
        return True

    def give_up(self, kernel_id: str) -> bool:
        """Jupyter's restarter has given up on a kernel; whether that one is still shown."""
        last = self._last.get(kernel_id)
        if last is not None:
            self._last[kernel_id] = last._replace(gave_up=True)
        return last is not None

    def count_worker(self, kernel: Kernel) -> None:
        """Linux killed a descendant of a living kernel for memory."""
        labels = {"username": kernel.username, "kernel_name": kernel.kernel_name}
        self.history.add(WORKER_OOM_KILLS, labels)
        self._deaths = None

    def last_deaths(self, now: float) -> tuple[LastDeath, ...]:
        """Of the last quarter of an hour; ``now`` in seconds since the epoch."""
        for kernel_id, last in list(self._last.items()):
            if now - last.ended_at > SHOWN_SECONDS:
                del self._last[kernel_id]
        return tuple(self._last.values())

    def death_counts(self) -> tuple[DeathCount, ...]:
        """All reasons for every person and kernelspec ever seen."""
        if self._deaths is None:
            self._count()
        return self._deaths or ()

    def worker_oom_counts(self) -> tuple[WorkerOomCount, ...]:
        """For every person and kernelspec ever seen."""
        if self._deaths is None:
            self._count()
        return self._workers

    def _count(self) -> None:
        counters = self.history.counters()
        deaths, workers = [], []
        for username, kernel_name in sorted(self.history.pairs()):
            pair = {"username": username, "kernel_name": kernel_name}
            total = counters.get(counter_key(WORKER_OOM_KILLS, pair), 0.0)
            workers.append(WorkerOomCount(username, kernel_name, int(total)))
            for reason in Reason:
                total = counters.get(counter_key(DEATHS, pair | {"reason": reason.value}), 0.0)
                newest = self._newest.get((username, kernel_name, reason.value), ("", 0.0))
                deaths.append(DeathCount(username, kernel_name, reason.value, int(total), *newest))
        self._deaths, self._workers = tuple(deaths), tuple(workers)


def death_row(death: Death, boot_id: str) -> DeathRow:
    """A death as it is written down."""
    kernel, evidence, verdict = death.kernel, death.evidence, death.verdict
    sample, limits = death.last_look if death.last_look is not None else (None, ())
    tightest = find_tightest(limits)
    return DeathRow(
        process=Identity(boot_id, *kernel.process),
        kernel_id=kernel.id,
        username=kernel.username,
        kernel_name=kernel.kernel_name,
        reason=verdict.reason.value,
        rule=verdict.rule,
        because=verdict.because,
        certain=verdict.certain,
        ended_at=evidence.ended_at,
        status=str(evidence.status) if evidence.status is not None else None,
        started_at=kernel.started_at or None,
        notebook=kernel.notebook,
        server=kernel.server,
        container=kernel.container,
        last_rss_bytes=sample.rss_bytes + sample.children_rss_bytes if sample else None,
        last_limit_bytes=tightest.limit_bytes if tightest is not None else None,
        evidence=plain_evidence(evidence),
        missing=tuple(sorted(evidence.missing)),
    )


def plain_evidence(evidence: Evidence) -> Mapping[str, Any]:
    """The facts that were there, as JSON has them; what could not be asked is left out."""
    facts = {f.name: _plain(getattr(evidence, f.name)) for f in fields(evidence)}
    return {
        name: fact for name, fact in facts.items() if name not in OF_THE_ROW and fact is not None
    }


def _plain(value: Any) -> Any:
    match value:
        case float():
            # What has not happened is infinitely far away; JSON has no word for it.
            return round(value, 3) if isfinite(value) else None
        case WaitStatus():
            return str(value)
        case Enum():
            return value.value
        case OomRecord() | OomRise():
            return {name: _plain(part) for name, part in value._asdict().items()}
        case tuple() | frozenset():
            return [_plain(part) for part in (value if isinstance(value, tuple) else sorted(value))]
    return value
