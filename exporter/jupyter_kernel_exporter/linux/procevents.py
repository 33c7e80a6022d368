"""Forks, execs and exits of all processes, told by linux the moment they happen.

The proc connector sends one netlink datagram for each (drivers/connector/cn_proc.c). An exit bears
the wait status at the time of death, long before anybody has waited for the process and whoever
its user is; no file has to be open, and no race is lost to a process that lives for 5 ms.

**Where it works.** Only in the machine's first network, pid and user namespace (docker: ``network
host``, ``pid host``). In another network namespace there is nobody at the other end; in another
pid or user namespace linux does not answer a request, and where it sends all the same, because
somebody outside listens as well, the pids are those of the first namespace. So without an answer
there are no events. Since about linux 6.6 it takes no privilege, before that CAP_NET_ADMIN.

**Lost events.** A full receive buffer loses events (ENOBUFS), and linux without memory for a
message loses it silently: then the sequence numbers, which count per CPU, jump. Both show as a
gap, and the reader has to look at /proc.

No event mask is set, though linux 6.6 has one: masked events use up numbers as well, so that a
jump would say nothing, and the answer to the request is masked away. And some releases (about
6.6.12 to 6.6.16 and 6.7.1 to 6.7.4, https://git.kernel.org/torvalds/c/8929f95b2b58) stop sending
for good when one event reached nobody, be it masked or lost. For their sake linux is asked after a
gap whether it still sends.
"""

import errno
import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.linux.procmessage import (
    CN_IDX_PROC,
    NO_CPU,
    Event,
    Message,
    build_listen_request,
    parse_message,
)
from jupyter_kernel_exporter.sources import Unavailable

NETLINK_CONNECTOR = 11
SO_RCVBUFFORCE = 33
"""asm-generic/socket.h; Python has no name for it."""
RECEIVE_BUFFER_BYTES = 16 << 20
"""40,000 events. Without CAP_NET_ADMIN linux cuts it to ``net.core.rmem_max``: 500, mostly."""
READ_AT_MOST = 50_000
"""Messages of one reading, so that a storm cannot hold the caller for ever."""
NEEDS_CAPABILITY = "process events need CAP_NET_ADMIN on this linux (none since about 6.6)"


class Reading(NamedTuple):
    """What came since the last look."""

    events: list[Event]
    """In the order of sending; those of different CPUs may be swapped by microseconds."""
    gap: bool
    """Events were lost before, between or after these."""


@dataclass(slots=True)
class ProcEvents:
    """An open ear for process events. Close it when done.

    The constructor raises :exc:`Unavailable` where linux does not tell us.
    """

    buffer_bytes: int = RECEIVE_BUFFER_BYTES
    _socket: socket.socket = field(init=False)
    _ready: select.epoll = field(init=False)
    """Holds the socket: what the caller waits for must stay when the socket is replaced."""
    _sequences: dict[int, int] = field(init=False, default_factory=dict)
    """The number that the next message of each CPU will bear."""

    def __post_init__(self) -> None:
        self._socket = _open(self.buffer_bytes)
        self._ready = select.epoll()
        self._ready.register(self._socket, select.EPOLLIN)

    def fileno(self) -> int:
        """A descriptor that is readable when events wait."""
        return self._ready.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._ready.close()
        self._socket.close()

    def read(self) -> Reading:
        """Everything that came, without waiting; above :data:`READ_AT_MOST` it stays for later.

        Raises :exc:`Unavailable` if linux has stopped to send and does not take us on again.
        """
        events: list[Event] = []
        gap = False
        for message in _receive(self._socket):
            if message is None or self._jumped(message):
                gap = True
            if message is not None and message.event is not None:
                events.append(message.event)
        if gap:
            events += self._revive()
        return Reading(events, gap)

    def _jumped(self, message: Message) -> bool:
        if message.cpu == NO_CPU:
            return False
        expected = self._sequences.get(message.cpu, message.sequence)
        self._sequences[message.cpu] = (message.sequence + 1) & 0xFFFFFFFF
        return message.sequence != expected

    def _revive(self) -> list[Event]:
        """After a gap: make sure that linux still sends. Returns the events that came meanwhile."""
        answer, events = _listen(self._socket)
        if answer is None:
            self._ready.unregister(self._socket)
            self._socket.close()
            self._socket = _open(self.buffer_bytes)
            self._ready.register(self._socket, select.EPOLLIN)
        self._sequences.clear()  # what has jumped up to now is told
        return events


def _open(buffer_bytes: int) -> socket.socket:
    """Open a socket that linux sends process events to, or raise :exc:`Unavailable`."""
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        sock = socket.socket(socket.AF_NETLINK, kind, NETLINK_CONNECTOR)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPERM):
            raise
        raise Unavailable(
            f"no process events ({error.strerror}): linux must have CONFIG_PROC_EVENTS,"
            " and nothing may forbid AF_NETLINK (systemd: RestrictAddressFamilies)"
        ) from error
    try:
        _subscribe(sock, buffer_bytes)
    except BaseException:
        sock.close()
        raise
    return sock


def _subscribe(sock: socket.socket, buffer_bytes: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
    except PermissionError:  # then as much as everybody may have
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    try:
        sock.bind((0, CN_IDX_PROC))
        answer, _ = _listen(sock)
    except PermissionError as error:
        raise Unavailable(NEEDS_CAPABILITY) from error
    except ConnectionRefusedError as error:
        raise Unavailable(
            "no process events in this network namespace: run in the host's (docker: network host)"
        ) from error
    if answer is None:
        raise Unavailable(
            "linux does not answer a request for process events: run in the host's pid and user"
            " namespace (docker: pid host, no user namespace)"
        )
    if answer == errno.EPERM:
        raise Unavailable(NEEDS_CAPABILITY)
    if answer:
        raise Unavailable(f"linux refuses process events: {os.strerror(answer)}")


def _listen(sock: socket.socket) -> tuple[int | None, list[Event]]:
    """Ask for all events (asking again does no harm). Returns linux' answer: 0, or an errno.

    Linux handles the request before ``send`` returns, so the answer is in the queue by then or
    never comes: then ``None``. With it come the events that were in the queue before it.
    """
    token = int.from_bytes(os.urandom(4), "little")
    sock.send(build_listen_request(token))
    events: list[Event] = []
    for message in _receive(sock):
        if message is None:
            continue
        if message.event is not None:
            events.append(message.event)
        elif message.acknowledges == (token + 1) & 0xFFFFFFFF:
            return message.error, events
    return None, events


def _receive(sock: socket.socket) -> Iterator[Message | None]:
    """The messages that wait, :data:`READ_AT_MOST` at most; ``None`` where some were lost."""
    for _ in range(READ_AT_MOST):
        try:
            raw, (port, _groups) = sock.recvfrom(4096)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield None
            continue
        # Root may send us datagrams of its own making; only linux itself has port 0.
        message = parse_message(raw) if port == 0 else None
        if message is not None:
            yield message
