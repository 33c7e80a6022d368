"""Many lines served by one thread: made, waited for, taken from, and made anew when they break.

Belongs to the thread that calls ``serve``; only ``wake`` may be called from another one.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import zmq

from jupyter_kernel_exporter.deaths.curve import CurveLine, make_context
from jupyter_kernel_exporter.deaths.lines import (
    CHUNK,
    Connection,
    Line,
    PlainLine,
    wanted_events,
)
from jupyter_kernel_exporter.deaths.zmtp import Frame

RETRY_FIRST, RETRY_LAST = 0.1, 1.0
"""Seconds between two attempts to connect: soon after a line was lost, rarely later."""


@dataclass(slots=True, eq=False)
class Call:
    """A line that is kept up, whatever happens to it."""

    name: str
    connection: Connection
    line: Line | None = None
    lost_at: float = 0.0
    """Monotonic seconds; when it was last up, or first tried."""
    retry_at: float = 0.0
    problem: str = ""
    """Why there is no line; empty if there is one, or if nobody is there just now."""


class News(NamedTuple):
    """What happened on one call."""

    call: Call
    up: bool
    """Whether the line is up now, so that nothing is missed."""
    messages: list[list[Frame]]
    """Heard before it went down, if it is not up."""


class Switchboard:
    """Keeps calls up with epoll. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._by_descriptor: dict[int, Call] = {}
        self._waiting: set[Call] = set()
        """Without a line, to be tried again."""
        self._pending: set[Call] = set()
        """With more to take than was taken at once."""
        self._buffer = bytearray(CHUNK)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    def wake(self) -> None:
        """Make ``serve`` return soon."""
        os.eventfd_write(self._wake, 1)

    def serve(self) -> tuple[list[News], int]:
        """Wait until something happens: what, and how many bytes came in."""
        news: list[News] = []
        taken = 0
        ready, self._pending = self._pending, set()
        for descriptor, _ in self._epoll.poll(0 if ready else self._time_to_retry()):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            else:
                ready.add(self._by_descriptor[descriptor])
        for call in ready:
            taken += self._take(call, news)
        now = self._clock()
        for call in [call for call in self._waiting if call.retry_at <= now]:
            self._waiting.discard(call)
            self._dial(call)
        return news, taken

    def place(self, call: Call) -> None:
        """Make a line, now and whenever it breaks."""
        call.lost_at = self._clock()
        self._dial(call)

    def drop(self, call: Call) -> None:
        """Hang up, and do not call again."""
        self._waiting.discard(call)
        self._pending.discard(call)
        if call.line is not None:
            del self._by_descriptor[call.line.fileno()]
            self._epoll.unregister(call.line.fileno())
            call.line.close()
            call.line = None

    def close(self) -> None:
        """Hang up everywhere."""
        for call in [*self._by_descriptor.values(), *self._waiting]:
            self.drop(call)
        if self._context is not None:
            self._context.term()
        self._epoll.close()
        os.close(self._wake)

    def _dial(self, call: Call) -> None:
        try:
            if call.connection.curve_secretkey:
                self._context = self._context or make_context()
                line: Line = CurveLine(call.connection, self._context)
            else:
                line = PlainLine(call.connection, self._buffer)
        except (OSError, ValueError, zmq.ZMQError) as error:
            self._dial_later(call, error)
            return
        call.line = line
        self._by_descriptor[line.fileno()] = call
        self._epoll.register(line.fileno(), wanted_events(line))

    def _dial_later(self, call: Call, error: Exception) -> None:
        now = self._clock()
        patience = (now - call.lost_at) / 4
        call.retry_at = now + min(RETRY_LAST, max(RETRY_FIRST, patience))
        # Nobody there is normal: a kernel that has ended, or has not opened its ports yet.
        gone = isinstance(error, ConnectionError | FileNotFoundError | BlockingIOError)
        call.problem = "" if gone else str(error)
        self._waiting.add(call)

    def _time_to_retry(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, min(call.retry_at for call in self._waiting) - self._clock())

    def _take(self, call: Call, news: list[News]) -> int:
        """Take what came on one line; how many bytes that was."""
        line = call.line
        assert line is not None
        waited = line.waits_to_write()
        try:
            messages, taken = line.work()
        except (OSError, ValueError, zmq.ZMQError) as error:
            if line.ready:
                call.lost_at = self._clock()
            self.drop(call)
            self._dial_later(call, error)
            news.append(News(call, False, []))
            return 0
        if line.waits_to_write() is not waited:
            self._epoll.modify(line.fileno(), wanted_events(line))
        if line.pending():
            self._pending.add(call)
        if line.ready:
            call.problem = ""
            news.append(News(call, True, messages))
        return taken
