"""What a kernel's iopub has told so far: one :class:`Ear` for each kernel, fed message by message.

Pure: the moment is an argument. An ear is only as good as its line: until the first message of a
process nothing is known (``None``), and what is said of busy time is what was heard.
"""

from collections import deque
from dataclasses import dataclass, field

from jupyter_kernel_exporter.deaths.heard import (
    CellError,
    Connected,
    Disconnected,
    Event,
    ExitCellSeen,
    Heard,
    Moment,
    SessionChanged,
    Shutdown,
    ShutdownAnnounced,
    ShutdownRequestSeen,
    StateChanged,
)
from jupyter_kernel_exporter.deaths.messages import Message
from jupyter_kernel_exporter.model import Said, State

SHUTDOWN_MEMORY = 15.0
"""Seconds that a shutdown is remembered. The server kills a kernel that is deaf to it after 5."""

NO_ACTIVITY = frozenset(
    {
        "comm_info_request",
        "debug_request",
        "interrupt_request",
        "kernel_info_request",
        "shutdown_request",
    }
)
"""Requests that are no activity, as jupyter_server has it (untracked_message_types)."""

NO_WORK = NO_ACTIVITY | {
    "create_subshell_request",
    "delete_subshell_request",
    "list_subshell_request",
    "usage_request",
}
"""Requests whose busy and idle tell nothing of the cells: they are answered beside a running one,
from the control channel, or are asked by programs rather than people."""

OUTSTANDING_KEPT = 64
"""Requests under way that are told apart. More at once is no honest kernel."""


@dataclass(slots=True)
class Ear:
    """The state behind one kernel's :class:`Heard`."""

    kernel_id: str
    connected: bool = False
    line_changed: Moment | None = None
    proven: bool = False
    """Whether the peer of the present line has shown that it holds the key."""
    ever: bool = False
    sessions: list[str] = field(default_factory=list)
    session_since: Moment | None = None
    session_count: int = 0
    said: State = State.UNKNOWN
    outstanding: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Requests under way: id -> (type, subshell). Control requests overlap a running cell."""
    busy_since: float | None = None
    busy_seconds: float | None = None
    executing: bool = False
    exit_cell: Moment | None = None
    last_activity_at: float | None = None
    memory_errors: int = 0
    other_errors: int = 0
    shutdowns: deque[Shutdown] = field(default_factory=lambda: deque(maxlen=16))
    messages: int = 0
    bad_signatures: int = 0
    malformed: int = 0
    _summary: Said | None = None
    """As it was asked for last, until something is heard: it is asked for each second."""

    def line_up(self, now: Moment) -> list[Event]:
        """The handshake is done."""
        self._summary = None
        self.connected = True
        self.line_changed = now
        return [Connected(self.kernel_id, now)]

    def line_down(self, now: Moment) -> list[Event]:
        """The connection is gone, or never came to be."""
        if not self.connected:
            return []
        self._summary = None
        self.connected = self.proven = False
        self.line_changed = now
        self._rest(now)
        self.said = State.UNKNOWN
        return [Disconnected(self.kernel_id, now)]

    def hear(self, message: Message, now: Moment) -> list[Event]:
        """Take in one message."""
        self._summary = None
        self.messages += 1
        if not message.checked:
            return self._glance(message, now)
        self.proven = self.ever = True
        events: list[Event] = []
        if message.session is not None:
            events += self._session(message.session, now)
        if message.execution_state is not None:
            events += self._status(message, message.execution_state, now)
        elif message.memory_error is not None:
            events += self._error(message.memory_error, now)
        elif message.exit_cell is not None:
            self.exit_cell = now if message.exit_cell else None
            events += [ExitCellSeen(self.kernel_id, now)] if message.exit_cell else []
        elif message.restart is not None:
            self.shutdowns.append(Shutdown(now, message.session, message.restart))
            events.append(ShutdownAnnounced(self.kernel_id, now, message.session, message.restart))
        if self.outstanding or message.parent_type not in NO_ACTIVITY:
            self.last_activity_at = now.wall
        return events

    def summary(self, now: Moment) -> Said | None:
        """What a living kernel is asked for at each look; ``None`` while the line is down."""
        if not self.connected:
            return None
        if self._summary is not None:
            return self._summary
        summary = Said(
            State.BUSY if self.outstanding else self.said,
            self._busy_until(now),
            self.last_activity_at,
            self.memory_errors,
            self.other_errors,
        )
        if self.busy_since is None:
            self._summary = summary
        return summary

    def facts(self, now: Moment) -> Heard:
        """Everything heard so far."""
        return Heard(
            connected=self.connected,
            line_changed=self.line_changed,
            ever=self.ever,
            session=self.sessions[-1] if self.sessions else None,
            session_since=self.session_since,
            sessions=self.session_count,
            state=State.BUSY if self.outstanding else self.said,
            executing=self.executing,
            exit_cell=self.exit_cell,
            busy_seconds=self._busy_until(now),
            last_activity_at=self.last_activity_at,
            memory_errors=self.memory_errors,
            other_errors=self.other_errors,
            shutdowns=tuple(
                s for s in self.shutdowns if now.monotonic - s.at.monotonic <= SHUTDOWN_MEMORY
            ),
            messages=self.messages,
            bad_signatures=self.bad_signatures,
            malformed=self.malformed,
        )

    def _busy_until(self, now: Moment) -> float | None:
        if self.busy_seconds is None or self.busy_since is None:
            return self.busy_seconds
        return self.busy_seconds + now.monotonic - self.busy_since

    def _glance(self, message: Message, now: Moment) -> list[Event]:
        """A message that was not checked counts only on a line whose peer has proven itself."""
        if not self.proven or message.type == "iopub_welcome":
            return []
        self.last_activity_at = now.wall
        return self._error(False, now) if message.type == "error" else []

    def _session(self, session: str, now: Moment) -> list[Event]:
        if session in self.sessions:
            return []
        before = self.sessions[-1] if self.sessions else None
        self.sessions = [*self.sessions[-7:], session]
        self.session_count += 1
        self.session_since = now
        if before is None:
            return []
        self._rest(now)
        self.executing = False
        self.exit_cell = None
        return [SessionChanged(self.kernel_id, now, before, session)]

    def _error(self, memory_error: bool, now: Moment) -> list[Event]:
        self.exit_cell = None  # the cell failed before, or at, its last line
        if memory_error:
            self.memory_errors += 1
        else:
            self.other_errors += 1
        return [CellError(self.kernel_id, now, memory_error)]

    def _status(self, message: Message, state: str, now: Moment) -> list[Event]:
        events: list[Event] = []
        before = State.BUSY if self.outstanding else self.said
        if message.parent_type in NO_WORK:
            if state == "busy" and message.parent_type == "shutdown_request":
                self.shutdowns.append(Shutdown(now, message.session, None))
                events.append(ShutdownRequestSeen(self.kernel_id, now, message.session))
            if self.said is State.STARTING:
                self.said = State.IDLE  # it answers, so it has started
        elif state == "busy":
            self._begin(message)
            self.said = State.IDLE  # what remains once nothing is outstanding
        elif state == "idle":
            self.outstanding.pop(message.parent_id, None)
            self.said = State.IDLE
        elif state == "starting":
            self.outstanding.clear()
            self.said = State.STARTING
        else:
            return []
        self.executing = any(kind == "execute_request" for kind, _ in self.outstanding.values())
        if self.outstanding or self.said is not State.UNKNOWN:
            self._set_busy(bool(self.outstanding), now)
        after = State.BUSY if self.outstanding else self.said
        if after is not before:
            events.append(StateChanged(self.kernel_id, now, after, message.parent_type))
        return events

    def _begin(self, message: Message) -> None:
        """A request is under way. A lost ``idle`` must not leave the kernel busy for ever."""
        if message.parent_type == "execute_request":
            # A subshell runs one cell after another, so the one before has ended.
            mine = (message.parent_type, message.parent_subshell)
            for request in [r for r, what in self.outstanding.items() if what == mine]:
                del self.outstanding[request]
        if len(self.outstanding) >= OUTSTANDING_KEPT:
            del self.outstanding[next(iter(self.outstanding))]
        self.outstanding[message.parent_id] = (message.parent_type, message.parent_subshell)

    def _rest(self, now: Moment) -> None:
        """Whatever was under way is so no more."""
        self.outstanding.clear()
        if self.busy_since is not None:
            self._set_busy(False, now)

    def _set_busy(self, busy: bool, now: Moment) -> None:
        if self.busy_seconds is None:
            self.busy_seconds = 0.0
        if self.busy_since is not None and not busy:
            self.busy_seconds += now.monotonic - self.busy_since
            self.busy_since = None
        elif self.busy_since is None and busy:
            self.busy_since = now.monotonic
