"""Process events from the linux that the tests run on, and real children that end in all ways."""

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from jupyter_kernel_exporter.linux.procevents import ProcEvents
from jupyter_kernel_exporter.linux.procmessage import (
    Event,
    Exec,
    Exit,
    Fork,
    parse_message,
)
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.linux.zombie import read_remains
from jupyter_kernel_exporter.sources import Unavailable
from support.processes import first_thread_ends, knows_exit, needs_root

pytestmark = pytest.mark.real

DEADLINE_SECONDS = 20.0

SYS_SOCKET = {"x86_64": 41, "aarch64": 198}
SAY_WHY = (
    "from jupyter_kernel_exporter.linux.procevents import ProcEvents\n"
    "from jupyter_kernel_exporter.sources import Unavailable\n"
    "try: ProcEvents()\n"
    "except Unavailable as why: print(why)\n"
)


@pytest.fixture
def events() -> Iterator[ProcEvents]:
    """An open ear, or a skip where this machine has none."""
    try:
        opened = ProcEvents()
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(opened):
        yield opened


def hear(events: ProcEvents, enough: Callable[[list[Event]], bool]) -> tuple[list[Event], bool]:
    """Read until ``enough`` is satisfied; fail at the deadline."""
    heard: list[Event] = []
    gap = False
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not enough(heard):
        left = deadline - time.monotonic()
        assert left > 0, f"only {len(heard)} events until the deadline"
        select.select([events], [], [], left)
        reading = events.read()
        heard += reading.events
        gap |= reading.gap
    return heard, gap


def exits_of(pid: int, heard: list[Event]) -> list[Exit]:
    """The ends of a process' threads, in order."""
    return [event for event in heard if isinstance(event, Exit) and event.tgid == pid]


def python(program: str) -> subprocess.Popen[bytes]:
    """Start a child with pipes to talk to it."""
    command = [sys.executable, "-S", "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        pytest.param("exit 3", "exit 3", id="exit 3"),
        pytest.param("exit 0", "exit 0", id="exit 0"),
        pytest.param("kill -KILL $$", "SIGKILL", id="SIGKILL"),
        pytest.param("kill -TERM $$", "SIGTERM", id="SIGTERM"),
    ],
)
def test_an_end_is_told_with_its_status(events: ProcEvents, program: str, shown: str) -> None:
    """The status comes at the end, before anybody has waited, with fork and exec before it."""
    before = time.monotonic()
    child = subprocess.Popen(["/bin/sh", "-c", program])
    heard, gap = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
    child.wait()
    own = [event for event in heard if event.pid == child.pid]
    assert [type(event) for event in own] == [Fork, Exec, Exit]
    fork, _, end = own
    assert isinstance(fork, Fork)
    assert fork.parent == os.getpid()
    assert isinstance(end, Exit)
    assert str(WaitStatus.from_raw(end.wait_status)) == shown
    assert before <= fork.at <= end.at <= time.monotonic()
    assert not gap


@needs_root
def test_another_users_status_is_not_masked(events: ProcEvents) -> None:
    """What /proc hides from others, an event tells."""
    child = subprocess.Popen(
        ["/bin/sh", "-c", "exit 5"], user=65534, group=65534, extra_groups=[], cwd="/"
    )
    heard, _ = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
    child.wait()
    assert exits_of(child.pid, heard)[-1].wait_status == 5 << 8


def test_a_thousand_short_lives_are_all_told(events: ProcEvents) -> None:
    """Processes that live for a moment, as fast as one can make them: none is lost."""
    program = (
        "import os\n"
        "for i in range(1000):\n"
        "    pid = os.fork()\n"
        "    if pid == 0: os._exit(i % 256)\n"
        "    os.waitpid(pid, 0)\n"
        "    print(pid, i % 256)\n"
    )
    with python(program) as child:
        out, _ = child.communicate()
    told = {int(pid): int(code) << 8 for pid, code in (line.split() for line in out.splitlines())}
    heard, gap = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
    assert len(told) == 1000
    assert {e.pid: e.wait_status for e in heard if isinstance(e, Exit) and e.pid in told} == told
    assert told.keys() <= {e.pid for e in heard if isinstance(e, Fork) and e.parent == child.pid}
    assert not gap


def test_the_threads_of_a_process_all_bear_its_status(events: ProcEvents) -> None:
    """When a process with threads ends as a whole, each of their ends says how."""
    program = (
        "import os, threading, time\n"
        "for _ in range(4): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "os.read(0, 1)\n"
        "os._exit(7)\n"
    )
    with python(program) as child:
        child.communicate(b"x")
    heard, _ = hear(events, lambda heard: len(exits_of(child.pid, heard)) == 5)
    ends = exits_of(child.pid, heard)
    assert {end.wait_status for end in ends} == {7 << 8}
    assert sum(end.pid == child.pid for end in ends) == 1


@knows_exit
@pytest.mark.parametrize(
    ("last", "status"),
    [
        pytest.param("os._exit(5)", WaitStatus(5, None), id="exit 5"),
        pytest.param("os.kill(os.getpid(), 9)", WaitStatus(None, 9), id="SIGKILL"),
    ],
)
def test_the_end_of_the_first_thread_is_not_the_end(
    events: ProcEvents, last: str, status: WaitStatus
) -> None:
    """A first thread that ends before the others says nothing; the last one's end does."""
    with python(first_thread_ends(last)) as child:
        heard, _ = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
        first = exits_of(child.pid, heard)[0]
        assert (first.pid, first.wait_status) == (child.pid, 9 << 8)
        remains = read_remains("/proc", child.pid)
        assert remains is not None
        assert (remains.state, remains.threads) == ("Z", 2)
        assert child.poll() is None
        child.communicate(b"x")
    heard, _ = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
    end = exits_of(child.pid, heard)[-1]
    assert end.pid != child.pid
    assert WaitStatus.from_raw(end.wait_status) == status
    assert child.returncode == (status.code if status.signal is None else -status.signal)


def test_a_full_buffer_is_told_as_a_gap_and_then_all_is_well() -> None:
    """Lost events show as a gap once; what happens afterwards is heard again."""
    try:
        opened = ProcEvents(buffer_bytes=4096)
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(opened) as events:
        flood(100)
        assert events.read().gap
        assert hear_a_child(events) == (1 << 8, False)


def test_linux_that_stopped_sending_is_asked_again() -> None:
    """If linux does not answer after a gap, a new socket takes over behind the same descriptor."""
    try:
        opened = ProcEvents(buffer_bytes=4096)
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(opened) as events:
        descriptor, deaf = events.fileno(), events._socket
        flood(100)
        drop_membership = 2
        deaf.setsockopt(270, drop_membership, 1)  # SOL_NETLINK: linux sends us nothing any more
        assert events.read().gap
        assert deaf.fileno() == -1
        assert events.fileno() == descriptor
        assert hear_a_child(events) == (1 << 8, False)


@needs_root
def test_a_forged_event_is_not_believed(events: ProcEvents) -> None:
    """A datagram that a process sent, root's even, is none of linux'."""
    nobody = 0x7FFFFFFE
    body = struct.pack("=IIQ4I8x", 0x80000000, 0, 1, nobody, nobody, 9, 17)
    message = struct.pack("=IIIIHH", 1, 1, 0, 0, len(body), 0) + body
    forged = struct.pack("=IHHII", 16 + len(message), 3, 0, 0, 0) + message
    parsed = parse_message(forged)
    assert parsed is not None
    assert parsed.event == Exit(nobody, nobody, 9, 1e-9)
    port = events._socket.getsockname()[0]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11) as forger:
        forger.sendto(forged, (port, 0))
        heard = []
        while forged not in heard:  # it does arrive
            heard.append(events._socket.recv(4096))
        forger.sendto(forged, (port, 0))
    assert not exits_of(nobody, events.read().events)


def test_a_jump_in_the_numbers_is_a_gap(events: ProcEvents) -> None:
    """An event that linux had no memory for leaves a hole in the numbers of its CPU."""
    subprocess.run(["/bin/true"], check=True)
    hear(events, lambda heard: any(isinstance(event, Exit) for event in heard))
    for cpu in events._sequences:
        events._sequences[cpu] -= 1
    # Of a CPU that was not heard before there is nothing to compare with.
    for _ in range(50):
        subprocess.run(["/bin/true"], check=True)
        _, gap = hear(events, lambda heard: any(isinstance(event, Exit) for event in heard))
        if gap:
            break
    assert gap
    assert hear_a_child(events) == (1 << 8, False)


@needs_root
@pytest.mark.parametrize(
    ("namespace", "sentence"),
    [
        pytest.param("--net", "network host", id="network"),
        pytest.param("--pid", "pid host", id="pid"),
        pytest.param("--user", "user namespace", id="user"),
    ],
)
def test_in_another_namespace_it_says_what_to_do(namespace: str, sentence: str) -> None:
    """Where linux sends nothing, that is known at once and said with the remedy."""
    command = ["unshare", "--fork", namespace, sys.executable, "-c", SAY_WHY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr)
    assert sentence in done.stdout, done.stderr


@pytest.mark.skipif(os.uname().machine not in SYS_SOCKET, reason="number of socket(2) not known")
def test_in_a_sandbox_without_netlink_it_says_so() -> None:
    """A filter of system calls, which is what systemd sets up, is no fault of ours."""
    # Load the call's number; if it is socket(2), load its first argument; if it is AF_NETLINK (16),
    # fail with EAFNOSUPPORT (97); else go on.
    program = (
        "import ctypes, struct, sys\n"
        "rules = [(32, 0, 0, 0), (21, 0, 3, int(sys.argv[1])), (32, 0, 0, 16), (21, 0, 1, 16),"
        " (6, 0, 0, 0x50000 | 97), (6, 0, 0, 0x7fff0000)]\n"
        "code = ctypes.create_string_buffer(b''.join(struct.pack('=HBBI', *r) for r in rules))\n"
        "filter = struct.pack('@HP', len(rules), ctypes.addressof(code))\n"
        "prctl = ctypes.CDLL(None, use_errno=True).prctl\n"
        "assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, filter) == 0\n"
    )
    command = [sys.executable, "-c", program + SAY_WHY, str(SYS_SOCKET[os.uname().machine])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "RestrictAddressFamilies" in done.stdout


def test_closing_gives_every_descriptor_back() -> None:
    """Opening and closing leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        try:
            ProcEvents().close()
        except Unavailable as why:
            pytest.skip(str(why))
    assert len(os.listdir("/proc/self/fd")) == before


def flood(count: int) -> None:
    """Make more events than a small buffer holds."""
    subprocess.run(["/bin/sh", "-c", f"for i in $(seq {count}); do /bin/true; done"], check=True)


def hear_a_child(events: ProcEvents) -> tuple[int, bool]:
    """Start a child, hear it end; its wait status, and whether there was a gap."""
    child = subprocess.Popen(["/bin/sh", "-c", "exit 1"])
    heard, gap = hear(events, lambda heard: bool(exits_of(child.pid, heard)))
    child.wait()
    return exits_of(child.pid, heard)[-1].wait_status, gap
