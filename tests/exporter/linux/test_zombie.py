"""Zombies: real ones, seen by their own user, by root and by others, and lines made up."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.linux.zombie import (
    Remains,
    may_read_exit_status,
    parse_pending_signals,
    parse_remains,
    read_exit_status,
    read_pending_signals,
    read_remains,
)
from jupyter_kernel_exporter.model import ProcessId
from support.processes import needs_root

LINE = (
    b"4711 (%s) %s 4242 4711 4711 0 -1 4194304 91250 1 37 0 512 64 3 1 20 0 %d 0 987654"
    + b" 0" * 29
    + b" %d\n"
)


@contextmanager
def zombie(program: str, uid: int | None = None) -> Iterator[ProcessId]:
    """A child that has ended and is waited for at the end."""
    command = ["/bin/sh", "-c", program]
    if uid is None:
        child = subprocess.Popen(command)
    else:
        child = subprocess.Popen(command, user=uid, group=uid, extra_groups=[], cwd="/")
    with child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        remains = read_remains("/proc", child.pid)
        assert remains is not None
        yield ProcessId(child.pid, remains.start_ticks)


def look_as(uid: int, process: ProcessId) -> str:
    """What another user makes of a process."""
    program = (
        "import os, sys\n"
        "from jupyter_kernel_exporter.linux.zombie import *\n"
        "from jupyter_kernel_exporter.model import ProcessId\n"
        "uid, pid, start = map(int, sys.argv[1:])\n"
        "os.setgroups([]); os.setgid(uid); os.setuid(uid)\n"
        "try: print(read_exit_status('/proc', ProcessId(pid, start)))\n"
        "except PermissionError as error: print(error)\n"
        "print(*sorted(read_pending_signals('/proc', ProcessId(pid, start))))\n"
    )
    command = [sys.executable, "-c", program, str(uid), str(process.pid), str(process.start_ticks)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("comm", "state", "threads", "raw"),
    [
        pytest.param(b"python3", b"Z", 1, 768, id="plain"),
        pytest.param(b"a) Z 1 (b", b"S", 12, 0, id="brackets and spaces in the name"),
        pytest.param(b"a\nb", b"Z", 2, 9, id="newline in the name"),
    ],
)
def test_the_line_is_parsed(comm: bytes, state: bytes, threads: int, raw: int) -> None:
    """Name and all, the fields are found from behind the last bracket."""
    line = LINE % (comm, state, threads, raw)
    assert parse_remains(line) == Remains(state.decode(), threads, 987654, raw)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"4711 python3 Z", id="no bracket"),
        pytest.param((LINE % (b"x", b"Z", 1, 9))[:60], id="cut"),
        pytest.param(LINE.replace(b" %d\n", b"") % (b"x", b"Z", 1), id="linux before 3.5"),
    ],
)
def test_what_is_no_line_raises(line: bytes) -> None:
    """Nothing is made up for a line that is none."""
    with pytest.raises(ValueError):  # noqa: PT011  # from rindex, or with a text of our own
        parse_remains(line)


@pytest.mark.parametrize(
    ("mask", "signals"),
    [
        pytest.param("0000000000000000", set(), id="none"),
        pytest.param("0000000000000100", {9}, id="SIGKILL"),
        pytest.param("0000000000004100", {9, 15}, id="SIGTERM, then SIGKILL"),
        pytest.param("8000000000000001", {1, 64}, id="first and last"),
    ],
)
def test_pending_signals_are_parsed(mask: str, signals: set[int]) -> None:
    """Bits count from signal 1, and those of the first thread alone are another line."""
    raw = f"Name:\tx\nSigPnd:\tffffffffffffffff\nShdPnd:\t{mask}\nSigBlk:\t0\n".encode()
    assert parse_pending_signals(raw) == signals


@pytest.mark.real
@pytest.mark.parametrize(
    ("program", "status", "pending"),
    [
        pytest.param("exit 3", WaitStatus(3, None), set(), id="exit 3"),
        pytest.param("kill -KILL $$", WaitStatus(None, 9), {9}, id="SIGKILL"),
        pytest.param("kill -TERM $$", WaitStatus(None, 15), {15}, id="SIGTERM"),
    ],
)
def test_a_zombie_tells_how_it_ended(program: str, status: WaitStatus, pending: set[int]) -> None:
    """The status, and the signal that somebody sent, are there until the process is waited for."""
    with zombie(program) as process:
        assert read_exit_status("/proc", process) == status
        assert pending <= (read_pending_signals("/proc", process) or set())


@pytest.mark.real
@needs_root
@pytest.mark.parametrize(
    ("owner", "looker", "seen"),
    [
        pytest.param(1234, 1234, "exit 3", id="its own user"),
        pytest.param(1234, 65534, "masked", id="another user"),
        pytest.param(0, 1234, "masked", id="root's, seen by a user"),
        pytest.param(1234, 0, "exit 3", id="root"),
    ],
)
def test_a_masked_status_is_never_taken_for_exit_0(owner: int, looker: int, seen: str) -> None:
    """Who may not see the status is told so; pending signals are for everybody."""
    with zombie("exit 3", owner) as process:
        assert seen in look_as(looker, process).splitlines()[0]
    with zombie("kill -KILL $$", owner) as process:
        assert look_as(looker, process).splitlines()[1] == "9"


@pytest.mark.real
def test_one_that_lives_has_no_status() -> None:
    """A live process has not ended with 0."""
    remains = read_remains("/proc", os.getpid())
    assert remains is not None
    process = ProcessId(os.getpid(), remains.start_ticks)
    assert read_exit_status("/proc", process) is None
    assert read_pending_signals("/proc", process) == frozenset()
    assert may_read_exit_status("/proc", os.getpid()) is True


@pytest.mark.real
def test_another_process_with_the_pid_is_not_read() -> None:
    """A zombie with the pid and another start is another one's."""
    with zombie("exit 3") as process:
        other = process._replace(start_ticks=process.start_ticks + 1)
        assert read_exit_status("/proc", other) is None
        assert read_pending_signals("/proc", other) is None


def test_one_that_is_gone_is_none(tmp_path: Path) -> None:
    """Gone is normal."""
    gone = ProcessId(4711, 987654)
    root = str(tmp_path)
    assert read_remains(root, 4711) is None
    assert read_exit_status(root, gone) is None
    assert read_pending_signals(root, gone) is None
    assert may_read_exit_status(root, 4711) is None


@pytest.mark.parametrize(
    ("state", "threads", "status"),
    [
        pytest.param(b"Z", 1, WaitStatus(3, None), id="zombie"),
        pytest.param(b"X", 1, WaitStatus(3, None), id="being taken away"),
        pytest.param(b"Z", 2, None, id="its first thread has ended, it has not"),
        pytest.param(b"S", 1, None, id="alive"),
    ],
)
def test_only_what_is_over_has_a_status(
    tmp_path: Path, state: bytes, threads: int, status: WaitStatus | None
) -> None:
    """A first thread's code is not the process' while others live."""
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711" / "stat").write_bytes(LINE % (b"x", state, threads, 768))
    assert read_exit_status(str(tmp_path), ProcessId(4711, 987654)) == status
