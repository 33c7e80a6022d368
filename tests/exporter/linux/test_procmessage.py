"""Datagrams of the proc connector, taken from a real linux 6.18 and bent."""

import struct

import pytest

from jupyter_kernel_exporter.linux.procmessage import (
    NO_CPU,
    Event,
    Exec,
    Exit,
    Fork,
    Message,
    build_listen_request,
    epoch_offset,
    parse_message,
)

NANOSECONDS = 1_543_585_424_996


def datagram(
    what: int,
    *data: int,
    cpu: int = 1,
    sequence: int = 7,
    ack: int = 0,
    idx: int = 1,
    val: int = 1,
) -> bytes:
    """Build a datagram as linux does; its data is filled up to 24 bytes."""
    body = struct.pack("=IIQ", what, cpu, NANOSECONDS)
    body += struct.pack(f"={len(data)}I", *data).ljust(24, b"\0")
    message = struct.pack("=IIIIHH", idx, val, sequence, ack, len(body), 0) + body
    return struct.pack("=IHHII", 16 + len(message), 3, 0, 0, 0) + message


@pytest.mark.parametrize(
    ("what", "data", "event"),
    [
        pytest.param(1, (11, 10, 20, 20), Fork(10, 20, 1543.585424996), id="fork"),
        pytest.param(1, (11, 10, 21, 20), None, id="a new thread is no fork"),
        pytest.param(2, (20, 20), Exec(20, 1543.585424996), id="exec"),
        pytest.param(2, (21, 20), Exec(20, 1543.585424996), id="exec by another thread"),
        pytest.param(
            0x80000000, (20, 20, 768, 17, 10, 10), Exit(20, 20, 768, 1543.585424996), id="exit 3"
        ),
        pytest.param(
            0x80000000, (21, 20, 9, 0xFFFFFFFF), Exit(21, 20, 9, 1543.585424996), id="thread's end"
        ),
        pytest.param(0x200, (20, 20, 0x636261), None, id="a name is of no use"),
        pytest.param(0x40000000, (20, 20, 10, 10), None, id="a core dump is of no use"),
        pytest.param(0x800, (1, 2, 3, 4), None, id="a kind of the future"),
    ],
)
def test_events_are_parsed(what: int, data: tuple[int, ...], event: Event | None) -> None:
    """Each kind of event becomes what it means; kinds that nobody needs keep their number only."""
    assert parse_message(datagram(what, *data)) == Message(1, 7, event)


def test_an_answer_is_told_from_an_event() -> None:
    """An answer carries the number of the request and linux' verdict."""
    answer = parse_message(datagram(0, 1, cpu=NO_CPU, ack=43))
    assert answer == Message(NO_CPU, 7, None, acknowledges=43, error=1)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(datagram(1, 1, 1, 2, 2)[:-12], id="cut"),
        pytest.param(datagram(1, 1, 1, 2, 2, idx=2), id="another connector"),
        pytest.param(datagram(1, 1, 1, 2, 2, val=3), id="another value"),
        pytest.param(bytes(76), id="zeros"),
        pytest.param(b"\xff" * 4096, id="ones"),
    ],
)
def test_what_is_no_message_is_none(raw: bytes) -> None:
    """Nothing is made of bytes that are no message of this connector."""
    assert parse_message(raw) is None


def test_a_request_states_its_length() -> None:
    """Linux drops a request whose inner or outer length is wrong."""
    request = build_listen_request(42)
    assert struct.unpack_from("=I", request)[0] == len(request)
    assert struct.unpack_from("=IIIIHHI", request, 16) == (1, 1, 0, 42, 4, 0, 1)


def test_times_become_seconds_since_the_epoch() -> None:
    """Both clocks, read together, say what to add."""
    assert 100.0 + epoch_offset(monotonic=150.0, epoch=1_000_150.0) == 1_000_100.0
