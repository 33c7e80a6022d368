"""The files of one process that are looked at again and again."""

import os
from collections.abc import Iterator, Mapping

from jupyter_kernel_exporter.linux.cgroup import parse_paths
from jupyter_kernel_exporter.linux.cpuclock import CpuClock
from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile
from jupyter_kernel_exporter.linux.proc import (
    PAGE_SIZE,
    Stat,
    count_open_fds,
    parse_address_space_limit,
    parse_io,
    parse_stat,
    parse_status,
)
from jupyter_kernel_exporter.model import ProcessId

REST_SECONDS = 0.005
"""So much CPU time is no reason to read ``/proc/PID/stat``, which counts in clock ticks of 0.01."""
STILL_SECONDS = 0.0003
"""In so little CPU time a process takes up some MiB at most, and runs no cell: the smallest takes
an ipykernel 4 ms. RSS is believed to be as it was; not for long, for linux may swap meanwhile."""
STILL_LOOKS = 4
"""Looks in a row without reading ``statm``."""


class Pulse:
    """What is looked at of every process at every look.

    A process that spends no CPU time takes up no memory: its clock is the first to be asked. While
    RSS, from ``statm``, stays the same as well, ``stat``, which takes five times as long, cannot
    have changed by more than what the clock says.
    """

    __slots__ = (
        "_clock",
        "_process",
        "_raw",
        "_spent",
        "_stat",
        "_stat_file",
        "_statm",
        "_statm_file",
        "_still",
        "_weighed_at",
        "address_space_bytes",
        "anonymous_bytes",
        "ended",
        "hollow",
        "rss_bytes",
    )

    def __init__(
        self, procfs: str, process: ProcessId, descriptors: Descriptors, *, clock: bool = False
    ) -> None:
        self._process = process
        # Only where its pid means the same process to system calls.
        self._clock = CpuClock(process.pid) if clock else None
        self._spent = self._weighed_at = 0.0
        """What it had spent when ``stat`` was read last, and ``statm``."""
        self._still = 0
        self._statm = b""
        self._stat_file = KeptFile(f"{procfs}/{process.pid}/stat", descriptors, 1024)
        self._statm_file = KeptFile(f"{procfs}/{process.pid}/statm", descriptors, 128)
        self._stat: Stat | None = None
        self._raw = b""
        self.rss_bytes = 0
        self.anonymous_bytes = 0
        """Resident, and no file stands behind it."""
        self.address_space_bytes = 0
        self.hollow = False
        """Its main thread has ended, and with it the view of its memory and of its cgroup: what was
        known before stays. A process that is being killed looks so for a moment."""
        self.ended = False
        """It has ended; somebody has yet to wait for it."""

    def rests(self) -> bool:
        """Whether nothing has changed since the last look, but the time of children that ended."""
        spent = self._clock.read() if self._clock is not None else None
        if spent is None or not 0.0 <= spent - self._spent < REST_SECONDS:
            return False
        if self._still < STILL_LOOKS and spent - self._weighed_at < STILL_SECONDS:
            self._still += 1
            return True
        self._still, self._weighed_at = 0, spent
        return self._statm_file.read() == self._statm

    def look(self) -> Stat | None:
        """Look again; ``None`` once the process is gone: it has ended and was waited for."""
        # Since linux 6.16 statm adds up what each CPU still holds back of RSS; stat never does.
        statm = self._statm_file.read()
        # Before stat: what is spent in between is seen at the next look.
        spent = self._clock.read() if self._clock is not None else None
        raw = self._stat_file.read()
        if not statm or not raw:
            return None
        self._spent = self._weighed_at = spent or 0.0
        self._still = 0
        if raw == self._raw and statm == self._statm:
            return self._stat
        stat = parse_stat(raw)
        if stat.start_ticks != self._process.start_ticks:
            return None
        size, resident, shared, _ = statm.split(b" ", 3)
        # A main thread may end before the others: the process then looks dead and is not.
        self.hollow = size == b"0"
        self.ended = (self.hollow or stat.state in "ZX") and stat.threads <= 1
        self._raw, self._statm, self._stat = raw, statm, stat
        if not self.hollow:
            self.rss_bytes = int(resident) * PAGE_SIZE
            self.anonymous_bytes = self.rss_bytes - int(shared) * PAGE_SIZE
            self.address_space_bytes = stat.vsize
        return stat

    def close(self) -> None:
        """Close the files."""
        self._stat_file.close()
        self._statm_file.close()


class Details:
    """What is read of a kernel's own process when its pulse moved. ``None``: not readable."""

    __slots__ = (
        "_directory",
        "_io_file",
        "_oom_score_file",
        "_status_file",
        "io_read_bytes",
        "io_write_bytes",
        "oom_score",
        "open_fds",
        "peak_rss_bytes",
        "swap_bytes",
    )

    def __init__(self, procfs: str, pid: int, descriptors: Descriptors, io: bool) -> None:
        self._directory = f"{procfs}/{pid}/fd"
        self._status_file = KeptFile(f"{procfs}/{pid}/status", descriptors)
        self._io_file = KeptFile(f"{procfs}/{pid}/io", descriptors, 512) if io else None
        self._oom_score_file = KeptFile(f"{procfs}/{pid}/oom_score", descriptors, 32)
        self.peak_rss_bytes: int | None = None
        self.swap_bytes: int | None = None
        self.oom_score: int | None = None
        self.open_fds: int | None = None
        self.io_read_bytes: int | None = None
        self.io_write_bytes: int | None = None

    def look(self) -> Iterator[tuple[str, str]]:
        """Read again; gives (source, sentence) for what may not be read. Exhaust it."""
        status = self._status_file.read()
        if status:
            memory = parse_status(status)
            self.peak_rss_bytes = memory.peak_rss
            self.swap_bytes = memory.swap
        oom_score = self._oom_score_file.read()
        if oom_score:
            self.oom_score = int(oom_score)
        try:
            self.open_fds = count_open_fds(self._directory)
        except PermissionError:
            # Of a process that is just ending the number is 0, and it is listed in vain.
            if self.open_fds is None:
                yield (
                    "proc",
                    "descriptors of other users' kernels may not be counted: needs CAP_SYS_PTRACE",
                )
        if self._io_file is None:
            return
        try:
            io = self._io_file.read()
        except PermissionError:
            yield "io", "I/O of other users' kernels may not be read: needs CAP_SYS_PTRACE"
            return
        if io:
            self.io_read_bytes, self.io_write_bytes = parse_io(io)

    def close(self) -> None:
        """Close the files."""
        for file in (self._status_file, self._io_file, self._oom_score_file):
            if file is not None:
                file.close()


class Bounds:
    """What bounds a process: its own limit, and the cgroups that it is in."""

    __slots__ = ("_cgroup", "_cgroup_file", "_limits", "_limits_file", "address_space", "cgroups")

    def __init__(self, procfs: str, pid: int, descriptors: Descriptors) -> None:
        self._limits_file = KeptFile(f"{procfs}/{pid}/limits", descriptors)
        self._cgroup_file = KeptFile(f"{procfs}/{pid}/cgroup", descriptors)
        self._limits = self._cgroup = b""
        self.address_space: int | None = None
        """RLIMIT_AS, bytes; ``None`` without one."""
        self.cgroups: Mapping[str, str] | None = None
        """Paths by controller; ``None`` until they could be read."""

    def look(self) -> None:
        """Read again. Mostly nothing has changed, and there is nothing to parse."""
        limits, cgroup = self._limits_file.read(), self._cgroup_file.read()
        if limits and limits != self._limits:
            self._limits = limits
            self.address_space = parse_address_space_limit(limits)
        if cgroup and cgroup != self._cgroup:
            self._cgroup = cgroup
            self.cgroups = parse_paths(os.fsdecode(cgroup))

    def close(self) -> None:
        """Close the files."""
        self._limits_file.close()
        self._cgroup_file.close()
