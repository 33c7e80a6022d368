"""Every metric once: its name, its type, its help, its labels, and where its value comes from.

The collector walks :data:`METRICS` from top to bottom, and ``docs/metrics.md`` is made from it.
A new metric is one more row, of the kind (see ``rows``) that fits what it has a series for.
"""

import platform
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

import jupyter_kernel_exporter
from jupyter_kernel_exporter.deaths.record import RestartCause
from jupyter_kernel_exporter.model import LiveKernel, Snapshot, State, find_promise
from jupyter_kernel_exporter.publish.rows import (
    HostMetric,
    InfoMetric,
    KernelMetric,
    Kind,
    Metric,
    Number,
    SplitMetric,
)


class Mode(StrEnum):
    """Where processor time went; the values of the label ``mode``."""

    USER = "user"
    SYSTEM = "system"


class Direction(StrEnum):
    """Which way bytes went; the values of the label ``direction``."""

    READ = "read"
    WRITE = "write"


class CellError(StrEnum):
    """Which exception it was; the values of the label ``error``."""

    MEMORY_ERROR = "MemoryError"
    OTHER = "other"


_STATES = {true: [(state, int(state is true)) for state in State] for true in State}


def _count_kernels(snapshot: Snapshot) -> Iterator[tuple[tuple[str, ...], Number]]:
    """Live kernels by owner and kernelspec."""
    pairs = Counter((live.kernel.username, live.kernel.kernel_name) for live in snapshot.kernels)
    yield from pairs.items()


def _promises(live: LiveKernel) -> Iterator[tuple[str, Number]]:
    """What the spawner said, where no cgroup does."""
    promise = find_promise(live.kernel, live.limits)
    if promise is not None:
        yield str(promise), 1


METRICS: tuple[Metric, ...] = (
    InfoMetric(
        "jupyter_kernel_info",
        Kind.GAUGE,
        "Facts about a kernel as labels, to join with the other metrics; the value is always 1.",
        ("kernel_name", "notebook", "server", "pid", "container"),
        lambda kernel: (
            kernel.kernel_name,
            kernel.notebook,
            kernel.server,
            str(kernel.process.pid),
            kernel.container,
        ),
    ),
    KernelMetric(
        "jupyter_kernel_memory_rss_bytes",
        Kind.GAUGE,
        "Resident memory of the kernel process in bytes, its descendants apart.",
        lambda live: live.sample.rss_bytes,
    ),
    KernelMetric(
        "jupyter_kernel_memory_peak_rss_bytes",
        Kind.GAUGE,
        "Highest resident memory of the kernel process in bytes since it started.",
        lambda live: live.sample.peak_rss_bytes,
    ),
    KernelMetric(
        "jupyter_kernel_memory_swap_bytes",
        Kind.GAUGE,
        "Memory of the kernel process in bytes that is swapped out.",
        lambda live: live.sample.swap_bytes,
    ),
    KernelMetric(
        "jupyter_kernel_memory_pss_bytes",
        Kind.GAUGE,
        "Proportional share of the kernel process's memory in bytes; only where switched on.",
        lambda live: live.sample.pss_bytes,
    ),
    KernelMetric(
        "jupyter_kernel_children",
        Kind.GAUGE,
        "Number of living descendant processes of the kernel.",
        lambda live: live.sample.children,
    ),
    KernelMetric(
        "jupyter_kernel_children_memory_rss_bytes",
        Kind.GAUGE,
        "Resident memory of the kernel's descendants in bytes, to add to the kernel's own.",
        lambda live: live.sample.children_rss_bytes,
    ),
    SplitMetric(
        "jupyter_kernel_memory_limit_bytes",
        Kind.GAUGE,
        "Limit in bytes that would end the kernel or fail its allocations; cgroup is the tightest "
        "of its chain, host the machine's memory with the swap that may be used.",
        "scope",
        lambda live: [(limit.scope, limit.limit_bytes) for limit in live.limits],
    ),
    SplitMetric(
        "jupyter_kernel_memory_limit_info",
        Kind.GAUGE,
        "MEM_LIMIT of the kernel's environment in bytes, as a label; only where no cgroup limits "
        "it, so that nothing is seen to enforce that; the value is always 1.",
        "mem_limit",
        _promises,
    ),
    SplitMetric(
        "jupyter_kernel_memory_headroom_bytes",
        Kind.GAUGE,
        "Memory in bytes that may still be taken, by whomever, before that limit strikes; page "
        "cache that can be dropped counts as free, and so does the machine's swap for host.",
        "scope",
        lambda live: [(limit.scope, limit.headroom_bytes) for limit in live.limits],
    ),
    KernelMetric(
        "jupyter_kernel_memory_exhaustion_seconds",
        Kind.GAUGE,
        "Forecast: seconds until the tightest headroom is used up; +Inf when nothing points that "
        "way.",
        lambda live: live.exhaustion_seconds,
    ),
    KernelMetric(
        "jupyter_kernel_oom_score",
        Kind.GAUGE,
        "Badness of the kernel process to linux, from 0 to 2000 and without unit; out of memory, "
        "the process with the highest is killed first.",
        lambda live: live.sample.oom_score,
    ),
    SplitMetric(
        "jupyter_kernel_cpu_seconds_total",
        Kind.COUNTER,
        "Processor time in seconds of the kernel and all its descendants, those that have exited "
        "included.",
        "mode",
        lambda live: (
            (Mode.USER, live.sample.cpu_user_seconds),
            (Mode.SYSTEM, live.sample.cpu_system_seconds),
        ),
    ),
    KernelMetric(
        "jupyter_kernel_cpu_limit_cores",
        Kind.GAUGE,
        "Tightest CPU quota of the kernel's cgroups in processors; only where there is one.",
        lambda live: live.sample.cpu_limit_cores,
    ),
    SplitMetric(
        "jupyter_kernel_io_bytes_total",
        Kind.COUNTER,
        "Bytes that the kernel process caused to be read from or written to storage; only where "
        "readable.",
        "direction",
        lambda live: (
            (Direction.READ, live.sample.io_read_bytes),
            (Direction.WRITE, live.sample.io_write_bytes),
        ),
    ),
    KernelMetric(
        "jupyter_kernel_io_wait_seconds_total",
        Kind.COUNTER,
        "Time in seconds that the kernel process was blocked on block I/O; only where linux "
        "accounts for delays.",
        lambda live: live.sample.io_wait_seconds,
    ),
    KernelMetric(
        "jupyter_kernel_major_page_faults_total",
        Kind.COUNTER,
        "Page faults of the kernel process that had to wait for storage.",
        lambda live: live.sample.major_page_faults,
    ),
    KernelMetric(
        "jupyter_kernel_threads",
        Kind.GAUGE,
        "Number of threads of the kernel process.",
        lambda live: live.sample.threads,
    ),
    KernelMetric(
        "jupyter_kernel_open_fds",
        Kind.GAUGE,
        "Number of open file descriptors of the kernel process.",
        lambda live: live.sample.open_fds,
    ),
    KernelMetric(
        "jupyter_kernel_start_time_seconds",
        Kind.GAUGE,
        "Start of the kernel's present process in seconds since the epoch.",
        lambda live: live.kernel.started_at,
    ),
    SplitMetric(
        "jupyter_kernel_state",
        Kind.GAUGE,
        "Whether the kernel is in that state (1) or not (0); exactly one state is 1.",
        "state",
        lambda live: _STATES[live.sample.state],
    ),
    KernelMetric(
        "jupyter_kernel_last_activity_timestamp_seconds",
        Kind.GAUGE,
        "When the kernel was last active, in seconds since the epoch.",
        lambda live: live.sample.last_activity_at,
    ),
    KernelMetric(
        "jupyter_kernel_busy_seconds_total",
        Kind.COUNTER,
        "Time in seconds that the kernel was busy.",
        lambda live: live.sample.busy_seconds,
    ),
    SplitMetric(
        "jupyter_kernel_errors_total",
        Kind.COUNTER,
        "Exceptions that reached a cell's output while somebody listened to the kernel.",
        "error",
        lambda live: (
            (CellError.MEMORY_ERROR, live.sample.memory_errors),
            (CellError.OTHER, live.sample.other_errors),
        ),
    ),
    SplitMetric(
        "jupyter_kernel_restarts_total",
        Kind.COUNTER,
        "New processes of the kernel, by who started them: Jupyter's restarter or a person.",
        "cause",
        lambda live: (
            (RestartCause.AUTOMATIC, live.restarts.automatic),
            (RestartCause.REQUESTED, live.restarts.requested),
        ),
    ),
    SplitMetric(
        "jupyter_kernel_gpu_memory_bytes",
        Kind.GAUGE,
        "Memory in bytes that the kernel and its descendants hold on a GPU, by the GPU's index.",
        "gpu",
        lambda live: live.sample.gpu_memory_bytes.items(),
    ),
    HostMetric(
        "jupyter_kernels",
        Kind.GAUGE,
        "Number of live kernels by owner and kernelspec.",
        ("username", "kernel_name"),
        _count_kernels,
    ),
    HostMetric(
        "jupyter_kernel_last_death_timestamp_seconds",
        Kind.GAUGE,
        "End of the kernel's last process in seconds since the epoch; kept for 15 minutes.",
        ("kernel_id", "username", "reason", "status"),
        lambda snapshot: (
            ((last.kernel.id, last.kernel.username, last.reason, last.status), last.ended_at)
            for last in snapshot.last_deaths
        ),
    ),
    HostMetric(
        "jupyter_kernel_gave_up_timestamp_seconds",
        Kind.GAUGE,
        "End of the kernel's last process in seconds since the epoch, where Jupyter's restarter "
        "has given up on it; kept for 15 minutes.",
        ("kernel_id", "username"),
        lambda snapshot: (
            ((last.kernel.id, last.kernel.username), last.ended_at)
            for last in snapshot.last_deaths
            if last.gave_up
        ),
    ),
    HostMetric(
        "jupyter_kernel_deaths_total",
        Kind.COUNTER,
        "Kernel processes that ended, by reason; lasts over restarts of the exporter.",
        ("username", "kernel_name", "reason"),
        lambda snapshot: (
            ((count.username, count.kernel_name, count.reason), count.total)
            for count in snapshot.death_counts
        ),
        lambda snapshot: ((c.last_kernel_id, c.last_at) for c in snapshot.death_counts),
    ),
    HostMetric(
        "jupyter_kernel_worker_oom_kills_total",
        Kind.COUNTER,
        "Descendants of living kernels that linux killed for memory; lasts over restarts of the "
        "exporter.",
        ("username", "kernel_name"),
        lambda snapshot: (
            ((count.username, count.kernel_name), count.total)
            for count in snapshot.worker_oom_counts
        ),
    ),
    HostMetric(
        "jupyter_kernel_exporter_build_info",
        Kind.GAUGE,
        "Versions of the exporter and of its Python as labels; the value is always 1.",
        ("version", "pythonversion"),
        lambda _: (((jupyter_kernel_exporter.__version__, platform.python_version()), 1),),
    ),
    HostMetric(
        "jupyter_kernel_exporter_source_up",
        Kind.GAUGE,
        "Whether a source could be read as it should in the last sample (1) or not (0).",
        ("source",),
        lambda snapshot: (((source.name,), int(source.up)) for source in snapshot.sources),
    ),
    HostMetric(
        "jupyter_kernel_exporter_source_duration_seconds",
        Kind.GAUGE,
        "Time in seconds that reading a source took in the last sample.",
        ("source",),
        lambda snapshot: (((source.name,), source.duration_seconds) for source in snapshot.sources),
    ),
    HostMetric(
        "jupyter_kernel_exporter_sample_duration_seconds",
        Kind.GAUGE,
        "Time in seconds that the last sample of all kernels took.",
        (),
        lambda snapshot: (((), snapshot.sample_duration_seconds),),
    ),
    HostMetric(
        "jupyter_kernel_exporter_sample_lag_seconds",
        Kind.GAUGE,
        "How long after its due time the last sample began, in seconds.",
        (),
        lambda snapshot: (((), snapshot.sample_lag_seconds),),
    ),
    HostMetric(
        "jupyter_kernel_exporter_connection_files_skipped_total",
        Kind.COUNTER,
        "Connection files that were passed over since the exporter started, by cause.",
        ("cause",),
        lambda snapshot: (((cause,), count) for cause, count in snapshot.skipped_files.items()),
    ),
)
