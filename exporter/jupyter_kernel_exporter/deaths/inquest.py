"""Every end is looked into until there is a verdict, and every next process until it is explained.

``hear`` takes what the watch noted, ``meet`` the kernels that a scan found, ``look`` goes through
the open cases. A case is open until the first rule that holds can be told: mostly at once, and for
as long as Jupyter's restarter takes where only the next process, or its absence, says why.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from jupyter_kernel_exporter.deaths import restarts
from jupyter_kernel_exporter.deaths.case import Around, Case, Clocks, pace_seconds
from jupyter_kernel_exporter.deaths.classify import classify
from jupyter_kernel_exporter.deaths.dossier import Dossier, open_dossier, stillborn_dossier
from jupyter_kernel_exporter.deaths.heard import Heard
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.patience import Gone, Patiently, at_once, look
from jupyter_kernel_exporter.deaths.record import Death, RestartCause
from jupyter_kernel_exporter.deaths.restarts import Restarter
from jupyter_kernel_exporter.deaths.watch import NEWBORN_SECONDS, Ended, Noted, Watch
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, Look, ProcessId, Restarts

LAG_SECONDS = 0.1
"""How late a new process is seen where linux tells of it, on a busy machine."""
SCAN_LAG_SECONDS = 0.3
"""The same where it has to be looked for; see :attr:`Inquest.wants_scans`."""
KEPT_SECONDS = 900.0
"""How long the end of a kernel is remembered here, in case that it comes back."""
ENDS_KEPT = 10_000
FILE_TURNS = 5
"""In so many ticks the files of kernels that live are looked at once."""

Hear = Callable[[str], Heard | None]
"""What was heard of a kernel on iopub."""
Describe = Callable[[Newborn], Kernel | None]
"""A kernel that ended before any scan, from its connection file."""
LastLook = Callable[[ProcessId], tuple[Look | None, str | None]]
"""The newest look at a kernel, and the directory of its memory cgroup."""


@dataclass(slots=True)
class Course:
    """The restarts of one kernel, since it is known here."""

    automatic: int = 0
    requested: int = 0
    in_a_row: int = 0
    """Automatic restarts that lie behind the present process, without a stable one between."""


@dataclass(slots=True)
class Inquest:
    """All that is known of ends and restarts just now. For one thread."""

    procfs: str
    rootfs: str
    watch: Watch
    oom: OomWatch
    hear_iopub: Hear
    describe: Describe
    interval_seconds: float
    """Between two scans."""
    patiently: Patiently = at_once
    last_look: LastLook = lambda _: (None, None)  # nobody looks
    _dossiers: dict[ProcessId, Dossier] = field(default_factory=dict, init=False)
    """Of the processes that are alive, as far as is known."""
    _newest: dict[str, Dossier] = field(default_factory=dict, init=False)
    """By kernel id: the last process that was seen."""
    _ids: dict[str, str] = field(default_factory=dict, init=False)
    """Kernel ids by connection file."""
    _newborn: OrderedDict[ProcessId, Newborn] = field(default_factory=OrderedDict, init=False)
    _ends: OrderedDict[ProcessId, Ended] = field(default_factory=OrderedDict, init=False)
    _cases: list[Case] = field(default_factory=list, init=False)
    _last: dict[str, Case] = field(default_factory=dict, init=False)
    """By kernel id: the newest case, open or closed."""
    _courses: dict[str, Course] = field(default_factory=dict, init=False)
    _restarters: dict[ProcessId | None, Restarter] = field(default_factory=dict, init=False)
    """By server: what is known of its restarters."""
    _turn: int = field(default=0, init=False)

    @property
    def dossiers(self) -> Iterable[Dossier]:
        """Of every kernel that is alive."""
        return self._dossiers.values()

    @property
    def open_cases(self) -> int:
        """How many ends wait for their verdict."""
        return len(self._cases)

    def patience_seconds(self, now: float) -> float | None:
        """How long until an open case is due to be looked at; ``None`` if there is none."""
        return max(0.0, min(case.due for case in self._cases) - now) if self._cases else None

    @property
    def unexplained(self) -> Iterable[Dossier]:
        """Of those who have ended, and wait for their verdict."""
        return [case.dossier for case in self._cases]

    @property
    def rests(self) -> bool:
        """Whether to ``meet`` the same kernels again would change nothing."""
        return not self._newborn and not self._cases and self.watch.rests

    @property
    def wants_scans(self) -> bool:
        """Whether a new process would be seen by a scan only."""
        return bool(self._cases) and self.watch.events is None

    @property
    def ended(self) -> Collection[ProcessId]:
        """Kernels that are known to be over, zombies or not."""
        return self._ends.keys()

    def restarts(self) -> Mapping[str, Restarts]:
        """The restarts so far, by the id of the kernel; of those that had any."""
        return {
            kernel_id: Restarts(course.automatic, course.requested)
            for kernel_id, course in self._courses.items()
        }

    def meet(self, kernels: Sequence[Kernel], table: Mapping[int, Process], now: float) -> None:
        """A scan found these kernels alive."""
        for kernel in kernels:
            if kernel.process not in self._ends:
                self._meet(kernel, table)
        missing = [
            process
            for process in self._dossiers
            if (known := table.get(process.pid)) is None or known.id != process
        ]
        followed = {process for dossier in self._dossiers.values() for process in dossier.followed}
        for case in self._cases:
            followed.update(case.dossier.followed)
        self.watch.follow(followed)
        self.watch.gone(missing)
        self._forget(now, followed)

    def tend(self, now: float) -> None:
        """Once per tick, whether there is a reason to ``meet`` or not: see to the files."""
        self._turn += 1
        if self._turn % FILE_TURNS == 0:
            gone = self._look_for(path for d in self._dossiers.values() for path in d.files)
            for dossier in self._dossiers.values():
                dossier.look_at_files(now, gone)

    def hear(self, noted: Noted, table: Mapping[int, Process]) -> None:
        """Take in what the watch noted."""
        for born in noted.newborn:
            if born.process in self._dossiers:
                continue
            self._newborn[born.process] = born
            kernel_id = self._ids.get(born.path)
            if kernel_id is not None:
                self._succeed(kernel_id, born.process)
        for ended in noted.ended:
            self._ends[ended.process] = ended
            dossier = self._dossiers.pop(ended.process, None)
            if dossier is not None:
                dossier.last_look, dossier.cgroup = self.last_look(ended.process)
            born_dead = self._newborn.pop(ended.process, None)
            if dossier is None and born_dead is not None:
                dossier = self._stillborn(born_dead, table)
            if dossier is not None:
                self._open(dossier, ended)

    def look(self, clocks: Clocks, missing: frozenset[str]) -> list[Death]:
        """Go through the cases that are due; the clear ones, in the order of their ends."""
        now = clocks.monotonic
        due = [case for case in self._cases if case.due <= now]
        gone = self._look_for(path for case in due for path in case.files)
        deaths = []
        for case in due:
            death = self._look(case, clocks, missing, gone)
            if death is not None:
                deaths.append(death)
            case.due = now + pace_seconds(len(self._cases), now - case.ended.at)
        if deaths:
            self._cases = [case for case in self._cases if case.verdict is None]
        return sorted(deaths, key=lambda death: death.evidence.ended_at)

    def given_up(self, clocks: Clocks) -> Iterator[str]:
        """Ids of kernels that Jupyter's restarter turns out to have given up on, each once."""
        for kernel_id, case in self._last.items():
            if case.verdict is None or case.gave_up is not None:
                continue
            evidence = case.evidence(clocks, self._around(case, frozenset()))
            course = self._courses.get(kernel_id, Course())
            in_a_row = restarts.restarts_in_a_row(
                course.in_a_row, evidence.age_seconds or 0.0, evidence.period_seconds
            )
            case.gave_up = restarts.gave_up(in_a_row, case.verdict, evidence)
            if case.gave_up:
                yield kernel_id

    def _meet(self, kernel: Kernel, table: Mapping[int, Process]) -> None:
        known = self._dossiers.get(kernel.process)
        if known is not None and known.kernel is kernel:
            return
        dossier = self.patiently(lambda: open_dossier(kernel, table, self.procfs, self.rootfs))
        if dossier is None:
            dossier = open_dossier(kernel, table, self.procfs, self.rootfs, files=False)
        if known is not None:  # something about it has changed: it is ready, or has its file now
            dossier.keep(known)
        else:
            self._hand_over(kernel, table)
            self._succeed(kernel.id, dossier.origin)
            for process in (kernel.process, dossier.origin):
                self._newborn.pop(process, None)
        self._dossiers[kernel.process] = dossier
        self._newest[kernel.id] = dossier
        if kernel.connection_file:
            self._ids[kernel.connection_file] = kernel.id

    def _hand_over(self, kernel: Kernel, table: Mapping[int, Process]) -> None:
        """A wrapper that is alive while its child is the kernel now has not died."""
        before = self._newest.get(kernel.id)
        if before is None or before.kernel.process not in self._dossiers:
            return
        old = table.get(before.kernel.process.pid)
        young = table.get(kernel.process.pid)
        if old is not None and young is not None and young.session == old.id.pid:
            del self._dossiers[before.kernel.process]

    def _succeed(self, kernel_id: str, process: ProcessId) -> None:
        """A kernel has a new process."""
        last = self._last.get(kernel_id)
        if last is None or last.successor is not None:
            return
        before = last.dossier.origin
        if process.start_ticks < before.start_ticks or process == before:
            return
        last.successor = process
        last.due = -inf
        if last.verdict is not None:
            self._count_restart(last)

    def _stillborn(self, born: Newborn, table: Mapping[int, Process]) -> Dossier | None:
        known = self._newest.get(self._ids.get(born.path, ""))
        described = known.kernel if known else self.patiently(lambda: self.describe(born))
        if described is None:
            return None
        # Nobody is ready so soon; and if it was, it was heard.
        kernel = replace(described, process=born.process, ready=False)
        roots = self.procfs, self.rootfs
        dossier = self.patiently(lambda: stillborn_dossier(kernel, born, table, *roots))
        if dossier is None:
            dossier = stillborn_dossier(kernel, born, table, *roots, files=False)
        if known is None or known.origin.start_ticks < born.process.start_ticks:
            self._newest[kernel.id] = dossier
        self._ids[born.path] = kernel.id
        return dossier

    def _open(self, dossier: Dossier, ended: Ended) -> None:
        kernel_id = dossier.kernel.id
        self._succeed(kernel_id, dossier.origin)
        case = Case(dossier, ended)
        # It may have been seen before the news of this end were read.
        case.successor = self._next_after(kernel_id, dossier.origin)
        self._cases.append(case)
        self._last[kernel_id] = case

    def _next_after(self, kernel_id: str, process: ProcessId) -> ProcessId | None:
        """The process that took the place of one, if it is known already."""
        newest = self._newest.get(kernel_id)
        known = [newest.origin] if newest is not None else []
        known += [b.process for b in self._newborn.values() if self._ids.get(b.path) == kernel_id]
        later = [other for other in known if other.start_ticks > process.start_ticks]
        return min(later, key=lambda other: other.start_ticks, default=None)

    def _look_for(self, paths: Iterable[str]) -> Gone:
        """Which files are gone; without an answer for those of a home that gives none."""
        wanted = set(paths)
        return (self.patiently(lambda: look(wanted)) if wanted else None) or {}

    def _look(
        self, case: Case, clocks: Clocks, missing: frozenset[str], gone: Gone
    ) -> Death | None:
        dossier = case.dossier
        server = self._ends.get(dossier.server) if dossier.server is not None else None
        case.server_ended_at = inf if server is None else server.at
        if dossier.wrapper is not None:
            case.wrapper = self._ends.get(dossier.wrapper)
        process = case.ended.process
        case.look(self.procfs, clocks.monotonic, lambda: self.watch.status_of(process), gone)
        evidence = case.evidence(clocks, self._around(case, missing))
        case.verdict = classify(evidence)
        if case.verdict is None:
            return None
        cause = self._count_restart(case) if case.successor is not None else None
        return Death(dossier.kernel, evidence, case.verdict, dossier.last_look, cause)

    def _around(self, case: Case, missing: frozenset[str]) -> Around:
        lag = LAG_SECONDS if self.watch.events is not None else SCAN_LAG_SECONDS
        return Around(
            oom=self.oom,
            heard=self.hear_iopub(case.dossier.kernel.id),
            period_seconds=self._restarter(case).period_seconds,
            lag_seconds=lag if case.ended.exact else lag + self.interval_seconds,
            missing=missing,
        )

    def _restarter(self, case: Case) -> Restarter:
        return self._restarters.get(case.dossier.server, Restarter())

    def _count_restart(self, case: Case) -> RestartCause | None:
        successor, interval = case.successor, case.interval_seconds()
        if case.restart_counted or case.verdict is None or successor is None or interval is None:
            return None
        case.restart_counted = True
        case.gave_up = False
        restarter = self._restarter(case)
        phase = restarts.phase_seconds(interval, restarter.period_seconds)
        cause = restarts.restart_cause(case.verdict, phase)
        course = self._courses.setdefault(case.dossier.kernel.id, Course())
        if cause is RestartCause.AUTOMATIC:
            course.automatic += 1
            course.in_a_row = 1 + restarts.restarts_in_a_row(
                course.in_a_row, case.age_seconds, restarter.period_seconds
            )
        else:
            course.requested += 1
            course.in_a_row = 0
        started_at = successor.start_ticks / CLOCK_TICKS
        self._restarters[case.dossier.server] = restarts.learn(
            restarter, case.verdict, case.age_seconds, interval, started_at
        )
        return cause

    def _forget(self, now: float, followed: set[ProcessId]) -> None:
        """Drop what nobody will ask for any more."""
        while self._newborn:
            oldest = next(iter(self._newborn.values()))
            if now - oldest.at < NEWBORN_SECONDS:
                break
            del self._newborn[oldest.process]
        for process in list(self._ends)[: max(0, len(self._ends) - ENDS_KEPT)]:
            if process not in followed:
                del self._ends[process]
        alive = {dossier.kernel.id for dossier in self._dossiers.values()}
        for kernel_id, case in list(self._last.items()):
            if case.verdict is None or now - case.ended.at < KEPT_SECONDS or kernel_id in alive:
                continue
            del self._last[kernel_id]
            self._courses.pop(kernel_id, None)
            gone = self._newest.pop(kernel_id)
            self._ids.pop(gone.kernel.connection_file, None)
