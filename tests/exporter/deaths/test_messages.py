"""Jupyter messages, checked and read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_kernel_exporter.deaths.messages import (
    BadSignatureError,
    MalformedError,
    Message,
    Verifier,
    parse_message,
)
from jupyter_kernel_exporter.deaths.zmtp import Frame
from support.wire import KEY, jupyter_frames, parent_of, status

CHECKED = Verifier(KEY)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        pytest.param(
            status("busy", parent_of("shutdown_request")),
            Message("status", True, "session-1", "shutdown_request", "r-1", "", "busy"),
            id="status",
        ),
        pytest.param(
            jupyter_frames("shutdown_reply", {"restart": True, "status": "ok"}),
            Message("shutdown_reply", True, "session-1", restart=True),
            id="restart",
        ),
        pytest.param(
            jupyter_frames("shutdown_reply", {"restart": 0}),
            Message("shutdown_reply", True, "session-1"),
            id="restart that is no truth value",
        ),
        pytest.param(
            jupyter_frames("error", {"ename": "ZeroDivisionError", "evalue": "secret"}),
            Message("error", True, "session-1", memory_error=False),
            id="error",
        ),
        pytest.param(
            jupyter_frames("status", parts=[b'{"msg_type": "status"}', b"null", b"{}", b"{}"]),
            Message("status", True, execution_state=""),
            id="parent null, as xeus has it",
        ),
        pytest.param(
            status("idle", parent_of("execute_request", session="c"), session="c"),
            Message("status", True, None, "execute_request", "r-1", "", "idle"),
            id="session of the client, as IRkernel has it",
        ),
        pytest.param(
            status("busy", {"msg_type": "execute_request", "msg_id": "r", "subshell_id": "s"}),
            Message("status", True, "session-1", "execute_request", "r", "s", "busy"),
            id="subshell",
        ),
        pytest.param(
            jupyter_frames("stream", key=b"other"), Message("stream", False), id="stream, unchecked"
        ),
        pytest.param(
            jupyter_frames("of_the_future"), Message("of_the_future", False), id="unknown type"
        ),
        pytest.param(
            status("busy", topics=()), Message("status", True, "session-1", "", "", "", "busy"),
            id="no topic",
        ),
        pytest.param(
            jupyter_frames("status", {"execution_state": []}, parent={"msg_type": 1}, session="ü"),
            Message("status", True, execution_state=""),
            id="values of wrong types",
        ),
    ],
)  # fmt: skip
def test_what_is_read(frames: list[bytes], message: Message) -> None:
    """Type, session and parent, and one field for each type that is of interest."""
    assert parse_message(frames, CHECKED) == message


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        pytest.param([], "no delimiter", id="nothing"),
        pytest.param([b"x" * 100], "no delimiter", id="one frame"),
        pytest.param([b"<IDS|MSG>"], "fewer", id="delimiter only"),
        pytest.param(jupyter_frames("status")[:-1], "fewer", id="no content"),
        pytest.param([b"t", b"<IDS|MSG>", b"", None, b"", b"", b""], "too long", id="long header"),
        pytest.param(jupyter_frames("", parts=[b"[]", b"{}", b"{}", b"{}"]), "object", id="list"),
        pytest.param(jupyter_frames("", parts=[b"{}", b"3", b"{}", b"{}"]), "object", id="number"),
        pytest.param(
            jupyter_frames("", parts=[b'{"a": "\xff"}', b"{}", b"{}", b"{}"]),
            "not JSON",
            id="not UTF-8",
        ),
        pytest.param(
            jupyter_frames("", parts=[b"{}", b"[" * 60_000, b"{}", b"{}"]), "not JSON", id="deep"
        ),
        pytest.param(
            jupyter_frames("", parts=[b'{"a": %s}' % (b"9" * 9000), b"{}", b"{}", b"{}"]),
            "not JSON",
            id="endless number",
        ),
    ],
)
def test_garbage_is_named(frames: list[Frame], sentence: str) -> None:
    """What is no message says why it is none."""
    with pytest.raises(MalformedError, match=sentence):
        parse_message(frames, CHECKED)


@given(st.lists(st.one_of(st.just(b"<IDS|MSG>"), st.binary(max_size=40), st.none()), max_size=9))
def test_nothing_else_is_raised(frames: list[Frame]) -> None:
    """Whatever the frames are."""
    try:
        message = parse_message(frames, Verifier(b""))
    except MalformedError:
        return
    assert isinstance(message, Message)


@pytest.mark.parametrize("index", range(2, 7))
def test_a_changed_frame_is_no_longer_signed(index: int) -> None:
    """Signature, header, parent header, metadata and content are all covered."""
    frames = status("busy", parent_of("execute_request"))
    frames[index] = frames[index].replace(b"e", b"f").replace(b"{}", b"{ }")
    if index == 2:
        frames[2] = b"0" * 64
    with pytest.raises(BadSignatureError):
        parse_message(frames, CHECKED)


def test_another_key_is_refused() -> None:
    """Somebody else on the port cannot make a kernel say anything."""
    with pytest.raises(BadSignatureError):
        parse_message(jupyter_frames("shutdown_reply", {"restart": True}, key=b"other"), CHECKED)


def test_a_topic_that_looks_like_the_delimiter() -> None:
    """The first delimiter counts, so a later one cannot move the frames that are checked."""
    frames = [b"<IDS|MSG>", *status("busy")]
    with pytest.raises(BadSignatureError):
        parse_message(frames, CHECKED)


@pytest.mark.parametrize("digest", ["sha256", "sha512", "sha3_256", "blake2b", "md5"])
def test_other_digests(digest: str) -> None:
    """Any digest of hashlib, as signature_scheme has it."""
    frames = status("idle", digest=digest)
    assert parse_message(frames, Verifier(KEY, f"hmac-{digest}")).checked


@pytest.mark.parametrize("scheme", ["", "sha256", "hmac-", "hmac-nothing", "hmac-shake_128"])
def test_unknown_schemes_are_refused(scheme: str) -> None:
    """What cannot be checked is not believed."""
    with pytest.raises(ValueError, match="unknown signature scheme"):
        Verifier(KEY, scheme)


def test_empty_key_means_unsigned() -> None:
    """As jupyter_client has it."""
    assert parse_message(status("idle", key=b""), Verifier(b"")).execution_state == "idle"


@pytest.mark.parametrize(
    ("ename", "is_memory_error"),
    [
        ("MemoryError", True),
        ("_ArrayMemoryError", True),
        ("numpy._core._exceptions._ArrayMemoryError", True),
        ("<class 'MemoryError'>", True),
        ("<class 'numpy._core._exceptions._ArrayMemoryError'>", True),
        ("NotAMemoryError", False),
        ("MemoryErrorToo", False),
        ("OutOfMemoryError", False),
        ("", False),
        (None, False),
        (["MemoryError"], False),
    ],
)
def test_memory_errors(ename: object, is_memory_error: bool) -> None:
    """However the kernel spells it."""
    message = parse_message(jupyter_frames("error", {"ename": ename}), CHECKED)
    assert message.memory_error is is_memory_error


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("exit()", True),
        ("quit()", True),
        ("exit", True),
        ("  quit ( ) ;\n\n", False),
        ("exit ( ) ;  \n\n", True),
        ("save()\nexit()", True),
        ("exit(0)", True),
        ("exit(1)", False),
        ("exit(keep_kernel=True)", False),
        ("if tired:\n    exit()", False),
        ("sys.exit()", False),
        ("# exit()", False),
        ("exit() if x else None", False),
        ("exit_now()", False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
def test_cells_that_end_the_kernel(code: object, ends: bool) -> None:
    """Only a last line that does nothing else; and nothing of the cell is kept."""
    message = parse_message(jupyter_frames("execute_input", {"code": code}), CHECKED)
    assert message.exit_cell is ends


def test_nothing_that_a_person_wrote_is_kept() -> None:
    """Neither code, nor error text, nor output, nor names."""
    secret = "swordfish"
    contents: dict[str, dict[str, Any]] = {
        "execute_input": {"code": secret},
        "error": {"ename": secret, "evalue": secret, "traceback": [secret]},
        "stream": {"text": secret},
        "status": {"execution_state": "busy", "note": secret},
    }
    for kind, content in contents.items():
        assert secret not in repr(parse_message(jupyter_frames(kind, content), CHECKED))


def test_a_content_too_long_to_keep() -> None:
    """That there was an error is known, what kind of is not; and nothing is checked."""
    frames: list[Frame] = [*jupyter_frames("error")[:-1], None]
    assert parse_message(frames, CHECKED) == Message("error", checked=False)


def test_header_with_escapes_is_read_in_full() -> None:
    """A type that the quick glance cannot see is found by the slow one."""
    header = json.dumps({"msg_type": "st\\u0061tus"}).replace("\\\\", "\\").encode()
    parts = [header, b"{}", b"{}", b'{"execution_state": "busy"}']
    message = parse_message(jupyter_frames("", parts=parts), CHECKED)
    assert message == Message("status", True, execution_state="busy")
