"""What is made of the messages of one kernel."""

import pytest

from jupyter_kernel_exporter.deaths.ear import OUTSTANDING_KEPT, Ear
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
from jupyter_kernel_exporter.deaths.messages import Message, Verifier, parse_message
from jupyter_kernel_exporter.model import State
from support.wire import KEY, jupyter_frames, parent_of, status

KERNEL = "k-1"


def at(seconds: float) -> Moment:
    """A moment, by the seconds of a test."""
    return Moment(1_000_000.0 + seconds, seconds)


def hear(ear: Ear, seconds: float, frames: list[bytes]) -> list[Event]:
    """Let an ear hear a message."""
    return ear.hear(parse_message(frames, Verifier(KEY)), at(seconds))


def busy(request: str = "r-1", kind: str = "execute_request") -> list[bytes]:
    """The kernel began with a request."""
    return status("busy", parent_of(kind, request))


def idle(request: str = "r-1", kind: str = "execute_request") -> list[bytes]:
    """The kernel is done with a request."""
    return status("idle", parent_of(kind, request))


@pytest.fixture
def ear() -> Ear:
    """An ear whose line is up since second 0."""
    made = Ear(KERNEL)
    assert made.line_up(at(0)) == [Connected(KERNEL, at(0))]
    return made


def test_nothing_heard_is_unknown() -> None:
    """Neither zero nor idle."""
    facts = Ear(KERNEL).facts(at(5))
    assert facts == Heard(
        connected=False, line_changed=None, ever=False, session=None, session_since=None,
        sessions=0, state=State.UNKNOWN, executing=False, exit_cell=None, busy_seconds=None,
        last_activity_at=None, memory_errors=0, other_errors=0, shutdowns=(), messages=0,
        bad_signatures=0, malformed=0,
    )  # fmt: skip


def test_busy_time_adds_up(ear: Ear) -> None:
    """From busy to idle, and to now while it is busy."""
    assert hear(ear, 1, busy()) == [StateChanged(KERNEL, at(1), State.BUSY, "execute_request")]
    assert ear.facts(at(3)).busy_seconds == 2
    assert ear.facts(at(3)).executing
    assert hear(ear, 4, idle()) == [StateChanged(KERNEL, at(4), State.IDLE, "execute_request")]
    hear(ear, 10, busy("r-2"))
    facts = ear.facts(at(10.5))
    assert (facts.busy_seconds, facts.state) == (3.5, State.BUSY)
    assert hear(ear, 11, busy("r-2")) == []


@pytest.mark.parametrize("kind", ["usage_request", "kernel_info_request", "interrupt_request"])
def test_other_requests_beside_a_cell(ear: Ear, kind: str) -> None:
    """What is answered on the control channel does not make a busy kernel idle."""
    hear(ear, 1, busy())
    assert hear(ear, 2, busy("c", kind)) == []
    assert hear(ear, 3, idle("c", kind)) == []
    assert ear.facts(at(3)).state is State.BUSY
    hear(ear, 4, idle())
    assert ear.facts(at(5)).busy_seconds == 3


def test_other_requests_of_an_unknown_kernel(ear: Ear) -> None:
    """They say nothing of a cell whose start was missed."""
    hear(ear, 1, busy("c", "usage_request"))
    hear(ear, 2, idle("c", "usage_request"))
    assert ear.facts(at(3)).state is State.UNKNOWN
    assert ear.facts(at(3)).busy_seconds is None


def test_a_lost_idle_heals(ear: Ear) -> None:
    """The next cell ends the one before it: there is one at a time."""
    hear(ear, 1, busy("r-1"))
    hear(ear, 2, busy("r-2"))
    hear(ear, 3, idle("r-2"))
    assert ear.facts(at(9)).state is State.IDLE
    assert ear.facts(at(9)).busy_seconds == 2


def test_a_subshell_beside_a_cell(ear: Ear) -> None:
    """Two cells at once, in two subshells, are busy until both have ended."""
    parent = {**parent_of("execute_request", "s-1"), "subshell_id": "sub"}
    hear(ear, 1, busy())
    hear(ear, 2, status("busy", parent))
    hear(ear, 3, idle())
    assert ear.facts(at(4)).state is State.BUSY
    hear(ear, 5, status("idle", parent))
    assert ear.facts(at(6)).busy_seconds == 4


def test_requests_under_way_are_bounded(ear: Ear) -> None:
    """A kernel that is always busy with something new fills nothing."""
    for number in range(1000):
        hear(ear, 1, busy(f"r-{number}", "complete_request"))
    assert len(ear.outstanding) == OUTSTANDING_KEPT


def test_start(ear: Ear) -> None:
    """Starting has no parent, and ends with the first answer."""
    starting = status("starting")
    assert hear(ear, 1, starting) == [StateChanged(KERNEL, at(1), State.STARTING, "")]
    assert ear.facts(at(2)).busy_seconds == 0
    assert hear(ear, 2, busy("i", "kernel_info_request")) == [
        StateChanged(KERNEL, at(2), State.IDLE, "kernel_info_request")
    ]
    assert hear(ear, 3, status("dreaming")) == []


def test_shutdown(ear: Ear) -> None:
    """The request first, then the reply with its flag; forgotten after 15 seconds."""
    request = parent_of("shutdown_request")
    assert hear(ear, 1, status("busy", request)) == [
        ShutdownRequestSeen(KERNEL, at(1), "session-1")
    ]
    reply = jupyter_frames("shutdown_reply", {"restart": False}, parent=request)
    assert hear(ear, 2, reply) == [ShutdownAnnounced(KERNEL, at(2), "session-1", restart=False)]
    ear.line_down(at(3))
    both = (Shutdown(at(1), "session-1", None), Shutdown(at(2), "session-1", restart=False))
    assert ear.facts(at(16)).shutdowns == both
    assert ear.facts(at(16.5)).shutdowns == both[1:]
    assert ear.facts(at(17.5)).shutdowns == ()
    assert ear.facts(at(17.5)).last_activity_at is None


def test_shutdowns_are_bounded(ear: Ear) -> None:
    """However many are announced."""
    for _ in range(100):
        hear(ear, 1, jupyter_frames("shutdown_reply", {"restart": True}))
    assert len(ear.facts(at(1)).shutdowns) == 16


def test_errors(ear: Ear) -> None:
    """Counted by what they are."""
    hear(ear, 1, jupyter_frames("error", {"ename": "MemoryError"}))
    assert hear(ear, 2, jupyter_frames("error", {"ename": "KeyError"})) == [
        CellError(KERNEL, at(2), memory_error=False)
    ]
    assert (ear.facts(at(3)).memory_errors, ear.facts(at(3)).other_errors) == (1, 1)


def test_an_exit_cell_is_remembered(ear: Ear) -> None:
    """Until another cell begins, or it fails, or another process speaks."""
    leave = jupyter_frames("execute_input", {"code": "exit()"})
    assert hear(ear, 1, leave) == [ExitCellSeen(KERNEL, at(1))]
    hear(ear, 1, idle())
    ear.line_down(at(2))
    assert ear.facts(at(3)).exit_cell == at(1)
    ear.line_up(at(4))
    hear(ear, 5, jupyter_frames("execute_input", {"code": "1 + 1"}))
    assert ear.facts(at(6)).exit_cell is None
    hear(ear, 7, leave)
    hear(ear, 8, jupyter_frames("error", {"ename": "NameError"}))
    assert ear.facts(at(9)).exit_cell is None
    hear(ear, 10, leave)
    hear(ear, 11, status("starting", session="session-2"))
    assert ear.facts(at(12)).exit_cell is None


def test_another_session_is_another_process(ear: Ear) -> None:
    """Counted once, however late an old message comes; what was under way is no more."""
    hear(ear, 1, busy())
    [event, _] = hear(ear, 3, status("starting", session="session-2"))
    assert event == SessionChanged(KERNEL, at(3), "session-1", "session-2")
    assert hear(ear, 4, status("starting", session="session-1")) == []
    facts = ear.facts(at(9))
    assert (facts.session, facts.session_since, facts.sessions) == ("session-2", at(3), 2)
    assert (facts.busy_seconds, facts.executing) == (2, False)


def test_a_client_session_is_none(ear: Ear) -> None:
    """IRkernel signs with its client's session: two clients are not two processes."""
    for client in ("c-1", "c-2"):
        parent = parent_of("execute_request", client, session=client)
        hear(ear, 1, status("busy", parent, session=client))
    assert (ear.facts(at(2)).session, ear.facts(at(2)).sessions) == (None, 0)
    assert ear.facts(at(2)).ever


def test_the_end_of_the_line(ear: Ear) -> None:
    """The state is unknown from then on; that a cell was under way stays known."""
    hear(ear, 1, busy())
    assert ear.line_down(at(4)) == [Disconnected(KERNEL, at(4))]
    assert ear.line_down(at(5)) == []
    facts = ear.facts(at(9))
    assert (facts.connected, facts.line_changed) == (False, at(4))
    assert (facts.state, facts.executing, facts.busy_seconds) == (State.UNKNOWN, True, 3)


@pytest.mark.parametrize(
    ("frames", "is_activity"),
    [
        pytest.param(busy(), True, id="cell"),
        pytest.param(busy(kind="complete_request"), True, id="completion"),
        pytest.param(status("starting"), True, id="start"),
        pytest.param(busy(kind="kernel_info_request"), False, id="kernel info"),
        pytest.param(idle(kind="shutdown_request"), False, id="shutdown"),
        pytest.param(idle(kind="comm_info_request"), False, id="comm info"),
    ],
)
def test_activity(ear: Ear, frames: list[bytes], is_activity: bool) -> None:
    """By the rules of jupyter_server, which its culler goes by."""
    hear(ear, 7, frames)
    assert ear.facts(at(9)).last_activity_at == (at(7).wall if is_activity else None)


def test_unchecked_messages_need_a_proven_line(ear: Ear) -> None:
    """Output counts as activity only if its sender has shown on this line that it has the key."""
    output, failure = Message("stream", checked=False), Message("error", checked=False)
    assert ear.hear(output, at(1)) == ear.hear(failure, at(1)) == []
    assert ear.facts(at(2)).last_activity_at is None
    hear(ear, 3, idle())
    ear.hear(output, at(4))
    assert ear.hear(failure, at(5)) == [CellError(KERNEL, at(5), memory_error=False)]
    ear.hear(Message("iopub_welcome", checked=False), at(6))
    assert ear.facts(at(6)).last_activity_at == at(5).wall
    ear.line_down(at(7))
    ear.line_up(at(8))
    ear.hear(output, at(9))
    assert ear.facts(at(9)).last_activity_at == at(5).wall
