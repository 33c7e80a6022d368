"""What ended while no daemon was there to watch.

Whoever was alive when the last daemon was, and is not now, has ended meanwhile. Nobody saw how: the
wait status is gone with the process, and so is what it said. What is left is linux' log, which
keeps the victims of the OOM killer; a zombie, if nobody has reaped it yet; the files that Jupyter
has deleted or left; and the next process, if there is one. They go through the same rules as
everything else, and those know that the rest was not asked.

When it ended nobody knows either: the latest moment that is possible stands for it, and
``lag_seconds`` says how much earlier it may have been.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from jupyter_kernel_exporter.deaths.case import Around, Case, Clocks
from jupyter_kernel_exporter.deaths.classify import classify
from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.patience import Patiently, at_once, look
from jupyter_kernel_exporter.deaths.record import (
    RESTARTER_PERIOD_SECONDS,
    Death,
    Evidence,
    Reason,
    RestartCause,
    Verdict,
)
from jupyter_kernel_exporter.deaths.restarts import restart_cause
from jupyter_kernel_exporter.deaths.truth import look_deadline
from jupyter_kernel_exporter.deaths.watch import Ended
from jupyter_kernel_exporter.linux import zombie
from jupyter_kernel_exporter.linux.kmsg import open_kmsg
from jupyter_kernel_exporter.linux.oomlog import OomKill, OomLog
from jupyter_kernel_exporter.linux.proc import read_ending, read_stat
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId

MET_SECONDS = 60.0
"""Who lives and has not been found among the kernels for so long is none any more."""
CLOCK_SECONDS = 1.0
"""How far the log's clock and that of start times may be apart; ticks are 10 ms."""

UNWATCHED = "; no daemon was watching then"
SENTENCES: Mapping[str, str] = {
    "file_deleted": "its connection file is gone, as after a shutdown",
    "stopping_server": "its Jupyter server was stopped in an orderly way",
    "unknown": "it ended, and what is left does not say why",
}
"""By rule: where the usual sentence would tell times that nobody has measured."""
SUCCEEDED: Mapping[RestartCause, str] = {
    RestartCause.AUTOMATIC: ", but a new process took its place, as Jupyter's restarter does it",
    RestartCause.REQUESTED: ", but a new process took its place, as when a person asks for it",
}


@dataclass(slots=True)
class Aftermath:
    """The kernels that are remembered, until each is found alive or its end is explained."""

    procfs: str
    lag_seconds: float
    """How much later than the end it may be looked at here; see :class:`.case.Around`."""
    since: float | None
    """Last sign of life of the daemon before, seconds since the epoch."""
    kills: list[OomKill] | None
    """What linux' log still has of the OOM killer; ``None`` if it may not be read."""
    patiently: Patiently = at_once
    _waiting: dict[ProcessId, Dossier] = field(default_factory=dict, init=False)
    _waiting_until: float = field(default=inf, init=False)
    _cases: list[Case] = field(default_factory=list, init=False)
    _oom: OomWatch = field(init=False)

    def __post_init__(self) -> None:
        # How the counters stood before nobody knows.
        self._oom = OomWatch(lambda _: {}, log_is_heard=self.kills is not None)

    @property
    def unexplained(self) -> Iterable[Dossier]:
        """Whoever must not be forgotten yet."""
        return (*self._waiting.values(), *(case.dossier for case in self._cases))

    @property
    def open_cases(self) -> int:
        """How many ends wait for their verdict."""
        return len(self._cases)

    def recall(self, remembered: Iterable[Dossier], now: float) -> None:
        """These were alive, in this boot of the machine."""
        self._waiting = {dossier.kernel.process: dossier for dossier in remembered}
        self._waiting_until = now + MET_SECONDS
        self._oom.note(self.kills or ())

    def note(self, kills: Sequence[OomKill]) -> None:
        """Linux' log named more victims."""
        if self.kills is not None:
            self.kills.extend(kills)
            self._oom.note(kills)

    def ends_just_now(self, process: ProcessId) -> bool:
        """Whether one that is remembered is ending: what is seen of it now is less than we know."""
        return process in self._waiting and read_ending(self.procfs, process.pid)

    def search(self, met: Iterable[ProcessId], table: Mapping[int, Process], now: float) -> None:
        """After a scan: who has ended. ``met`` are kernels that are followed elsewhere by now."""
        for process in met:
            self._waiting.pop(process, None)
        for process, dossier in list(self._waiting.items()):
            ended = self._look_at(process, table, now)
            if ended is not None:
                del self._waiting[process]
                self._cases.append(Case(dossier, ended))
        if now > self._waiting_until:
            self._waiting.clear()

    def look(
        self,
        alive: Iterable[Dossier],
        table: Mapping[int, Process],
        clocks: Clocks,
        missing: frozenset[str],
    ) -> list[Death]:
        """Go through the open cases; those that are clear now."""
        if not self._cases:
            return []
        present = {dossier.kernel.id: dossier.origin for dossier in alive}
        deaths, still_open = [], []
        wanted = {path for case in self._cases for path in case.files}
        gone = self.patiently(lambda: look(wanted)) or {}
        for case in self._cases:
            server = case.dossier.server
            if server is not None and ((s := table.get(server.pid)) is None or s.id != server):
                case.server_ended_at = min(case.server_ended_at, case.ended.at)
            case.look(self.procfs, clocks.monotonic, lambda: None, gone)
            death = self._judge(case, present.get(case.dossier.kernel.id), clocks, missing)
            if death is None:
                still_open.append(case)
            else:
                deaths.append(death)
        self._cases = still_open
        return deaths

    def _look_at(
        self, process: ProcessId, table: Mapping[int, Process], now: float
    ) -> Ended | None:
        """What can be seen of an end; ``None`` if the process lives."""
        known = table.get(process.pid)
        if known is None or known.id != process:
            return Ended(process, now, exact=False)
        stat = read_stat(self.procfs, process.pid)
        if stat is None or stat.start_ticks != process.start_ticks:
            return Ended(process, now, exact=False)
        if stat.state not in zombie.ENDED or stat.threads > 1:
            return None
        status: WaitStatus | None
        try:
            status = zombie.read_exit_status(self.procfs, process)
        except PermissionError:  # linux masks it
            status = None
        pending = zombie.read_pending_signals(self.procfs, process)
        return Ended(process, now, False, status, pending, stat.ppid)

    def _judge(
        self,
        case: Case,
        successor: ProcessId | None,
        clocks: Clocks,
        missing: frozenset[str],
    ) -> Death | None:
        if successor is not None and successor.start_ticks > case.dossier.origin.start_ticks:
            case.successor = successor
        self._date(case, clocks)
        around = Around(self._oom, None, RESTARTER_PERIOD_SECONDS, self.lag_seconds, missing)
        evidence = case.evidence(clocks, around)
        if evidence.ready is False:  # as it was when it was last looked at
            evidence = replace(evidence, ready=None)
        verdict = classify(evidence)
        if verdict is None:
            return None
        nothing_known = verdict.reason is Reason.UNKNOWN and case.successor is None
        if nothing_known and evidence.observed_seconds < look_deadline(evidence):
            return None  # the restarter may still come
        cause = None
        if case.successor is not None:
            cause = restart_cause(verdict, evidence.phase_seconds)
        lag = case.age_seconds
        if evidence.oom_records:
            lag = 0.0
        elif self.since is not None:
            lag = min(lag, max(0.0, evidence.ended_at - self.since))
        final = replace(evidence, observed_seconds=inf, lag_seconds=lag)
        return Death(case.dossier.kernel, final, _in_words(verdict, final, cause), None, cause)

    def _date(self, case: Case, clocks: Clocks) -> None:
        """The latest moment at which it may have ended; what linux' log says is exact."""
        dossier, at = case.dossier, case.ended.at
        pids = [process.pid for process in (dossier.kernel.process, dossier.wrapper) if process]
        started = clocks.started(dossier.kernel.process) - CLOCK_SECONDS
        # A pid may be given out again after the end, so the first one is it.
        kills = [k.at for k in self.kills or () if k.pid in pids and k.at >= started]
        if kills:
            at = min(kills)
        elif case.successor is not None:
            at = min(at, clocks.started(case.successor))
        if at < case.ended.at:
            case.ended = replace(case.ended, at=at)


def gone_with_machine(dossier: Dossier, booted_at: float, since: float | None) -> Death:
    """The end of one who was alive before the machine was started anew; seconds since the epoch."""
    kernel = dossier.kernel
    lag = booted_at - (kernel.started_at if since is None else since)
    evidence = Evidence(
        process=kernel.process,
        ended_at=booted_at,
        lag_seconds=max(0.0, lag),
        missing=frozenset({"proc", "kmsg", "process_events", "iopub", "cgroup"}),
    )
    because = "the machine has been started anew since it was last seen, and nothing says more"
    return Death(kernel, evidence, Verdict(Reason.UNKNOWN, False, because, "unknown"))


def read_old_kills(procfs: str) -> list[OomKill]:
    """All that linux' log still has of the OOM killer. Raises :exc:`.Unavailable`."""
    kmsg, log = open_kmsg(procfs, from_start=True), OomLog()
    try:
        kills: list[OomKill] = []
        while records := kmsg.drain().records:
            kills += log.read(records)
        return kills
    finally:
        kmsg.close()


def _in_words(verdict: Verdict, evidence: Evidence, cause: RestartCause | None) -> Verdict:
    """A verdict that says what it rests on, and is certain only of what was recorded."""
    because = verdict.because
    if evidence.status is None:
        because = SENTENCES.get(verdict.rule, because)
        if verdict.reason is Reason.UNKNOWN and cause is not None:
            because += SUCCEEDED[cause]
    recorded = evidence.status is not None or bool(evidence.oom_records)
    return verdict._replace(certain=verdict.certain and recorded, because=because + UNWATCHED)
