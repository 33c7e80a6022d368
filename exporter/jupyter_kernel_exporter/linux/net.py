"""Sockets that are listened on, and who holds them: ``/proc/PID/net/{tcp,tcp6,unix}``, ``fd``.

Formats: proc_pid_net(5), kernel document networking/proc_net_tcp. ``/proc/PID/net`` shows the
network namespace of that process to everybody; ``/proc/PID/fd`` only to the same user and to
CAP_SYS_PTRACE.
"""

import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

from jupyter_kernel_exporter.linux.proc import GONE

_LISTEN = "0A"
_NEW_SYN_RECV = "03"
_ACCEPTS_CONNECTIONS = 1 << 16
"""``__SO_ACCEPTCON`` in the flags of ``/proc/net/unix``: somebody listens."""


class Listener(NamedTuple):
    """A socket that waits for connections."""

    inode: int
    uid: int | None
    """User who made it; unix sockets do not tell."""


def parse_tcp(lines: Iterable[str]) -> dict[int, list[Listener]]:
    """Parse ``/proc/net/tcp`` or ``tcp6`` into the listeners of each local port.

    linux lists the listening sockets first, and a busy machine has a hundred thousand others:
    parsing ends at the first of those.

    >>> sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt  uid timeout inode
    >>>  0: 0100007F:A2C3 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000       0 31337
    """
    found: dict[int, list[Listener]] = {}
    for line in lines:
        fields = line.split()
        if len(fields) < 10 or not fields[0].endswith(":"):
            continue
        if fields[3] == _LISTEN:
            port = int(fields[1].rpartition(":")[2], 16)
            found.setdefault(port, []).append(Listener(int(fields[9]), int(fields[7])))
        elif fields[3] != _NEW_SYN_RECV:  # before 4.4 these stood between the listeners
            break
    return found


def parse_unix(lines: Iterable[str]) -> dict[str, list[Listener]]:
    """Parse ``/proc/net/unix`` into the listeners of each path, as it was given to bind(2).

    >>> Num       RefCount Protocol Flags    Type St Inode Path
    >>> 00000000a8add9e7: 00000002 00000000 00010000 0001 01  1074 /run/user/1000/kernel-a-ipc-1
    """
    found: dict[str, list[Listener]] = {}
    for line in lines:
        fields = line.rstrip("\n").split(None, 7)
        # A path may hold newlines: what follows one looks like anything, so trust no column.
        try:
            listens = len(fields) == 8 and int(fields[3], 16) & _ACCEPTS_CONNECTIONS
            if listens:
                found.setdefault(fields[7], []).append(Listener(int(fields[6]), None))
        except ValueError:
            continue
    return found


def read_tcp(root: str, pid: int) -> dict[int, list[Listener]]:
    """Who listens on which TCP port in the network namespace of a process; empty if it is gone."""
    found: dict[int, list[Listener]] = {}
    for family in ("tcp", "tcp6"):
        try:
            with open(f"{root}/{pid}/net/{family}", encoding="ascii") as file:
                for port, listeners in parse_tcp(file).items():
                    found.setdefault(port, []).extend(listeners)
        except GONE:  # or linux without IPv6
            continue
        except OSError as error:
            _raise_unless_gone(error)
    return found


def read_unix(root: str, pid: int) -> dict[str, list[Listener]]:
    """Who listens on which path in the network namespace of a process; empty if it is gone."""
    try:
        with open(f"{root}/{pid}/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            return parse_unix(file)
    except GONE:
        return {}
    except OSError as error:
        _raise_unless_gone(error)
        return {}


def _raise_unless_gone(error: OSError) -> None:
    """A process that ends between the look-up and the opening gives ENXIO (fs/proc/proc_net.c)."""
    if error.errno != errno.ENXIO:
        raise error


def read_namespace(root: str, pid: int) -> str | None:
    """Name of the network namespace of a process, such as ``net:[4026531840]``; ``None`` if gone.

    Raises :exc:`PermissionError` for another user's process without CAP_SYS_PTRACE.
    """
    try:
        return os.readlink(f"{root}/{pid}/ns/net")
    except GONE:
        return None


def read_sockets(root: str, pid: int) -> frozenset[int]:
    """Inode numbers of the sockets that a process holds open; empty if it is gone.

    Raises :exc:`PermissionError` for another user's process without CAP_SYS_PTRACE.
    """
    sockets = []
    folder = f"{root}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except GONE:
        return frozenset()
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except GONE:
            continue  # closed in the meantime
        if target.startswith("socket:["):
            sockets.append(int(target[8:-1]))
    return frozenset(sockets)
