"""Listening to kernels that only talk: lines that come, break and lie; floods; namespaces."""

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from jupyter_kernel_exporter.deaths.heard import (
    Connected,
    Disconnected,
    SessionChanged,
    ShutdownAnnounced,
    StateChanged,
)
from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.deaths.zmtp import GREETING
from support.listening import Listening, listening
from support.wire import (
    KEY,
    TalkingKernel,
    jupyter_frames,
    parent_of,
    silent,
    status,
    talking_kernel,
    zmtp_frame,
)


@pytest.fixture
def iopub() -> Iterator[Listening]:
    """A listening Iopub."""
    with listening() as made:
        yield made


@pytest.fixture
def kernel() -> Iterator[TalkingKernel]:
    """A kernel that only talks."""
    with talking_kernel() as made:
        yield made


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_kernel_is_heard(iopub: Listening, kernel: TalkingKernel) -> None:
    """From the line's first moment to its last."""
    iopub.watch("k", kernel.connection())
    kernel.subscribed()
    assert iopub.next(Connected).kernel_id == "k"
    kernel.say(status("busy", parent_of("execute_request")))
    assert iopub.next(StateChanged).state == "busy"
    kernel.say(jupyter_frames("shutdown_reply", {"restart": True}))
    kernel.hang_up()
    assert iopub.next(ShutdownAnnounced).restart
    assert iopub.next(Disconnected).at.wall == pytest.approx(time.time(), abs=10)
    assert iopub.heard().executing
    assert iopub.problem() == ""


def test_a_restart_is_heard(iopub: Listening, kernel: TalkingKernel) -> None:
    """The line is made anew by itself, and the new process is told by its session."""
    iopub.watch("k", kernel.connection())
    kernel.subscribed()
    kernel.say(status("idle"))
    iopub.next(StateChanged)
    port = kernel.port
    kernel.hang_up()
    kernel.listener.close()
    iopub.next(Disconnected)
    with talking_kernel(("127.0.0.1", port)) as again:
        again.subscribed()
        again.say(status("starting", session="session-2"))
        assert iopub.next(SessionChanged).now == "session-2"


def test_nothing_is_said_but_the_subscription(iopub: Listening, kernel: TalkingKernel) -> None:
    """And one line is all there is, however often the same kernel is watched."""
    for _ in range(5):
        iopub.watch("k", kernel.connection())
    peer = kernel.subscribed()
    kernel.say(status("busy"))
    iopub.next(StateChanged)
    iopub.watch("k", kernel.connection())
    assert silent(peer, 0.3)
    assert silent(kernel.listener, 0.1)


def test_a_slow_start_is_waited_for(iopub: Listening) -> None:
    """A stopped kernel accepts calls and says nothing: that is no reason to call again."""
    with talking_kernel(greeting=b"") as kernel:
        iopub.watch("k", kernel.connection())
        peer = kernel.accept()
        assert peer.recv(100) == GREETING
        assert silent(kernel.listener, 0.5)
        assert not iopub.heard().connected
        peer.sendall(GREETING[:20])
        peer.sendall(GREETING[20:] + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB")
        iopub.next(Connected)


def test_a_stranger_on_the_port(iopub: Listening, kernel: TalkingKernel) -> None:
    """Bad signatures and garbage are counted, and change nothing."""
    iopub.watch("k", kernel.connection())
    kernel.subscribed()
    kernel.say(
        status("busy", key=b"other"),
        jupyter_frames("shutdown_reply", {"restart": False}, key=b"other"),
        [b"garbage"],
        jupyter_frames("stream", {"text": "x"}, key=b"other"),
        jupyter_frames("error", parts=[b"\xff", b"", b"", b""]),
    )
    facts = iopub.heard_when(lambda f: f.malformed == 2)
    assert (facts.bad_signatures, facts.ever, facts.shutdowns) == (2, False, ())
    assert (facts.state, facts.last_activity_at) == ("unknown", None)


@pytest.mark.parametrize(
    ("greeting", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "1 of 1 kernels not heard: no ZMTP 3 peer"),
        (GREETING + b"\x04\x0b\x05ERROR\x04late", "refused"),
    ],
)
def test_no_publisher_on_the_port(iopub: Listening, greeting: bytes, sentence: str) -> None:
    """It is said, and tried again at most once in a while."""
    with talking_kernel(greeting=greeting) as other:
        iopub.watch("k", other.connection())
        other.accept()
        iopub.problem_with(sentence)
        iopub.forget("k")
        assert iopub.problem() == ""


def test_a_kernel_elsewhere(iopub: Listening, kernel: TalkingKernel) -> None:
    """A kernel that is watched at a new place is heard there, and its past is kept."""
    iopub.watch("k", kernel.connection())
    kernel.subscribed()
    kernel.say(status("busy"), jupyter_frames("error", {"ename": "MemoryError"}))
    iopub.next(StateChanged)
    with talking_kernel() as other:
        iopub.watch("k", other.connection())
        iopub.next(Disconnected)
        other.subscribed()
        iopub.next(Connected)
        assert iopub.heard().memory_errors == 1


def test_a_forgotten_kernel_is_hung_up_on(iopub: Listening, kernel: TalkingKernel) -> None:
    """At once, and its facts are gone."""
    iopub.watch("k", kernel.connection())
    peer = kernel.subscribed()
    iopub.next(Connected)
    iopub.forget("k")
    assert peer.recv(1) == b""
    assert iopub.facts("k") is None
    iopub.forget("k")


def test_stop_hangs_up(kernel: TalkingKernel) -> None:
    """And what was heard stays known."""
    iopub = Listening()
    descriptors = os.listdir("/proc/self/fd")
    iopub.start()
    iopub.watch("k", kernel.connection())
    peer = kernel.subscribed()
    kernel.say(status("busy"))
    iopub.next(StateChanged)
    iopub.stop()
    iopub.stop()
    assert peer.recv(1) == b""
    kernel.hang_up()
    assert iopub.heard().messages == 1
    assert "thread has ended" in iopub.problem()
    assert len(os.listdir("/proc/self/fd")) < len(descriptors)


def test_one_message_of_200_mb(iopub: Listening, kernel: TalkingKernel) -> None:
    """It is passed over while it comes in; the line stays, and memory does not grow."""
    iopub.watch("k", kernel.connection())
    peer = kernel.subscribed()
    kernel.say(status("idle"))
    iopub.next(StateChanged)
    before = resident_bytes()
    piece = b"x" * (1 << 20)
    peer.sendall(zmtp_frame(b"stream.stdout", more=True) + b"\x02" + (200 << 20).to_bytes(8, "big"))
    highest = before
    for _ in range(200):
        peer.sendall(piece)
        highest = max(highest, resident_bytes())
    kernel.say(status("busy"))
    assert iopub.next(StateChanged).state == "busy"
    assert highest - before < 20 << 20
    facts = iopub.heard()
    assert (facts.connected, facts.malformed) == (True, 1)


def test_a_flood_starves_nobody(iopub: Listening, kernel: TalkingKernel) -> None:
    """While one kernel sends all it can, another one is heard within half a second."""
    iopub.watch("flood", kernel.connection())
    kernel.subscribed()
    iopub.next(Connected)
    flood = [jupyter_frames("stream", {"text": "x" * 200})] * 500
    stop = threading.Event()

    def pour() -> None:
        while not stop.is_set():
            kernel.say(*flood)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        with talking_kernel() as other:
            iopub.watch("k", other.connection())
            other.subscribed()
            iopub.next(Connected)
            delays = []
            for number in range(20):
                said = time.monotonic()
                other.say(status(("busy", "idle")[number % 2]))
                delays.append(iopub.next(StateChanged).at.monotonic - said)
    finally:
        stop.set()
        thread.join()
    assert sorted(delays)[10] < 0.5
    assert iopub.heard("flood").messages > 1000


PUBLISHERS = """
import sys, zmq
context = zmq.Context(); context.set(zmq.MAX_SOCKETS, 4000)
sockets = [context.socket(zmq.XPUB) for _ in range(int(sys.argv[1]))]
print(*[s.bind_to_random_port("tcp://127.0.0.1") for s in sockets], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def script(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that ends when its input does."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.real
def test_a_thousand_idle_kernels_cost_nothing(iopub: Listening) -> None:
    """Of libzmq's making: all are connected within seconds, and then the thread sleeps."""
    with script(PUBLISHERS, "1000") as process:
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        before = resident_bytes()
        for number, port in enumerate(ports):
            iopub.watch(f"k-{number}", Connection("127.0.0.1", port, key=KEY))
        for _ in ports:
            iopub.next(Connected, within=30)
        used = time.process_time()
        time.sleep(1)
        assert time.process_time() - used < 0.02
        assert resident_bytes() - before < 50 << 20
