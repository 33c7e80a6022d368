"""ZMTP as a subscriber speaks it."""

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_kernel_exporter.deaths.zmtp import (
    FRAMES_KEPT,
    GREETING,
    MESSAGE_KEPT,
    READY,
    SUBSCRIBE_TO_ALL,
    Frame,
    ProtocolError,
    Subscriber,
)
from support.wire import PUBLISHER_READY, zmtp_frame, zmtp_message


def subscribed() -> Subscriber:
    """A subscriber whose handshake is done."""
    subscriber = Subscriber()
    assert subscriber.feed(GREETING + PUBLISHER_READY) == []
    assert subscriber.ready
    return subscriber


def fed(subscriber: Subscriber, data: bytes, size: int) -> list[list[Frame]]:
    """Feed data in pieces of ``size`` bytes."""
    messages = []
    for at in range(0, len(data), size):
        messages += subscriber.feed(data[at : at + size])
    return messages


def test_handshake_is_said_in_order() -> None:
    """Greeting at once, READY after the peer's greeting, the subscription after its READY."""
    subscriber = Subscriber()
    assert subscriber.outgoing == GREETING
    assert len(GREETING) == 64
    subscriber.feed(GREETING[:63])
    assert subscriber.outgoing == GREETING
    subscriber.feed(GREETING[63:])
    assert subscriber.outgoing == GREETING + READY
    assert not subscriber.ready
    subscriber.feed(PUBLISHER_READY)
    assert subscriber.outgoing == GREETING + READY + SUBSCRIBE_TO_ALL
    assert subscriber.ready


def test_messages_come_out_as_they_went_in() -> None:
    """Frames of every kind of length, and messages without number."""
    sent = [[b"a"], [b"", b"x" * 255, b"y" * 256], [b"z" * 70_000, b""]]
    assert fed(subscribed(), b"".join(map(zmtp_message, sent)), 1 << 20) == sent


@given(
    sent=st.lists(
        st.lists(st.binary(max_size=400), min_size=1, max_size=8), min_size=1, max_size=6
    ),
    sizes=st.lists(st.integers(1, 700), min_size=1),
)
def test_cuts_do_not_matter(sent: list[list[bytes]], sizes: list[int]) -> None:
    """However the bytes are cut into pieces, the messages are the same."""
    data = GREETING + PUBLISHER_READY + b"".join(map(zmtp_message, sent))
    subscriber = Subscriber()
    heard: list[list[Frame]] = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        heard += subscriber.feed(data[at : at + size])
        at += size
        turn += 1
    assert heard == sent


@given(data=st.binary(max_size=300), greeted=st.booleans())
def test_garbage_is_refused_or_waited_on(data: bytes, greeted: bool) -> None:
    """Whatever comes, nothing but ProtocolError is raised."""
    subscriber = subscribed() if greeted else Subscriber()
    with contextlib.suppress(ProtocolError):
        assert isinstance(subscriber.feed(data), list)


@pytest.mark.parametrize("size", [1_000, 65_536, 1 << 20])
def test_long_frames_are_passed_over(size: int) -> None:
    """A frame that is too long is ``None``; what is around it is heard."""
    long = b"c" * (3 << 20)
    data = b"".join(map(zmtp_message, [[b"a", long, b"b"], [b"d", long], [b"e"]]))
    assert fed(subscribed(), data, size) == [[b"a", None, b"b"], [b"d", None], [b"e"]]


def test_skipped_bytes_need_not_be_looked_at() -> None:
    """What is to be skipped may be dropped by the reader, to the last byte."""
    subscriber = subscribed()
    head = zmtp_frame(b"topic", more=True) + b"\x02" + (10**12).to_bytes(8, "big")
    assert subscriber.feed(head + b"x" * 10) == []
    assert subscriber.skipping == 10**12 - 10
    assert subscriber.skip(10**12 - 11) == []
    assert subscriber.skip(1) == [[b"topic", None]]
    assert subscriber.feed(zmtp_message([b"next"])) == [[b"next"]]


def test_one_message_keeps_its_bound_in_all() -> None:
    """Many frames below the limit do not add up beyond it."""
    frames = [b"x" * (MESSAGE_KEPT // 4)] * 6
    [message] = subscribed().feed(zmtp_message(frames))
    assert sum(len(frame or b"") for frame in message) <= MESSAGE_KEPT
    assert message[4:] == [None, None]


def test_memory_stays_bounded() -> None:
    """A peer that sends one endless message, or one byte at a time, fills nothing."""
    subscriber = subscribed()
    frame = zmtp_frame(b"x" * 1000, more=True) * 100
    tracemalloc.start()
    for _ in range(300):
        assert subscriber.feed(frame) == []
    for _ in range(3000):
        subscriber.feed(b"\x01")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MESSAGE_KEPT
    assert FRAMES_KEPT == 32


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "no ZMTP 3 peer", id="http"),
        pytest.param(b"\xff" + b"\0" * 8 + b"\x7f\x01", "ZMTP 1", id="zmtp-2"),
        pytest.param(
            GREETING[:12] + b"CURVE".ljust(20, b"\0") + b"\0" * 32, "b'CURVE'", id="curve"
        ),
        pytest.param(
            GREETING + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP", "no publisher", id="rep"
        ),
        pytest.param(GREETING + b"\x04\x0a\x05ERROR\x03bad", "refused: b'bad'", id="error"),
        pytest.param(GREETING + zmtp_message([b"x"]), "before READY", id="early message"),
        pytest.param(GREETING + PUBLISHER_READY + b"\xf0\x01", "reserved", id="flags"),
        pytest.param(
            GREETING + b"\x06" + b"\xff" * 8, "18446744073709551615 bytes", id="long command"
        ),
    ],
)
def test_other_peers_are_told_apart(data: bytes, sentence: str) -> None:
    """Who is no ZMTP 3 publisher is hung up on, and the text says why."""
    with pytest.raises(ProtocolError, match=sentence):
        Subscriber().feed(data)


def test_commands_after_the_handshake_are_passed_over() -> None:
    """A PING or a command yet to be invented is no message."""
    subscriber = subscribed()
    assert subscriber.feed(b"\x04\x07\x04PING\0\x0a" + b"\x04\0" + zmtp_message([b"x"])) == [[b"x"]]
