"""One end that is being looked into: what is known so far, and the evidence made of it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from jupyter_kernel_exporter.deaths.dossier import Dossier, deleted_at
from jupyter_kernel_exporter.deaths.heard import Heard
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.patience import Gone
from jupyter_kernel_exporter.deaths.record import Evidence, ShutdownReply, Verdict
from jupyter_kernel_exporter.deaths.restarts import phase_seconds
from jupyter_kernel_exporter.deaths.watch import Ended
from jupyter_kernel_exporter.linux import zombie
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId

SHUTDOWN_SECONDS = 15.0
"""How long a shutdown takes at most, from its announcement to its end."""
WRAPPER_SECONDS = 0.3
"""A wrapper ends as soon after the kernel inside of it."""
LINE_SECONDS = 1.0
"""A line to iopub that went down so shortly before an end was up until it."""
HEARD_LATE_SECONDS = 0.5
"""What was said before an end may be heard so long after it."""
CPU_LIMIT_MARGIN_SECONDS = 2.0
"""The last look at a kernel's CPU time is so old, on a machine with two busy threads."""


QUICK_SECONDS = 0.02
"""Between two looks at an open case; a file is deleted and a zombie reaped within 0.1 s."""
QUICK_FOR_SECONDS = 0.5
SLOW_SECONDS = 0.1
"""The same later on: then mostly the restarter is waited for, and linux tells of what it starts."""
SECONDS_PER_CASE = 0.0005
"""With many cases looks are rarer, so that a storm of ends takes a tenth of a CPU, not all."""


def pace_seconds(cases: int, age_seconds: float) -> float:
    """From one look at an open case to the next: of so many cases, so long after its end."""
    is_new = age_seconds < QUICK_FOR_SECONDS
    return max(QUICK_SECONDS if is_new else SLOW_SECONDS, cases * SECONDS_PER_CASE)


class Clocks(NamedTuple):
    """One moment on the three clocks that facts come in."""

    wall: float
    """Seconds since the epoch."""
    monotonic: float
    boot: float
    """As process start times are: CLOCK_BOOTTIME, which goes on in suspend."""

    def started(self, process: ProcessId) -> float:
        """A process' start on CLOCK_MONOTONIC."""
        return process.start_ticks / CLOCK_TICKS - self.boot + self.monotonic


class Around(NamedTuple):
    """What is asked beside the case itself."""

    oom: OomWatch
    heard: Heard | None
    period_seconds: float
    """Of the restarter that looks after the kernel."""
    lag_seconds: float
    """How late a new process may be seen."""
    missing: frozenset[str]
    """Sources that are down."""


@dataclass(slots=True, eq=False)
class Case:
    """An open case. Times are seconds of CLOCK_MONOTONIC, ``inf``: has not happened."""

    dossier: Dossier
    ended: Ended
    status: WaitStatus | None = None
    wrapper: Ended | None = None
    file_deleted_at: float | None = inf
    server_file_deleted_at: float | None = inf
    server_ended_at: float = inf
    reaped_at: float = inf
    successor: ProcessId | None = None
    """What the server started next for the same kernel."""
    verdict: Verdict | None = None
    restart_counted: bool = False
    gave_up: bool | None = None
    listened: bool = False
    """Whether the line to its iopub was up until its end."""
    age_seconds: float = 0.0
    looked_at: float = 0.0
    due: float = -inf
    """When to look again."""

    def __post_init__(self) -> None:
        self.status = self.ended.status
        self.looked_at = self.ended.at
        if self.dossier.file is None:
            self.file_deleted_at = None
        if self.dossier.server_file is not None:
            self.server_file_deleted_at = self.dossier.server_file_deleted_at
        elif self.dossier.file is None:
            self.server_file_deleted_at = None  # else there never was one

    @property
    def files(self) -> list[str]:
        """Files that are there still, as far as is known."""
        known = (
            (self.dossier.file, self.file_deleted_at),
            (self.dossier.server_file, self.server_file_deleted_at),
        )
        return [path for path, deleted in known if path is not None and deleted == inf]

    def look(
        self,
        procfs: str,
        now: float,
        late_status: Callable[[], WaitStatus | None],
        gone: Gone,
    ) -> None:
        """See what has changed in the process table, and on disk: ``gone`` is of :attr:`files`."""
        dossier, process = self.dossier, self.ended.process
        # What has happened since the last look may have happened right after it: on a machine that
        # is overloaded we are late ourselves.
        earliest, self.looked_at = self.looked_at, now
        # A path through the server's own view of the disk ends with the server.
        lost = self.server_ended_at < inf and f"{procfs}/" in (dossier.file or "")
        if self.file_deleted_at == inf and dossier.file is not None:
            now_gone = None if lost else gone.get(dossier.file)
            self.file_deleted_at = deleted_at(now_gone, earliest)
        if self.server_file_deleted_at == inf and dossier.server_file is not None:
            now_gone = None if lost else gone.get(dossier.server_file)
            self.server_file_deleted_at = deleted_at(now_gone, earliest)
        if self.reaped_at == inf:
            remains = zombie.read_remains(procfs, process.pid)
            if remains is None or remains.start_ticks != process.start_ticks:
                self.reaped_at = now
        if self.status is None:
            self.status = late_status()

    def evidence(self, clocks: Clocks, around: Around, *, final: bool = False) -> Evidence:
        """Everything that is known now; ``final``: nothing more will come."""
        dossier, ended, heard = self.dossier, self.ended, around.heard
        kernel = dossier.kernel
        started = clocks.started(ended.process)
        self.age_seconds = max(0.0, ended.at - started)
        processes = [ended.process] + ([dossier.wrapper] if dossier.wrapper else [])
        cgroup_oom, host_oom = around.oom.rises(dossier.cgroup, processes, ended.at)
        records = around.oom.records_of(processes, ended.at)
        # Asked at once: when the line is up again, for the next process, nobody could tell.
        self.listened = listened = self.listened or _listened(heard, ended.at)
        said = [
            shutdown
            for shutdown in (heard.shutdowns if heard is not None else ())
            if max(started, ended.at - SHUTDOWN_SECONDS)
            <= shutdown.at.monotonic
            <= ended.at + HEARD_LATE_SECONDS
        ]
        replies = [shutdown.restart for shutdown in said if shutdown.restart is not None]
        spoke = heard is not None and (
            heard.session_since is not None and started <= heard.session_since.monotonic
        )
        exit_cell = heard.exit_cell if heard is not None else None
        phase = None
        gap = inf
        if self.successor is not None:
            begun = clocks.started(self.successor)
            gap = max(0.0, begun - ended.at)
            phase = phase_seconds(self.interval_seconds() or 0.0, around.period_seconds)
        status, wrapper_status, is_wrappers = self._statuses()
        missing = set(around.missing)
        if not listened and not said:
            missing.add("iopub")
        if self.file_deleted_at is None:
            missing.add("runtime_dir")
        if cgroup_oom is None:
            missing.add("cgroup")
        return Evidence(
            process=ended.process,
            ended_at=clocks.wall - clocks.monotonic + ended.at,
            observed_seconds=inf if final else max(0.0, clocks.monotonic - ended.at),
            lag_seconds=around.lag_seconds,
            status=status,
            status_pending=status is None and not final and self._may_be_told(clocks.monotonic),
            status_is_wrappers=is_wrappers,
            wrapper_status=wrapper_status,
            pending_signals=ended.pending_signals,
            reaped_seconds=self._after(self.reaped_at) if ended.exact else None,
            age_seconds=self.age_seconds,
            ready=True if kernel.ready or spoke else kernel.ready,
            cpu_limit_reached=self._used_all_cpu(),
            oom_records=records,
            cgroup_oom=cgroup_oom,
            host_oom=host_oom,
            shutdown_reply=_reply(replies) if listened or said else None,
            shutdown_request_seen=bool(said) if listened or said else None,
            exit_cell=(exit_cell is not None and exit_cell.monotonic >= started)
            if listened
            else None,
            file_deleted_seconds=self._after(self.file_deleted_at),
            server_file_deleted_seconds=self._after(self.server_file_deleted_at),
            server_died_seconds=self._after(self.server_ended_at) if dossier.server else None,
            parent_changed=None
            if ended.parent is None or dossier.parent is None
            else ended.parent != dossier.parent.pid,
            successor_seconds=gap,
            phase_seconds=phase,
            period_seconds=around.period_seconds,
            missing=frozenset(missing),
        )

    def interval_seconds(self) -> float | None:
        """From the start of what the server started to the next such; ``None`` if there is none."""
        if self.successor is None:
            return None
        ticks = self.successor.start_ticks - self.dossier.origin.start_ticks
        return ticks / CLOCK_TICKS

    def _may_be_told(self, now: float) -> bool:
        """Whether the status may still come: with the reap, or with the end of a wrapper."""
        if self.reaped_at == inf:
            return True
        awaited = self.dossier.wrapper is not None and self.wrapper is None
        return awaited and now - self.ended.at < WRAPPER_SECONDS

    def _statuses(self) -> tuple[WaitStatus | None, WaitStatus | None, bool]:
        """The kernel's status, the wrapper's, and whether the first is the wrapper's, too."""
        wrapper = self.wrapper
        if wrapper is None or wrapper.status is None:
            return self.status, None, False
        together = abs(wrapper.at - self.ended.at) <= WRAPPER_SECONDS
        if self.status is None and together:
            return wrapper.status, wrapper.status, True
        return self.status, wrapper.status, False

    def _used_all_cpu(self) -> bool | None:
        limit, look = self.dossier.cpu_limit_seconds, self.dossier.last_look
        if limit is None:
            return None if self.dossier.stillborn else False
        if look is None:
            return None
        used = look.sample.cpu_user_seconds + look.sample.cpu_system_seconds
        return used >= limit - CPU_LIMIT_MARGIN_SECONDS

    def _after(self, at: float | None) -> float | None:
        return None if at is None else at - self.ended.at


def _listened(heard: Heard | None, ended_at: float) -> bool:
    """Whether the line to the kernel was up until its end."""
    if heard is None or heard.line_changed is None:
        return False
    changed = heard.line_changed.monotonic
    return changed <= ended_at if heard.connected else changed >= ended_at - LINE_SECONDS


def _reply(replies: list[bool]) -> ShutdownReply:
    if not replies:
        return ShutdownReply.NONE
    return ShutdownReply.RESTART if replies[-1] else ShutdownReply.SHUTDOWN
