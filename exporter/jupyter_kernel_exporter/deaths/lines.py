"""The line to one kernel's iopub: a socket that listens and says nothing but "I listen".

It is made so that the kernel cannot be hurt by it:

* It is bound to another loopback address than the kernel's own. A client that tries a local port
  again and again is some day given that very port as its own source, connects to itself, and the
  kernel that comes back finds its port taken (https://stackoverflow.com/q/5139808).
* That also keeps it on this machine, wherever a connection file, which is its user's to write,
  would like to send it. A socket file is used only if its listener runs as the kernel's user.
"""

import errno
import ipaddress
import os
import select
import socket
import struct
from dataclasses import dataclass, field
from typing import Protocol

from jupyter_kernel_exporter.deaths.zmtp import Frame, ProtocolError, Subscriber
from jupyter_kernel_exporter.linux import netns

SOURCE_IPV4 = "127.0.0.2"
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; the port is chosen by connect, of all that are free
SO_PEERCRED_SIZE = 12

CHUNK = 256 * 1024
"""Bytes taken from a socket at once."""
CHUNKS = 8
"""Chunks taken from one kernel before the others have their turn."""


class UnreachableError(ValueError):
    """The connection file names a place that is not listened to; the text says why."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a kernel publishes, and what it takes to understand it. Its repr holds no secret."""

    ip: str
    """IP address, or with ``ipc`` the path of the sockets without ``-PORT``."""
    iopub_port: int
    transport: str = "tcp"
    key: bytes = field(default=b"", repr=False)
    signature_scheme: str = "hmac-sha256"
    curve_publickey: bytes = field(default=b"", repr=False)
    curve_secretkey: bytes = field(default=b"", repr=False)
    netns: str | None = None
    """``/proc/PID/ns/net`` of the kernel, or better of a process in there that outlives it."""
    root: str = "/"
    """``/proc/PID/root`` for a kernel that sees another file system; for ``ipc`` only."""
    uid: int | None = None
    """The kernel's user; who listens on an ``ipc`` socket must be the same."""


class Line(Protocol):
    """A connection to one iopub."""

    @property
    def ready(self) -> bool:
        """Whether everything that is published comes in."""

    def fileno(self) -> int:
        """To wait for."""

    def waits_to_write(self) -> bool:
        """Whether to wait for room to send, too."""

    def work(self) -> tuple[list[list[Frame]], int]:
        """Take what has come: messages, and how many bytes they and all else were.

        Raises :exc:`OSError` or :exc:`ProtocolError` if the line is dead. What came before its
        end has been returned by then.
        """

    def pending(self) -> bool:
        """Whether there is more to take at once, of which the descriptor may not tell."""

    def close(self) -> None:
        """Hang up."""


def tcp_address(connection: Connection) -> tuple[socket.AddressFamily, str, int]:
    """Where a TCP kernel publishes; an address that means "every one" is the loopback one."""
    if not 0 < connection.iopub_port < 65536:
        raise UnreachableError(f"no TCP port: {connection.iopub_port}")
    ip = {"localhost": "127.0.0.1", "*": "127.0.0.1", "": "127.0.0.1"}.get(
        connection.ip, connection.ip
    )
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        raise UnreachableError("the connection file holds no IP address") from None
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return family, str(address), connection.iopub_port


def ipc_path(connection: Connection) -> str:
    """The socket file of an IPC kernel, as this process sees it."""
    if not connection.ip.startswith("/") or "\0" in connection.ip:
        raise UnreachableError("the connection file holds no absolute socket path")
    return f"{connection.root.rstrip('/')}{connection.ip}-{connection.iopub_port}"


class PlainLine:
    """A line without encryption. The buffer is the thread's: one for all its lines."""

    def __init__(self, connection: Connection, buffer: bytearray) -> None:
        """Begin to connect; raises :exc:`OSError` or :exc:`UnreachableError`."""
        self._subscriber = Subscriber()
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._ended: Exception | None = None
        if connection.transport == "ipc":
            self._socket = _connect_ipc(connection)
            self._connecting = False
        elif connection.transport == "tcp":
            self._socket = _connect_tcp(connection)
            self._connecting = True
        else:
            raise UnreachableError(f"unknown transport {connection.transport[:20]!r}")

    @property
    def ready(self) -> bool:
        """Whether the handshake is done."""
        return self._subscriber.ready and not self._subscriber.outgoing

    def fileno(self) -> int:
        """The socket."""
        return self._socket.fileno()

    def waits_to_write(self) -> bool:
        """Whether something waits to be sent; after the handshake never again."""
        return self._connecting or bool(self._subscriber.outgoing)

    def work(self) -> tuple[list[list[Frame]], int]:
        """Take what has come, eight chunks at most; see :class:`Line`."""
        if self._ended is not None:
            raise self._ended
        if self._connecting:
            self._finish_connecting()
        messages: list[list[Frame]] = []
        total = 0
        try:
            for _ in range(CHUNKS):
                count = self._take(messages)
                total += count
                if count < len(self._buffer) and not self._subscriber.skipping:
                    break
            self._send()
        except BlockingIOError:
            self._send()
        except (OSError, ProtocolError) as error:
            if not messages:
                raise
            self._ended = error  # said at the next call: what came before it counts
        return messages, total

    def pending(self) -> bool:
        """Never: the descriptor is readable as long as there is something."""
        return False

    def close(self) -> None:
        """Close the socket."""
        self._view.release()
        self._socket.close()

    def _take(self, messages: list[list[Frame]]) -> int:
        """One read. Bytes that nobody wants are dropped by linux without a copy (tcp(7))."""
        skipping = self._subscriber.skipping
        if skipping:
            count = self._socket.recv_into(
                self._view, min(skipping, len(self._buffer)), socket.MSG_TRUNC
            )
            got = self._subscriber.skip(count) if count else []
        else:
            count = self._socket.recv_into(self._view)
            got = self._subscriber.feed(bytes(self._view[:count])) if count else []
        if not count:
            raise ConnectionResetError(errno.ECONNRESET, "the kernel closed its iopub")
        messages += got
        return count

    def _send(self) -> None:
        if not self._subscriber.outgoing:
            return
        try:
            sent = self._socket.send(self._subscriber.outgoing, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        self._subscriber.outgoing = self._subscriber.outgoing[sent:]

    def _finish_connecting(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if self._socket.getsockname() == self._socket.getpeername():
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connected to itself")
        self._connecting = False


def _connect_tcp(connection: Connection) -> socket.socket:
    family, host, port = tcp_address(connection)

    def make() -> socket.socket:
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    foreign = connection.netns is not None and not netns.is_own(connection.netns)
    line = netns.within(connection.netns or "", make) if foreign else make()
    try:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        line.bind((SOURCE_IPV4 if family == socket.AF_INET else "::1", 0))
        code = line.connect_ex((host, port))
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, os.strerror(code))  # noqa: TRY301
    except OSError:
        line.close()
        raise
    return line


def _connect_ipc(connection: Connection) -> socket.socket:
    directory, name = os.path.split(ipc_path(connection))
    # A path through /proc/PID/root may be longer than the 107 bytes that an address holds.
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        line.connect(f"/proc/self/fd/{descriptor}/{name}")
        peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, SO_PEERCRED_SIZE)
        _, uid, _ = struct.unpack("iII", peer)
        if connection.uid is not None and uid != connection.uid:
            raise UnreachableError("the listener is another user's")  # noqa: TRY301
    except (OSError, UnreachableError):
        line.close()
        raise
    finally:
        os.close(descriptor)
    return line


def wanted_events(line: Line) -> int:
    """What epoll is to wake for."""
    return select.EPOLLIN | (select.EPOLLOUT if line.waits_to_write() else 0)
