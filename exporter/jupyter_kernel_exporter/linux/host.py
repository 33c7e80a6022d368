"""The machine as a whole: its memory, its boot, what it accounts for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil


class HostMemory(NamedTuple):
    """Bytes of the whole machine."""

    total: int
    available: int
    """What can be given out without swapping, page cache that can be dropped included."""


def read_host_memory(root: str) -> HostMemory:
    """``MemTotal`` and ``MemAvailable`` of the machine whose /proc is mounted at ``root``."""
    with _psutil_at(root):
        memory = psutil.virtual_memory()
    return HostMemory(memory.total, memory.available)


def read_boot_time(root: str) -> float:
    """Boot of the machine, seconds since the epoch.

    It moves when the clock is stepped, so that start times reckoned from it stay true.
    """
    with _psutil_at(root):
        return psutil.boot_time()


@contextmanager
def _psutil_at(root: str) -> Iterator[None]:
    """Let psutil read another /proc: it knows but one, for the whole process."""
    before = psutil.PROCFS_PATH
    psutil.PROCFS_PATH = root
    try:
        yield
    finally:
        psutil.PROCFS_PATH = before


def read_boot_id(root: str) -> str:
    """A random name of the time since this boot (random(4)): pids and ticks count from it."""
    with open(f"{root}/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def read_delay_accounting(root: str) -> bool:
    """Whether linux accounts for delays: until 5.13 always, then by kernel.task_delayacct."""
    try:
        with open(f"{root}/sys/kernel/task_delayacct", "rb") as file:
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
