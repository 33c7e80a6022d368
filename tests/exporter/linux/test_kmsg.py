"""Records of linux' log: made up ones, and the log of the machine that the tests run on."""

import errno
import os
import select
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kmsg import Drained, Kmsg, Record, parse_record
from jupyter_kernel_exporter.sources import Unavailable

DEADLINE_SECONDS = 10.0


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        pytest.param(
            b"6,433,1834479358,-;python3[9790]: segfault at 0\n",
            Record(6, 0, 433, 1834.479358, "python3[9790]: segfault at 0"),
            id="plain",
        ),
        pytest.param(
            b"3,12,5,-,caller=T68061;text\n",
            Record(3, 0, 12, 5e-6, "text"),
            id="more fields before the text",
        ),
        pytest.param(
            b"5,337,1330258,-;virtio: new size\n SUBSYSTEM=virtio\n DEVICE=+virtio:virtio1\n",
            Record(5, 0, 337, 1.330258, "virtio: new size"),
            id="properties are left out",
        ),
        pytest.param(
            b"6,1,2,-;a;b, c;\n", Record(6, 0, 1, 2e-6, "a;b, c;"), id="semicolons in the text"
        ),
        pytest.param(
            b"6,1,2,-;a\\x0ab\\x5cx0a\\x07\n",
            Record(6, 0, 1, 2e-6, "a\nb\\x0a\a"),
            id="escapes, and an escaped escape",
        ),
        pytest.param(
            b"6,1,2,-;\\xc3\\xa9\\xff\n", Record(6, 0, 1, 2e-6, "é\\xff"), id="UTF-8 and not"
        ),
        pytest.param(
            b"8,348,1686431222,-;Out of memory: Killed process 1 (x)\n",
            Record(0, 1, 348, 1686.431222, "Out of memory: Killed process 1 (x)"),
            id="written by somebody",
        ),
        pytest.param(
            b"6,1,2,c;,task=x\n",
            Record(6, 0, 1, 2e-6, ",task=x", continues=True),
            id="goes on with another",
        ),
        pytest.param(b"6,1,2,-;\n", Record(6, 0, 1, 2e-6, ""), id="empty"),
        pytest.param(b"6,1,2,-;cut", Record(6, 0, 1, 2e-6, "cut"), id="no newline"),
    ],
)
def test_records_are_parsed(raw: bytes, record: Record) -> None:
    """Level, facility, number, time and text, with the escapes undone."""
    assert parse_record(raw) == record


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"6,1,2,-", id="no text"),
        pytest.param(b"6,1;text", id="too few fields"),
        pytest.param(b"a,b,c,-;text", id="no numbers"),
    ],
)
def test_what_is_no_record_raises(raw: bytes) -> None:
    """Nothing is made up."""
    with pytest.raises(ValueError):  # noqa: PT011  # from int, or with a text of our own
        parse_record(raw)


@pytest.fixture
def kmsg() -> Iterator[Kmsg]:
    """The machine's log from now on, or a skip where it may not be read."""
    try:
        opened = Kmsg()
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(opened):
        yield opened


def write(text: str) -> None:
    """Add a record to the log, as root may; a newline makes it readable at once."""
    try:
        fd = os.open("/dev/kmsg", os.O_WRONLY)
    except PermissionError as why:
        pytest.skip(str(why))
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


@pytest.mark.real
@pytest.mark.parametrize("prefix", ["", "<3>", "<0>", "<2048>"])
def test_a_forged_record_is_left_out(kmsg: Kmsg, prefix: str) -> None:
    """What root writes is not taken for linux' words, whatever facility it claims."""
    text = f"Out of memory: Killed process {os.getpid()} (forged) total-vm:1kB"
    write(prefix + text)
    assert select.select([kmsg], [], [], DEADLINE_SECONDS)[0]
    assert all(text not in record.text for record in kmsg.drain().records)
    # It did come: with the same bytes, read as the device gives them.
    with open("/dev/kmsg", "rb", buffering=0) as device:
        os.set_blocking(device.fileno(), False)
        seen = [raw for raw in iter(lambda: read_raw(device.fileno()), b"") if text.encode() in raw]
    assert parse_record(seen[-1]).facility != 0


def read_raw(fd: int) -> bytes:
    """One record as it is, empty at the end."""
    try:
        return os.read(fd, 8192)
    except BlockingIOError:
        return b""
    except BrokenPipeError:
        return read_raw(fd)


@pytest.mark.real
def test_the_whole_log_is_read_in_order(kmsg: Kmsg) -> None:
    """From the start on, numbers go up and times are past; from the end on, nothing is old."""
    with closing(Kmsg(from_start=True)) as whole:
        records = whole.drain().records
    assert records
    numbers = [record.sequence for record in records]
    assert numbers == sorted(set(numbers))
    assert records[-1].at <= time.monotonic() + 1
    assert {record.facility for record in records} == {0}
    assert kmsg.drain() == Drained([], gap=False)


@pytest.mark.parametrize("name", ["missing", "file", "null"])
def test_what_is_not_the_log_is_unavailable(tmp_path: Path, name: str) -> None:
    """No device, or something else in its place: said, with the remedy, and nothing stays open."""
    (tmp_path / "file").write_text("6,1,2,-;text\n")
    (tmp_path / "null").symlink_to("/dev/null")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Unavailable, match="device"):
        Kmsg(path=str(tmp_path / name))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.real
def test_overwritten_records_are_told_as_a_gap() -> None:
    """Records that were lost show as a gap, and the reading goes on behind them."""
    answers: list[bytes | OSError] = [
        b"6,1,1,-;before\n",
        BrokenPipeError(errno.EPIPE, "overwritten"),
        b"6,9,2,-;after\n",
        BlockingIOError(errno.EAGAIN, "no more"),
        BlockingIOError(errno.EAGAIN, "no more"),
    ]

    def read_record(_fd: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    try:
        opened = Kmsg(read_record=read_record)
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(opened) as kmsg:
        drained = kmsg.drain()
        assert [record.text for record in drained.records] == ["before", "after"]
        assert drained.gap
        assert kmsg.drain() == Drained([], gap=False)
