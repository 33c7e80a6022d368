"""The register of ends: how they are noticed and explained, written down, counted and shown.

What ``deaths`` finds out goes into ``publish``'s history here, and into the next Snapshot.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jupyter_kernel_exporter.deaths.aftermath import gone_with_machine
from jupyter_kernel_exporter.deaths.ends import Ends
from jupyter_kernel_exporter.deaths.record import Death
from jupyter_kernel_exporter.linux.host import boot_time
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, ProcessId, Restarts, Said, Snapshot
from jupyter_kernel_exporter.privacy import HIDDEN
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.obituaries import Obituaries
from jupyter_kernel_exporter.publish.roll import Roll
from jupyter_kernel_exporter.sources import Sources

log = logging.getLogger(__name__)

FamilyOf = Callable[[ProcessId], Iterable[ProcessId]]
"""The living descendants of a kernel."""


@dataclass(slots=True)
class Register:
    """Everything that is known of ends. Belongs to the sampling thread."""

    ends: Ends
    sources: Sources
    history: History
    procfs: str
    boot_id: str
    family_of: FamilyOf
    conceals: bool
    """Whether paths and cgroups, which bear people's names, are not written down."""
    clock: Callable[[], float]
    _obituaries: Obituaries = field(init=False)
    _roll: Roll = field(init=False)
    _recalled: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._obituaries = Obituaries(self.history, self.boot_id)
        self._roll = Roll(self.history, self.boot_id, conceals=self.conceals)

    def close(self) -> None:
        """Notice no more."""
        self.ends.close()

    @property
    def is_empty(self) -> bool:
        """Whether no kernel has ever been seen here, alive or dead."""
        return not self._obituaries.death_counts()

    @property
    def wants_scans(self) -> bool:
        """Whether a new process would be seen by a scan only, and one is waited for."""
        return self.ends.inquest.wants_scans

    def still(self) -> bool:
        """Whether it is known that the process table is as at the last call."""
        return self.ends.still()

    def patience_seconds(self) -> float | None:
        """How long to wait for news until :meth:`look` is due; ``None``: for news only."""
        return self.ends.patience_seconds()

    def has_any_ended(self, snapshot: Snapshot) -> bool:
        """Whether the process of a kernel in it is known to be over."""
        ended = self.ends.ended
        return any(live.kernel.process in ended for live in snapshot.kernels)

    def restarts(self) -> Mapping[str, Restarts]:
        """The restarts so far, by the id of the kernel; of those that had any."""
        return self.ends.restarts()

    def said(self) -> Mapping[str, Said]:
        """What kernels say of themselves, by id."""
        if not self.sources.enabled("iopub"):
            return {}
        return self.sources.run("iopub", self.ends.said) or {}

    def recall(self) -> None:
        """Once, after the first scan: whoever was alive when a daemon was here the last time."""
        if self._recalled:
            return
        self._recalled = True
        before = self.sources.run("history", self._roll.read)
        if before is None or not self.boot_id:
            return
        self.sources.run("proc", self.ends.recall, before.here, before.since)
        booted_at = boot_time(self.clock)
        for boot_id, dossier in before.of_another_boot:
            death = gone_with_machine(dossier, booted_at, before.since)
            self.sources.run("history", self._announce, death, boot_id)

    def meet(
        self, kernels: Sequence[Kernel], table: Mapping[int, Process], *, news: bool = True
    ) -> None:
        """A scan found these kernels alive; ``news``: not the same as the scan before it."""
        self.sources.run("proc", self.ends.meet, kernels, table, news=news)
        if news:
            self.sources.run("history", self._obituaries.see, kernels)

    def tend(self, cgroups: Collection[str]) -> None:
        """What is asked of the sources of ends once per tick; ``cgroups`` are those of kernels."""
        self.ends.tend(cgroups)
        if self.sources.enabled("iopub"):
            self.sources.run("iopub", self.ends.listen)
        self.sources.run("history", self.history.sync)
        if problem := self.history.problem():
            self.sources.report("history", problem)

    def look(self, table: Mapping[int, Process], snapshot: Snapshot) -> bool:
        """Take in what was noted of ends; whether anybody was found to have died, or worse.

        ``snapshot`` is the newest that was shown.
        """
        missing = frozenset(status.name for status in snapshot.sources if not status.up)
        deaths = self.sources.run("proc", self.ends.look, table, missing) or []
        for death in deaths:
            self.sources.run("history", self._announce, death)
        news = bool(deaths)
        for kill in self.ends.oom_kills:
            worker_of = self._kernel_above(kill.pid, snapshot)
            if worker_of is not None:
                self.sources.run("history", self._obituaries.count_worker, worker_of)
                news = True
        for kernel_id in self.ends.given_up():
            news |= self._obituaries.give_up(kernel_id)
        if self._recalled:
            self.sources.run("history", self._roll.write, self.ends.on_roll())
        return news

    def complete(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot without those that have ended, and with what is known of their ends."""
        ended = self.ends.ended
        return replace(
            snapshot,
            kernels=tuple([live for live in snapshot.kernels if live.kernel.process not in ended]),
            death_counts=self._obituaries.death_counts(),
            worker_oom_counts=self._obituaries.worker_oom_counts(),
            last_deaths=self._obituaries.last_deaths(self.clock()),
        )

    def _announce(self, death: Death, boot_id: str | None = None) -> None:
        if self.conceals:
            death = without_cgroups(death)
        if not self._obituaries.announce(death, boot_id):
            return
        kernel, verdict = death.kernel, death.verdict
        log.info(
            "kernel ended",
            extra={
                "kernel_id": kernel.id,
                "username": kernel.username,
                "kernel_name": kernel.kernel_name,
                "reason": verdict.reason.value,
                "certain": verdict.certain,
                "because": verdict.because,
                "missing": ",".join(sorted(death.evidence.missing)),
            },
        )

    def _kernel_above(self, pid: int, snapshot: Snapshot) -> Kernel | None:
        """The living kernel that a process descends from; ``None`` if it is one itself, or none."""
        stat = read_stat(self.procfs, pid)
        family = {pid} | ({stat.ppid} if stat is not None else set())
        for live in snapshot.kernels:
            process = live.kernel.process
            if process.pid == pid or process in self.ends.ended:
                continue
            members = {member.pid for member in self.family_of(process)}
            if members & family or process.pid in family:
                return live.kernel
        return None


def without_cgroups(death: Death) -> Death:
    """A death whose evidence does not name cgroups: they are often named after people."""
    because, records = death.verdict.because, death.evidence.oom_records
    for record in records or ():
        if record.cgroup:
            because = because.replace(record.cgroup, HIDDEN)
    if records is not None:
        records = tuple(record._replace(cgroup="") for record in records)
    return replace(
        death,
        verdict=death.verdict._replace(because=because),
        evidence=replace(death.evidence, oom_records=records),
    )
