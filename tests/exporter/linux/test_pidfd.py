"""Pidfds of real children: ready when the whole process is over, and never another one's."""

import errno
import os
import resource
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.pidfd import (
    check_namespace,
    has_ended,
    open_process,
    read_exit_status,
)
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sources import Unavailable
from support.processes import first_thread_ends, knows_exit, needs_root

DEADLINE_SECONDS = 20.0

linux_6_15 = pytest.mark.skipif(
    tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 15),
    reason="linux before 6.15 keeps no exit status",
)


def identity(pid: int) -> ProcessId:
    """Who a live child is."""
    stat = read_stat("/proc", pid)
    assert stat is not None
    return ProcessId(pid, stat.start_ticks)


@contextmanager
def opened(pid: int) -> Iterator[int]:
    """A pidfd of a live child, closed at the end."""
    fd = open_process("/proc", identity(pid))
    assert fd is not None
    try:
        yield fd
    finally:
        os.close(fd)


def wait_ready(fd: int) -> None:
    """Wait as the daemon does, with epoll; fail at the deadline."""
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        assert epoll.poll(DEADLINE_SECONDS), "not ready until the deadline"


@pytest.mark.real
@pytest.mark.parametrize(
    ("program", "status"),
    [
        pytest.param("read x; exit 3", WaitStatus(3, None), id="exit 3"),
        pytest.param("read x; exit 0", WaitStatus(0, None), id="exit 0"),
        pytest.param("read x; kill -KILL $$", WaitStatus(None, 9), id="SIGKILL"),
    ],
)
@linux_6_15
def test_it_is_ready_at_the_end_and_knows_the_status_after_the_wait(
    program: str, status: WaitStatus
) -> None:
    """Alive: not ready. Zombie: ready, status not known. Waited for: the status."""
    child = subprocess.Popen(["/bin/sh", "-c", program], stdin=subprocess.PIPE)
    with child, opened(child.pid) as fd:
        assert not has_ended(fd)
        assert read_exit_status(fd) is None
        assert child.stdin is not None
        child.stdin.close()
        wait_ready(fd)
        assert has_ended(fd)
        assert read_exit_status(fd) is None
        child.wait()
        assert read_exit_status(fd) == status
        assert has_ended(fd)


@pytest.mark.real
@needs_root
@linux_6_15
def test_another_user_learns_the_status_too() -> None:
    """Once the process was waited for, linux masks its status for nobody."""
    program = (
        "import os, sys\n"
        "from jupyter_kernel_exporter.linux.pidfd import read_exit_status\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(read_exit_status(int(sys.argv[1])))\n"
    )
    child = subprocess.Popen(["/bin/sh", "-c", "read x; exit 4"], stdin=subprocess.PIPE)
    with child, opened(child.pid) as fd:
        child.communicate(b"\n")
        command = [sys.executable, "-c", program, str(fd)]
        done = subprocess.run(command, pass_fds=[fd], capture_output=True, text=True, check=True)
    assert done.stdout == "exit 4\n"


@pytest.mark.real
@knows_exit
@linux_6_15
def test_it_waits_for_the_last_thread() -> None:
    """The end of the first thread is not the end, and the status is that of the process."""
    command = [sys.executable, "-S", "-c", first_thread_ends("os._exit(5)")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child, opened(child.pid) as fd:
        while (stat := read_stat("/proc", child.pid)) is not None and stat.state != "Z":
            os.sched_yield()
        assert not has_ended(fd)
        child.communicate(b"x")
        assert has_ended(fd)
        assert read_exit_status(fd) == WaitStatus(5, None)


@pytest.mark.real
def test_a_zombie_can_be_opened() -> None:
    """A process that ended before it was found still has a pidfd until it is waited for."""
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with opened(child.pid) as fd:
            assert has_ended(fd)


@pytest.mark.real
def test_a_reused_pid_is_not_opened() -> None:
    """A process with the pid and another start is another process; no descriptor is left open."""
    before = len(os.listdir("/proc/self/fd"))
    own = identity(os.getpid())
    assert open_process("/proc", own._replace(start_ticks=own.start_ticks - 1)) is None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.real
def test_a_process_that_is_gone_is_none() -> None:
    """Gone is normal."""
    with subprocess.Popen(["/bin/true"]) as child:
        was = identity(child.pid)
        child.wait()
    assert open_process("/proc", was) is None


def test_running_out_of_descriptors_is_a_fault() -> None:
    """That is not called unavailable: it is ours to say, and to raise the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    own = identity(os.getpid())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="open files") as raised:
            open_process("/proc", own)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.errno == errno.EMFILE


def test_a_descriptor_of_another_kind_knows_nothing() -> None:
    """As before linux 6.13: the request is not known, and so is the status."""
    with Path("/proc/self/stat").open("rb") as file:
        assert read_exit_status(file.fileno()) is None


def test_our_own_proc_passes_the_check() -> None:
    """The /proc of the caller's namespace is silent."""
    check_namespace("/proc")


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(f"Name:\tx\nNSpid:\t4711\t{os.getpid()}\n", id="of a namespace above"),
        pytest.param("Name:\tx\nNSpid:\t4711\n", id="another number"),
        pytest.param("Name:\tx\n", id="no number"),
        pytest.param(None, id="does not know us"),
    ],
)
def test_the_proc_of_another_namespace_is_refused(tmp_path: Path, status: str | None) -> None:
    """A /proc in which we have another number, or none, is said to be of no use."""
    if status is not None:
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "status").write_text(status)
    with pytest.raises(Unavailable, match="pid host"):
        check_namespace(str(tmp_path))
