"""What is left of a process between its end and its parent's wait(2).

``/proc/PID/stat`` and ``status`` of a zombie (proc_pid_stat(5), proc_pid_status(5)):

    4711 (python3) Z 4242 4711 4711 0 -1 ... 1 0 987654 ... 9        field 52: the wait status
    Threads:  1
    ShdPnd:   0000000000000100                                       bit 8: SIGKILL was sent

Its command line, environment, memory and, under version 1, its cgroups are gone already: read
those while it lives. The wait status is shown as 0, which looks like ``exit 0``, to those who may
not trace the process (PTRACE_MODE_READ_FSCREDS of ptrace(2): mostly another user without
CAP_SYS_PTRACE). Linux asks the same question for ``/proc/PID/exe``, and there it says so: a link
that is refused means a masked status, a missing one (a zombie has no program) an honest one.
``/proc/PID/io`` would be the wrong probe: of a zombie it is refused to its own user as well.
"""

import os
from typing import NamedTuple

from jupyter_kernel_exporter.linux.proc import GONE
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId

ENDED = frozenset("ZXx")
"""States of the first thread: a zombie, or (seldom seen) being taken away just now."""


class Remains(NamedTuple):
    """The end of a line of ``/proc/PID/stat``."""

    state: str
    threads: int
    """That are still there, the first one included even if it has ended."""
    start_ticks: int
    wait_status: int
    """0 while the process lives, and where it is masked."""


def parse_remains(raw: bytes) -> Remains:
    """Parse a line of ``/proc/PID/stat``; its last field came with linux 3.5.

    Raises :exc:`ValueError` for anything that is no such line.
    """
    f = raw[raw.rindex(b")") + 2 :].split()
    if len(f) < 50:
        raise ValueError(f"/proc/PID/stat: too few fields in {raw[:80]!r}")
    return Remains(f[0].decode("ascii", "replace"), int(f[17]), int(f[19]), int(f[49]))


def read_remains(root: str, pid: int) -> Remains | None:
    """``/proc/PID/stat``, or ``None`` if the process is gone."""
    raw = _read(f"{root}/{pid}/stat")
    return parse_remains(raw) if raw else None


def may_read_exit_status(root: str, pid: int) -> bool | None:
    """Whether linux would tell us the wait status of this process, alive or a zombie.

    ``None`` if the process is gone.
    """
    try:
        os.readlink(f"{root}/{pid}/exe")
    except PermissionError:
        return False
    except GONE:
        # Gone is the program, or the whole process.
        return True if os.path.exists(f"{root}/{pid}") else None
    return True


def read_exit_status(root: str, process: ProcessId) -> WaitStatus | None:
    """How the process ended, from its zombie.

    ``None`` if it is gone or not over: alive, or its first thread has ended and others have not.
    Raises :exc:`PermissionError` where linux masks the status.
    """
    readable = may_read_exit_status(root, process.pid)
    # In this order: what is there now was there when we asked, and the answer was about it.
    remains = read_remains(root, process.pid)
    if remains is None or remains.start_ticks != process.start_ticks:
        return None
    if remains.state not in ENDED or remains.threads > 1:
        return None
    if not readable:
        raise PermissionError(f"{root}/{process.pid}/stat: the exit code is masked")
    return WaitStatus.from_raw(remains.wait_status)


def parse_pending_signals(raw: bytes) -> frozenset[int]:
    """Parse ``ShdPnd`` of ``/proc/PID/status``, signals sent to the process as a whole."""
    at = raw.index(b"\nShdPnd:")
    mask = int(raw[at + 8 : raw.index(b"\n", at + 1)], 16)
    return frozenset(bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1)


def read_pending_signals(root: str, process: ProcessId) -> frozenset[int] | None:
    """The signals that were sent to a process and not taken up; ``None`` if it is gone.

    Everybody may read them. Of a zombie: what was sent to it before and after its end, so a 9 that
    killed it, a 15 without a handler, and both where the one did not help and the other had to.
    """
    raw = _read(f"{root}/{process.pid}/status")
    # Read afterwards: whoever is there now was there before.
    remains = read_remains(root, process.pid)
    if raw is None or remains is None or remains.start_ticks != process.start_ticks:
        return None
    return parse_pending_signals(raw)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except GONE:
        return None
