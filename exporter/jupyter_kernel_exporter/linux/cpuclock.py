"""The CPU clock of another process: what all its threads have spent, to the nanosecond.

Reading it takes a tenth of the time that ``/proc/PID/stat`` takes, and no descriptor. Nobody is
denied it (clock_getcpuclockid(3), clock_gettime(2)).
"""

import ctypes
import os
import time

_libc = ctypes.CDLL(None)


class CpuClock:
    """The clock of one process. A pid that is reused shows as a jump."""

    __slots__ = ("_id",)

    def __init__(self, pid: int) -> None:
        clock_id = ctypes.c_int()
        found = _libc.clock_getcpuclockid(ctypes.c_int(pid), ctypes.byref(clock_id)) == 0
        self._id = clock_id.value if found else None

    def read(self) -> float | None:
        """CPU seconds of the process so far; ``None`` if it is gone."""
        if self._id is None:
            return None
        try:
            return time.clock_gettime(self._id)
        except OSError:  # EINVAL: nobody has this pid
            return None


def is_own_namespace(procfs: str) -> bool:
    """Whether the pids of that /proc are those that system calls of this process mean."""
    try:
        return os.readlink(f"{procfs}/self") == str(os.getpid())
    except OSError:  # of a namespace that this process is not in
        return False
