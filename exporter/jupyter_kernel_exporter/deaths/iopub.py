"""Every kernel's iopub heard passively: one thread, one lasting line for each kernel.

A kernel says on iopub that it is about to end and why, that it is busy, that a cell failed. The
server is subscribed to the same, to everything, so one more subscriber to everything changes
nothing; a narrower subscription would make ipykernel 7 publish a welcome, which counts as activity
and puts off the culler. Nothing is ever sent but that subscription, and all that comes is taken at
once: what a subscriber leaves lying, the kernel has to keep.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_kernel_exporter.deaths.ear import Ear
from jupyter_kernel_exporter.deaths.heard import Event, Heard, Moment
from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.deaths.messages import (
    BadSignatureError,
    MalformedError,
    Verifier,
    parse_message,
)
from jupyter_kernel_exporter.deaths.switchboard import Call, News, Switchboard
from jupyter_kernel_exporter.deaths.zmtp import Frame
from jupyter_kernel_exporter.model import Said

PAUSE = 0.005
PAUSE_BELOW = 64 * 1024
"""After a round that brought fewer bytes than this the thread pauses, so that a kernel that sends
thousands of small messages a second wakes it 200 times, not thousands."""


def moment_now() -> Moment:
    """Now, on both clocks."""
    return Moment(time.time(), time.monotonic())


@dataclass(slots=True)
class _Watched:
    """One kernel that is listened to."""

    call: Call
    verifier: Verifier
    ear: Ear


class Iopub:
    """Listens to many kernels. ``watch``, ``forget`` and ``facts`` may be called by any thread.

    ``on_event`` is called in the listening thread and must not take long.
    """

    def __init__(
        self,
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], Moment] = moment_now,
    ) -> None:
        self._on_event = on_event
        self._clock = clock
        self._lock = threading.Lock()
        """Guards all below, but for the switchboard, which is the thread's."""
        self._watched: dict[str, _Watched] = {}
        self._to_place: list[Call] = []
        self._to_drop: list[Call] = []
        self._refused: dict[str, str] = {}
        """Kernels that cannot be listened to at all, and why."""
        self._stopping = False
        self._switchboard = Switchboard(lambda: clock().monotonic)
        self._thread = threading.Thread(target=self._listen, name="iopub", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up everywhere, for good. What was heard stays known."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            self._switchboard.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._switchboard.close()

    def watch(self, kernel_id: str, connection: Connection) -> None:
        """Listen to a kernel from now on, or to the same one at another place."""
        with self._lock:
            known = self._watched.get(kernel_id)
            if self._stopping or (known is not None and known.call.connection == connection):
                return
            try:
                verifier = Verifier(connection.key, connection.signature_scheme)
            except ValueError as error:
                self._refused[kernel_id] = str(error)
                return
            self._refused.pop(kernel_id, None)
            call = Call(kernel_id, connection)
            if known is not None:
                self._to_drop.append(known.call)
            ear = Ear(kernel_id) if known is None else known.ear
            self._watched[kernel_id] = _Watched(call, verifier, ear)
            self._to_place.append(call)
            self._switchboard.wake()

    def forget(self, kernel_id: str) -> None:
        """Listen no more, and forget what was heard."""
        with self._lock:
            self._refused.pop(kernel_id, None)
            known = self._watched.pop(kernel_id, None)
            if known is not None and not self._stopping:
                self._to_drop.append(known.call)
                self._switchboard.wake()

    def facts(self, kernel_id: str) -> Heard | None:
        """What was heard of a kernel so far; ``None`` if it is not listened to."""
        with self._lock:
            known = self._watched.get(kernel_id)
            return None if known is None else known.ear.facts(self._clock())

    def said(self) -> dict[str, Said]:
        """What kernels say of themselves, by id; of those that are listened to just now."""
        now = self._clock()
        with self._lock:
            return {
                name: summary
                for name, known in self._watched.items()
                if (summary := known.ear.summary(now)) is not None
            }

    def problem(self) -> str:
        """Why less is heard than could be, in one sentence; empty if nothing is wrong."""
        if not self._thread.is_alive():
            return "nobody listens: the thread has ended"
        with self._lock:
            problems = [w.call.problem for w in self._watched.values() if w.call.problem]
            problems += self._refused.values()
            if not problems:
                return ""
            total = len(self._watched.keys() | self._refused.keys())
            return f"{len(problems)} of {total} kernels not heard: {problems[0]}"

    def _listen(self) -> None:
        while True:
            with self._lock:
                if self._stopping:
                    return
                place, self._to_place = self._to_place, []
                drop, self._to_drop = self._to_drop, []
            for call in drop:
                self._switchboard.drop(call)
                self._tell(self._understand(News(call, False, [])))
            for call in place:
                if call not in drop:
                    self._switchboard.place(call)
            news, taken = self._switchboard.serve()
            for item in news:
                self._tell(self._understand(item))
            if 0 < taken < PAUSE_BELOW:
                time.sleep(PAUSE)

    def _understand(self, news: News) -> list[Event]:
        now = self._clock()
        with self._lock:
            watched = self._watched.get(news.call.name)
            if watched is None:
                return []
            ear = watched.ear
            if not news.up:
                return ear.line_down(now)
            if watched.call is not news.call:
                return []
            events = [] if ear.connected else ear.line_up(now)
            for frames in news.messages:
                events += self._hear(watched, frames, now)
            return events

    def _hear(self, watched: _Watched, frames: list[Frame], now: Moment) -> list[Event]:
        try:
            return watched.ear.hear(parse_message(frames, watched.verifier), now)
        except BadSignatureError:
            watched.ear.bad_signatures += 1
        except MalformedError:
            watched.ear.malformed += 1
        return []

    def _tell(self, events: list[Event]) -> None:
        if self._on_event is not None:
            for event in events:
                self._on_event(event)
