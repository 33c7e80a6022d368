"""The nouns of an end: the evidence about it, the verdict on it, and both together with the kernel.

Times that could still come are seconds after the end: negative before it, ``inf`` as long as it
has not happened. Everywhere ``None`` means that it could not be asked; ``False``, 0, ``inf`` and
empty mean that it was asked and is not so.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import NamedTuple

from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import Kernel, Look, ProcessId, Scope

RESTARTER_PERIOD_SECONDS = 3.0
"""How often Jupyter's restarter looks after a kernel by default (KernelRestarter.time_to_dead)."""


class Reason(StrEnum):
    """Why a process ended; the values of the label ``reason``."""

    OOM_CGROUP = "oom_cgroup"
    OOM_HOST = "oom_host"
    OOM_SUSPECTED = "oom_suspected"
    SEGFAULT = "segfault"
    ABORT = "abort"
    FATAL_SIGNAL = "fatal_signal"
    KILLED = "killed"
    TERMINATED = "terminated"
    STARTUP_FAILED = "startup_failed"
    EXIT_ERROR = "exit_error"
    EXIT_CLEAN = "exit_clean"
    RESTART_REQUESTED = "restart_requested"
    SHUTDOWN_REQUESTED = "shutdown_requested"
    CULLED = "culled"
    SERVER_SHUTDOWN = "server_shutdown"
    SERVER_DIED = "server_died"
    UNKNOWN = "unknown"


class RestartCause(StrEnum):
    """Who started the next process of a kernel; the values of the label ``cause``."""

    AUTOMATIC = "automatic"
    REQUESTED = "requested"


class ShutdownReply(StrEnum):
    """What a kernel said on iopub before it ended."""

    NONE = "none"
    RESTART = "restart"
    SHUTDOWN = "shutdown"


class OomRecord(NamedTuple):
    """A record of linux that its OOM killer took this very process."""

    scope: Scope
    """CGROUP: a limit was hit; HOST: the machine ran out."""
    cgroup: str = ""
    """Whose limit was hit; empty if linux did not say."""


class OomRise(NamedTuple):
    """How far a counter of OOM kills rose around an end."""

    kills: int
    others: int = 0
    """How many of these are known to be other processes, by records that name them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known about one end, as of ``observed_seconds`` after it."""

    process: ProcessId
    ended_at: float
    """Seconds since the epoch."""
    observed_seconds: float = inf
    """How long the end has been watched; ``inf``: nothing more will come."""
    lag_seconds: float = 0.05
    """How late we learn of what happens: next to nothing with events, an interval with scans."""

    # The end itself
    status: WaitStatus | None = None
    """Of the kernel's own process if possible. A masked status is ``None``, never exit 0."""
    status_pending: bool = False
    """The status is unknown as yet, and will be known once the parent has reaped the process."""
    status_is_wrappers: bool = False
    """``status`` is that of a shell around the kernel, which may say anything."""
    wrapper_status: WaitStatus | None = None
    """Of a shell around the kernel, if there was one: for people, no rule asks for it."""
    pending_signals: frozenset[int] | None = None
    """Sent to the process as a whole and not taken up (ShdPnd), as read at its end."""
    reaped_seconds: float | None = None
    """When its parent fetched the status."""
    age_seconds: float | None = None
    ready: bool | None = None
    """Whether its ports were ever open, or anything was ever heard from it."""
    cpu_limit_reached: bool | None = None
    """Whether it had used all the CPU time that the hard RLIMIT_CPU allows."""

    # Linux' OOM killer
    oom_records: tuple[OomRecord, ...] | None = None
    """Records that name this process, or the kernel inside of a wrapper."""
    cgroup_oom: OomRise | None = None
    """Of the process's own cgroup; linux counts every victim there, whatever ran out."""
    host_oom: OomRise | None = None

    # What it said on iopub, this process, of late
    shutdown_reply: ShutdownReply | None = None
    shutdown_request_seen: bool | None = None
    """It began to work on a shutdown_request."""
    exit_cell: bool | None = None
    """The last cell that began was ``exit()`` or ``quit()``."""

    # What Jupyter left behind
    file_deleted_seconds: float | None = None
    """The connection file. One that comes back at once has not been deleted."""
    server_file_deleted_seconds: float | None = None
    """``jpserver-PID.json``; ``inf`` as well if there never was one."""
    server_died_seconds: float | None = None
    """The process of the server, or of the program that started the kernel; a zombie is dead."""
    parent_changed: bool | None = None
    """Whether at its end it had another parent than the one that started it."""
    cull_logged: bool | None = None
    """Whether the log of its server says that it was culled."""

    # The next process of the same kernel
    successor_seconds: float | None = None
    """Its start."""
    phase_seconds: float | None = None
    """How far that start is off the nearest moment at which the restarter looks."""
    period_seconds: float = RESTARTER_PERIOD_SECONDS
    """The time between two such moments, as learnt from this server."""

    missing: frozenset[str] = frozenset()
    """Names of the sources that could not be asked. For people; rules ask the facts."""


class Verdict(NamedTuple):
    """Why a process ended."""

    reason: Reason
    certain: bool
    """No fact that could not be asked would have made it another reason, as far as is known."""
    because: str
    """One sentence for people."""
    rule: str
    """Name of the rule that held."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a kernel's process, explained."""

    kernel: Kernel
    evidence: Evidence
    verdict: Verdict
    last_look: Look | None = None
    """The last look at it, a second old at most; ``None`` if there was none."""
    restart: RestartCause | None = None
    """Who started the next process; ``None`` if there is none (as yet)."""
