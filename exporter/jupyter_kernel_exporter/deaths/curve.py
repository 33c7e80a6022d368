"""The line to a kernel that encrypts (CurveZMQ, transport_encryption of jupyter_client).

The encryption is libzmq's, and so are its ways: a message comes whole into memory, so the longest
one is limited, and over a longer one libzmq hangs up for good, silently. Therefore a monitor: when
it says that the connection is gone, the line is dead, and whoever owns it makes a new one.
"""

import errno
import os
import select
import struct

import zmq

from jupyter_kernel_exporter.deaths.lines import (
    SOURCE_IPV4,
    Connection,
    UnreachableError,
    ipc_path,
    tcp_address,
)
from jupyter_kernel_exporter.deaths.zmtp import Frame, ProtocolError
from jupyter_kernel_exporter.linux import netns

LONGEST_MESSAGE = 16 << 20
QUEUED_MESSAGES = 4
"""With the above, what one kernel can make this process hold: 64 MB."""
MESSAGES_AT_ONCE = 256
SOCKETS = 16384

WATCHED = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | zmq.Event.CLOSED
FAILED = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)


def make_context() -> "zmq.Context[zmq.Socket[bytes]]":
    """A context whose thread has begun, so that it belongs to the present network namespace."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, SOCKETS)
    context.socket(zmq.SUB).close()  # the first socket starts the thread
    return context


class CurveLine:
    """A line with encryption; a :class:`~jupyter_kernel_exporter.deaths.lines.Line`."""

    def __init__(self, connection: Connection, home: "zmq.Context[zmq.Socket[bytes]]") -> None:
        """Begin to connect. ``home`` is the context of the namespace that this process is in."""
        if not zmq.has("curve"):
            raise UnreachableError("the kernel encrypts, and this libzmq cannot")
        self.ready = False
        self._end: Exception | None = None
        self._directory = -1
        self._own_context = None
        if connection.netns is not None and not netns.is_own(connection.netns):
            home = self._own_context = netns.within(connection.netns, make_context)
        self._socket = home.socket(zmq.SUB)
        self._monitor = self._socket.get_monitor_socket(WATCHED | FAILED)
        # One descriptor to wait for both: an epoll can be waited for like anything else.
        self._epoll = select.epoll()
        self._epoll.register(self._socket.fileno(), select.EPOLLIN)
        self._epoll.register(self._monitor.fileno(), select.EPOLLIN)
        try:
            self._connect(connection)
        except (zmq.ZMQError, OSError, ValueError):
            self.close()
            raise

    def _connect(self, connection: Connection) -> None:
        line = self._socket
        line.linger = 0
        line.rcvhwm = QUEUED_MESSAGES
        line.maxmsgsize = LONGEST_MESSAGE
        line.reconnect_ivl = -1  # a new line is made instead
        line.curve_publickey = connection.curve_publickey
        line.curve_secretkey = connection.curve_secretkey
        line.curve_serverkey = connection.curve_publickey
        line.subscribe(b"")
        if connection.transport == "ipc":
            directory, name = os.path.split(ipc_path(connection))
            self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            line.connect(f"ipc:///proc/self/fd/{self._directory}/{name}")
            return
        _, host, port = tcp_address(connection)
        if ":" in host:
            raise UnreachableError("encrypted kernels are heard over IPv4 only")
        line.connect(f"tcp://{SOURCE_IPV4}:0;{host}:{port}")

    def fileno(self) -> int:
        """Readable when the socket or its monitor has something."""
        return self._epoll.fileno()

    def waits_to_write(self) -> bool:
        """Never: libzmq sends by itself."""
        return False

    def work(self) -> tuple[list[list[Frame]], int]:
        """Take what has come; see :class:`~jupyter_kernel_exporter.deaths.lines.Line`."""
        messages: list[list[Frame]] = []
        total = 0
        for _ in range(MESSAGES_AT_ONCE):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=True)
            except zmq.Again:
                break
            total += sum(len(frame) for frame in frames)
            messages.append(list(frames))
        if not messages and self._end is not None:
            raise self._end
        self._look_at_monitor()
        return messages, total

    def pending(self) -> bool:
        """Whether there is more; libzmq's descriptor wakes for news only, not for what is left."""
        return self._end is not None or self._socket.poll(0) > 0

    def close(self) -> None:
        """Hang up."""
        self._epoll.close()
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        if self._own_context is not None:
            self._own_context.term()
        if self._directory >= 0:
            os.close(self._directory)

    def _look_at_monitor(self) -> None:
        while True:
            try:
                event = self._monitor.recv_multipart(zmq.NOBLOCK)[0]
            except zmq.Again:
                return
            (kind,) = struct.unpack_from("=H", event)
            if kind == zmq.Event.HANDSHAKE_SUCCEEDED:
                self.ready = True
            elif kind & FAILED:
                self._end = ProtocolError("the encryption could not be agreed on")
            elif self._end is None:
                self._end = ConnectionResetError(errno.ECONNRESET, "the kernel closed its iopub")
