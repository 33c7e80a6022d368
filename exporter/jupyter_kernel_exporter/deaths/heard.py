"""What can be heard of a kernel on its iopub: the events, and the sum of them."""

from dataclasses import dataclass
from typing import NamedTuple

from jupyter_kernel_exporter.model import State


class Moment(NamedTuple):
    """A moment on both clocks: the one that people read, and the one that never jumps."""

    wall: float
    """Seconds since the epoch."""
    monotonic: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The kernel said what it does now."""

    kernel_id: str
    at: Moment
    state: State
    parent_type: str
    """Type of the request that it is about; empty if there is none."""


@dataclass(frozen=True, slots=True)
class ShutdownRequestSeen:
    """The kernel began to work on a shutdown_request; whether for a restart is not known yet."""

    kernel_id: str
    at: Moment
    session: str | None


@dataclass(frozen=True, slots=True)
class ShutdownAnnounced:
    """The kernel said that it ends because it was asked to, and whether for a restart."""

    kernel_id: str
    at: Moment
    session: str | None
    restart: bool


@dataclass(frozen=True, slots=True)
class CellError:
    """An exception reached a cell's output."""

    kernel_id: str
    at: Moment
    memory_error: bool


@dataclass(frozen=True, slots=True)
class ExitCellSeen:
    """A cell began whose last line is ``exit()`` or ``quit()``."""

    kernel_id: str
    at: Moment


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """Messages come from another process than before: the kernel was restarted in between."""

    kernel_id: str
    at: Moment
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The line is up: from now on nothing is missed."""

    kernel_id: str
    at: Moment


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The line went down, and everything said before has been heard.

    Not a death yet: forked children keep a dead kernel's sockets open, and a process that lives
    may close them.
    """

    kernel_id: str
    at: Moment


Event = (
    StateChanged
    | ShutdownRequestSeen
    | ShutdownAnnounced
    | CellError
    | ExitCellSeen
    | SessionChanged
    | Connected
    | Disconnected
)


class Shutdown(NamedTuple):
    """A shutdown that a kernel spoke of."""

    at: Moment
    session: str | None
    """Of the process that spoke; ``None`` if it has no session of its own."""
    restart: bool | None
    """``None`` if only the request was seen, not the reply."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything that was heard of a kernel, over all its processes while it was listened to."""

    connected: bool
    line_changed: Moment | None
    """When the line last went up or down; ``None`` if it never was up."""
    ever: bool
    """Whether a message signed with its key was ever heard."""
    session: str | None
    """Of the process heard last."""
    session_since: Moment | None
    """The first message of that session."""
    sessions: int
    """Processes heard."""
    state: State
    executing: bool
    """Whether a cell was under way when the kernel was last heard."""
    exit_cell: Moment | None
    """Start of the cell begun last, if its last line is ``exit()`` or ``quit()``."""
    busy_seconds: float | None
    """``None`` until a state was heard."""
    last_activity_at: float | None
    """Seconds since the epoch; by the rules that jupyter_server has for the same thing."""
    memory_errors: int
    other_errors: int
    shutdowns: tuple[Shutdown, ...]
    """Of the last 15 seconds, oldest first."""
    messages: int
    bad_signatures: int
    malformed: int
