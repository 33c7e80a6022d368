"""The standard metrics of the exporter's own process, ``process_…``.

The client library has a collector for them, which lists ``/proc/self/fd`` to count it: with the
descriptors that are kept open here for a thousand kernels that takes 10 ms of each scrape, a third.
Names: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
"""

import os
import resource
import time
from collections.abc import Iterator

from jupyter_kernel_exporter.linux.host import boot_time
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, PAGE_SIZE, count_open_fds, read_stat
from jupyter_kernel_exporter.publish.encode import Family
from jupyter_kernel_exporter.publish.rows import Kind, Number


class OwnProcess:
    """This process, seen through ``/proc/self`` of its own namespace."""

    def __init__(self) -> None:
        stat = read_stat("/proc", os.getpid())
        self._started_at = boot_time() + stat.start_ticks / CLOCK_TICKS if stat is not None else 0.0

    def collect(self) -> Iterator[Family]:
        """How it stands now; fewer families where ``/proc`` cannot be read."""
        stat, open_fds = read_stat("/proc", os.getpid()), count_open_fds("/proc/self/fd")
        yield _counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            time.process_time(),
        )
        if stat is not None:
            yield _gauge(
                "process_virtual_memory_bytes", "Virtual memory size in bytes.", stat.vsize
            )
            yield _gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                stat.rss_pages * PAGE_SIZE,
            )
            yield _gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                self._started_at,
            )
        if open_fds is not None:
            yield _gauge("process_open_fds", "Number of open file descriptors.", open_fds)
        yield _gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )


def _counter(name: str, text: str, value: Number) -> Family:
    return Family(name, Kind.COUNTER, text, [""], [value])


def _gauge(name: str, text: str, value: Number) -> Family:
    return Family(name, Kind.GAUGE, text, [""], [value])
