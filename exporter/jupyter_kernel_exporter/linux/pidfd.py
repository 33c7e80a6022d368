"""Descriptors of processes: readable when the process is over, and never another one's.

pidfd_open(2), linux 5.3. A pidfd is readable, also for epoll, when the *last* thread has ended and
not before, whoever waits for the process or does not. Since linux 6.15 it also tells the wait
status (PIDFD_GET_INFO, ``linux/pidfd.h``), to every user, but only once the process was waited
for by its parent; until then there is a zombie, which :mod:`.zombie` reads.

A pidfd is of the caller's pid namespace. The other facts of a process are read below ``root``,
and where that is the /proc of another namespace, a number means two processes:
:func:`check_namespace` says so once, before anything is opened.
"""

import errno
import fcntl
import os
import select
import struct

from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sources import Unavailable

PIDFD_GET_INFO = 0xC040FF0B
"""``_IOWR(0xFF, 11, struct pidfd_info)`` with the 64 bytes of the first published version."""
PIDFD_INFO_EXIT = 1 << 3

_INFO = struct.Struct("=QQ11Ii")
"""struct pidfd_info: mask, cgroup, pids and users, the exit code last."""
_NOT_KNOWN = (errno.ENOTTY, errno.EINVAL, errno.ESRCH)
"""No such request (before 6.13); not with this mask; nothing kept of the process (before 6.15)."""


def check_namespace(root: str) -> None:
    """Raise :exc:`Unavailable` unless ``root`` shows the caller's own pid namespace."""
    try:
        with open(f"{root}/self/status", "rb") as file:
            status = file.read()
    except FileNotFoundError:  # that namespace does not know us
        status = b""
    # A /proc shows a process' pid in its own namespace and in all below it.
    pids = [line.split()[1:] for line in status.splitlines() if line.startswith(b"NSpid:")]
    if pids != [[b"%d" % os.getpid()]]:
        raise Unavailable(
            f"{root} is of another pid namespace: run in the host's (docker: pid host)"
        )


def check(root: str) -> bool:
    """``True`` if pidfds work here. Raises :exc:`Unavailable` where they do not."""
    check_namespace(root)
    stat = read_stat(root, os.getpid())
    fd = open_process(root, ProcessId(os.getpid(), stat.start_ticks)) if stat else None
    if fd is not None:
        os.close(fd)
    return True


def open_process(root: str, process: ProcessId) -> int | None:
    """Open a pidfd; ``None`` if the process is gone (zombies are not). The caller closes it.

    Raises :exc:`Unavailable` where linux has none, :exc:`OSError` where descriptors run out.
    """
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        raise Unavailable(
            "no pidfd_open: it needs linux 5.3, and a seccomp filter that lets it pass"
        ) from error
    # The process had its pid before the descriptor was opened. If it has it still, it had it all
    # the while, and the descriptor is its own.
    try:
        stat = read_stat(root, process.pid)
    except BaseException:
        os.close(fd)
        raise
    if stat is None or stat.start_ticks != process.start_ticks:
        os.close(fd)
        return None
    return fd


def has_ended(fd: int) -> bool:
    """Whether the process is over, all of its threads."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def read_exit_status(fd: int) -> WaitStatus | None:
    """How the process ended; ``None`` while nobody has waited for it, and before linux 6.15.

    There is no event for the moment it becomes known: ask again, or read the zombie.
    """
    info = bytearray(_INFO.size)
    _INFO.pack_into(info, 0, PIDFD_INFO_EXIT, *[0] * 13)
    try:
        fcntl.ioctl(fd, PIDFD_GET_INFO, info)
    except OSError as error:
        if error.errno in _NOT_KNOWN:
            return None
        raise
    mask, *_, wait_status = _INFO.unpack(info)
    return WaitStatus.from_raw(wait_status) if mask & PIDFD_INFO_EXIT else None
