"""The machine as a whole: its memory, its boot, what it accounts for."""

import time
from collections.abc import Callable
from typing import NamedTuple

from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile
from jupyter_kernel_exporter.linux.swap import NO_SWAP, Swap, read_swap


class HostMemory(NamedTuple):
    """Bytes of the whole machine."""

    total: int
    available: int
    """What can be given out without swapping, page cache that can be dropped included."""
    swap: Swap = NO_SWAP


def parse_meminfo(raw: bytes) -> HostMemory:
    """Parse ``/proc/meminfo`` (proc_meminfo(5)).

    Raises :exc:`ValueError` where a line is missing; MemAvailable is there since linux 3.14.
    """
    return HostMemory(_kibibytes(raw, b"MemTotal:"), _kibibytes(raw, b"\nMemAvailable:"))


def _kibibytes(raw: bytes, name: bytes) -> int:
    begin = raw.index(name) + len(name)
    return int(raw[begin : raw.index(b"kB", begin)]) << 10


def meminfo(procfs: str, descriptors: Descriptors) -> KeptFile:
    """One of the files of :func:`read_host_memory`; to open it takes longer than to read it."""
    return KeptFile(f"{procfs}/meminfo", descriptors)


def read_host_memory(memory: KeptFile, swap: KeptFile) -> HostMemory:
    """``MemTotal``, ``MemAvailable`` and swap, from ``/proc/meminfo`` and ``/proc/swaps``.

    Raises :exc:`FileNotFoundError` where the first is missing.
    """
    raw = memory.read()
    if raw is None:
        raise FileNotFoundError(f"no {memory.path}")
    return parse_meminfo(raw)._replace(swap=read_swap(swap))


def boot_time(wall: Callable[[], float] = time.time) -> float:
    """Boot of the machine, seconds since the epoch: what the process start times count from.

    It moves when the clock is stepped, so that start times reckoned from it stay true. The same as
    ``btime`` of ``/proc/stat``, which is rounded to seconds and takes a millisecond to read.
    """
    return wall() - time.clock_gettime(time.CLOCK_BOOTTIME)


def read_boot_id(root: str) -> str:
    """A random name of the time since this boot (random(4)): pids and ticks count from it."""
    with open(f"{root}/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def read_delay_accounting(root: str) -> bool:
    """Whether linux accounts for delays: until 5.13 always, then by kernel.task_delayacct."""
    try:
        with open(f"{root}/sys/kernel/task_delayacct", "rb", buffering=0) as file:
            return file.read().strip() == b"1"
    except FileNotFoundError:
        return True


def protect_from_oom(adjustment: int = -900) -> bool:
    """Ask linux to spare this process when memory runs out; whether it may (CAP_SYS_RESOURCE).

    The watcher has to survive what it reports. Source: proc_pid_oom_score_adj(5).
    """
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(adjustment))
    except PermissionError:
        return False
    return True
