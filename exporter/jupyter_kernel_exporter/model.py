"""The nouns that travel between the rooms: frozen, plain, without behaviour of their own.

Vocabulary: a *kernel* is always a Jupyter kernel; the operating system is *linux*.
A value that could not be read is ``None``, never 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class ProcessId(NamedTuple):
    """A process for as long as the machine runs: a pid alone is reused, this pair is not.

    ``start_ticks`` is field 22 of ``/proc/PID/stat``, clock ticks since boot (proc_pid_stat(5)).
    """

    pid: int
    start_ticks: int


class State(StrEnum):
    """What a kernel does just now; the values of the label ``state``."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Which limit a number is about; the values of the label ``scope``."""

    RLIMIT = "rlimit"
    CGROUP = "cgroup"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that is alive, and whose it is. The same object while nothing of it changes."""

    id: str
    """The ID in ``kernel-ID.json``, or the connection file's stem where there is none."""
    process: ProcessId
    """The process that answers on the kernel's ports; never a wrapper or a forked worker."""
    username: str
    """JUPYTERHUB_USER of its environment if readable, else the owner of the process."""
    kernel_name: str = ""
    """The kernelspec's name; empty where the connection file names none."""
    notebook: str = ""
    """Path of the notebook, or a directory with a slash at its end; empty where nobody says."""
    server: str = ""
    """JUPYTERHUB_SERVER_NAME, or ``:PORT`` of the Jupyter server that started it; may be empty."""
    container: str = ""
    """Container id (12 digits), systemd unit or Slurm job, from the cgroup path; may be empty."""
    connection_file: str = ""
    """Path as the kernel itself sees it. Never its contents: they hold the key to run code."""
    started_at: float = 0.0
    """Start of the present process, seconds since the epoch."""
    ready: bool | None = None
    """Whether its ports were ever seen open; ``None`` where that cannot be told."""
    promised_bytes: int | None = None
    """MEM_LIMIT of its environment: what the hub's spawner was to allow. It binds nobody."""


class MemoryLimit(NamedTuple):
    """A limit that would end the kernel or fail its allocations, and what is left below it."""

    scope: Scope
    limit_bytes: int
    """That of the machine is with the swap that may be used."""
    headroom_bytes: int
    """What may still be taken, by whomever, before the limit strikes. Never negative."""
    place: str = ""
    """What has the limit, so that it is told apart from others: the cgroup, or the machine with or
    without its swap. Empty for a process' own."""


def find_tightest(limits: Iterable[MemoryLimit]) -> MemoryLimit | None:
    """The limit that would strike first; ``None`` without any."""
    return min(limits, key=_headroom, default=None)


def _headroom(limit: MemoryLimit) -> int:
    return limit.headroom_bytes


def find_promise(kernel: Kernel, limits: Iterable[MemoryLimit]) -> int | None:
    """What a spawner has promised to a kernel, bytes, if no cgroup is seen to enforce anything."""
    enforced = any(limit.scope is Scope.CGROUP for limit in limits)
    return None if enforced else kernel.promised_bytes


class Sample(NamedTuple):
    """One look at one kernel. Bytes and seconds throughout."""

    rss_bytes: int
    peak_rss_bytes: int | None
    swap_bytes: int | None
    children: int
    children_rss_bytes: int
    anonymous_bytes: int
    """Memory of the kernel and its descendants that no file stands behind, swapped out or not."""
    cpu_user_seconds: float
    """Of the kernel and all its descendants, those that have exited included; never goes down."""
    cpu_system_seconds: float
    major_page_faults: int
    threads: int
    open_fds: int | None = None
    oom_score: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    io_wait_seconds: float | None = None
    pss_bytes: int | None = None
    gpu_memory_bytes: Mapping[str, int] = MappingProxyType({})
    """By the index of the GPU."""
    state: State = State.UNKNOWN
    last_activity_at: float | None = None
    """Seconds since the epoch."""
    busy_seconds: float | None = None
    cpu_limit_cores: float | None = None
    """The tightest CPU quota of its cgroups, in processors; ``None`` without one."""
    memory_errors: int | None = None
    """MemoryErrors that reached a cell's output; ``None`` while nobody listens to the kernel."""
    other_errors: int | None = None


class Look(NamedTuple):
    """What was seen of a kernel in one tick."""

    sample: Sample
    """The same object for as long as the kernel rests."""
    limits: tuple[MemoryLimit, ...] = ()
    """What others take changes what is left, so they are of this very tick."""


class Said(NamedTuple):
    """What a kernel says of itself, for as long as somebody listens."""

    state: State
    """UNKNOWN until it was heard."""
    busy_seconds: float | None
    last_activity_at: float | None
    """Seconds since the epoch."""
    memory_errors: int
    other_errors: int


class Restarts(NamedTuple):
    """New processes of one kernel, since it is known here."""

    automatic: int = 0
    requested: int = 0


class LiveKernel(NamedTuple):
    """A kernel with the newest look at it."""

    kernel: Kernel
    sample: Sample
    limits: tuple[MemoryLimit, ...] = ()
    restarts: Restarts = Restarts()
    exhaustion_seconds: float | None = None
    """Until the tightest limit is reached, ``inf`` if nothing points that way; ``None`` if no
    limit is known."""


class LastDeath(NamedTuple):
    """The newest end of a kernel's process, kept for a while for those who come later."""

    kernel: Kernel
    """As it was."""
    ended_at: float
    """Seconds since the epoch."""
    reason: str
    status: str
    """``exit 3``, ``SIGSEGV``, …; empty if nobody could tell."""
    gave_up: bool = False
    """Jupyter's restarter has given up on the kernel."""


class DeathCount(NamedTuple):
    """How many kernels of one person and kernelspec ended for one reason."""

    username: str
    kernel_name: str
    reason: str
    total: int
    last_kernel_id: str = ""
    """Of the newest of them; empty if that was before this daemon's start."""
    last_at: float = 0.0
    """Its end, seconds since the epoch."""


class WorkerOomCount(NamedTuple):
    """How many descendants of living kernels linux killed for memory."""

    username: str
    kernel_name: str
    total: int


class SourceStatus(NamedTuple):
    """How one source fared in the last tick."""

    name: str
    up: bool
    duration_seconds: float
    problem: str
    """One sentence for people; empty while the source is up."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the world may see at one moment. Replaced whole at each tick, never changed."""

    taken_at: float
    """Seconds since the epoch."""
    kernels: tuple[LiveKernel, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    sample_duration_seconds: float = 0.0
    sample_lag_seconds: float = 0.0
    """How long after its due time the last tick began."""
    skipped_files: Mapping[str, int] = field(default_factory=dict)
    """Connection files that were passed over since the daemon started, by cause."""
    death_counts: tuple[DeathCount, ...] = ()
    """Every reason for each person and kernelspec ever seen here, most of them 0."""
    worker_oom_counts: tuple[WorkerOomCount, ...] = ()
    last_deaths: tuple[LastDeath, ...] = ()
    """Of the last quarter of an hour, one for each kernel, oldest first."""
