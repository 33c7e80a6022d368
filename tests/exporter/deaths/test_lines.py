"""Where a line may lead, and that it stands in nobody's way."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.heard import Connected, Disconnected, StateChanged
from jupyter_kernel_exporter.deaths.lines import SOURCE_IPV4, Connection
from support.apart import apart, needs_unshare
from support.listening import Listening, listening
from support.wire import KEY, TalkingKernel, jupyter_frames, status, talking_kernel


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


def test_no_secret_in_a_repr() -> None:
    """A connection may be logged."""
    text = repr(Connection("127.0.0.1", 1, "tcp", b"swordfish", "hmac-sha256", b"public", b"curve"))
    assert "swordfish" not in text
    assert "public" not in text
    assert "curve'" not in text


def test_the_kernels_own_address_is_not_used(iopub: Listening, kernel: TalkingKernel) -> None:
    """So that the line can never take a port that a kernel wants back."""
    iopub.watch("k", kernel.connection())
    assert kernel.subscribed().getpeername()[0] == SOURCE_IPV4


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        (Connection("203.0.113.9", 80), "Invalid argument"),
        (Connection("10.0.0.1\0", 80), "no IP address"),
        (Connection("kernel.example.org", 80), "no IP address"),
        (Connection("127.0.0.1", 0), "no TCP port"),
        (Connection("127.0.0.1", 70000), "no TCP port"),
        (Connection("/tmp/x", 1, "inproc"), "unknown transport"),
        (Connection("relative", 1, "ipc"), "no absolute socket path"),
        (Connection("127.0.0.1", 80, signature_scheme="rot13"), "unknown signature scheme"),
    ],
)  # fmt: skip
def test_places_that_are_not_called(
    iopub: Listening, connection: Connection, sentence: str
) -> None:
    """Another machine, whatever its name, and what is no place at all."""
    iopub.watch("k", connection)
    iopub.problem_with(sentence)


@pytest.mark.parametrize("ip", ["localhost", "*", "0.0.0.0", "", "127.0.0.1"])
def test_names_of_the_loopback_address(iopub: Listening, kernel: TalkingKernel, ip: str) -> None:
    """All that a connection file may call it."""
    iopub.watch("k", kernel.connection(ip))
    kernel.subscribed()
    iopub.next(Connected)


def test_ipv6(iopub: Listening) -> None:
    """A kernel on the other loopback address."""
    with talking_kernel(("::1", 0), socket.AF_INET6) as kernel:
        iopub.watch("k", kernel.connection("::1"))
        kernel.subscribed()
        iopub.next(Connected)


def test_unix_sockets_below_a_long_path(iopub: Listening, tmp_path: Path) -> None:
    """The path may be longer than an address holds, as through /proc/PID/root."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    directory = os.open(deep, os.O_PATH)
    with talking_kernel(f"/proc/self/fd/{directory}/kernel-ipc-3", socket.AF_UNIX) as kernel:
        os.close(directory)
        inside = str(deep / "kernel-ipc").removeprefix("/tmp")
        connection = Connection(inside, 3, "ipc", KEY, root="/tmp/", uid=os.getuid())
        iopub.watch("k", connection)
        kernel.subscribed()
        big = jupyter_frames("stream", {"text": "x" * (3 << 20)})
        kernel.say(big, status("busy"), big)
        assert iopub.next(StateChanged).state == "busy"
        kernel.hang_up()
        iopub.next(Disconnected)
        kernel.subscribed()
        iopub.next(Connected)


def test_another_users_unix_socket(iopub: Listening, tmp_path: Path) -> None:
    """A connection file cannot send the daemon to somebody else's socket: not a byte is sent."""
    with talking_kernel(str(tmp_path / "k-1"), socket.AF_UNIX) as kernel:
        connection = Connection(str(tmp_path / "k"), 1, "ipc", KEY, uid=os.getuid() + 1)
        iopub.watch("k", connection)
        peer = kernel.listener.accept()[0]
        with contextlib.closing(peer):
            assert peer.recv(1) == b""
        iopub.problem_with("another user's")


FEW_PORTS = """
import time
from jupyter_kernel_exporter.deaths.iopub import Iopub
from jupyter_kernel_exporter.deaths.lines import Connection
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
    file.write("40000 40003")
iopub = Iopub()
iopub.start()
for port in range(40000, 40004):
    iopub.watch(str(port), Connection("127.0.0.1", port))
end = time.monotonic() + 2
while time.monotonic() < end:
    for port in range(40000, 40004):
        with socket.socket() as plain:
            plain.bind(("127.0.0.1", port))  # as jupyter_client looks for free ports
    time.sleep(0.001)
iopub.stop()
print("free")
"""


@needs_unshare
def test_ports_stay_free_for_kernels_that_come_back() -> None:
    """Where source ports are few, a line that is tried again and again takes none of them."""
    with apart(FEW_PORTS) as process:
        assert process.communicate()[0] == "free\n"


PUBLISHER = """
import zmq
from support.wire import status
publisher = zmq.Context().socket(zmq.XPUB)
print(publisher.bind_to_random_port("tcp://127.0.0.1"), flush=True)
publisher.recv()
publisher.send_multipart(status("busy"))
sys.stdin.read()
"""


@needs_unshare
def test_inside_another_network_namespace(iopub: Listening) -> None:
    """A container's kernel is heard, and no thread of this process stays in its namespace."""
    here = os.stat("/proc/self/ns/net").st_ino
    with apart(PUBLISHER) as process:
        assert process.stdout is not None
        netns = f"/proc/{process.pid}/ns/net"
        connection = Connection("127.0.0.1", int(process.stdout.readline()), key=KEY, netns=netns)
        iopub.watch("k", connection)
        assert iopub.next(StateChanged).state == "busy"
        process.communicate()
        iopub.next(Disconnected)
    threads = os.listdir("/proc/self/task")
    assert {os.stat(f"/proc/self/task/{t}/ns/net").st_ino for t in threads} == {here}


def test_ones_own_namespace_is_not_entered(iopub: Listening, kernel: TalkingKernel) -> None:
    """So that without containers no privilege is needed."""
    iopub.watch("k", kernel.connection(netns=f"/proc/{os.getpid()}/ns/net"))
    kernel.subscribed()
    iopub.next(Connected)


def test_a_namespace_that_is_gone_is_no_problem(iopub: Listening, kernel: TalkingKernel) -> None:
    """The kernel has ended with its container; another one's process may be named later."""
    iopub.watch("k", kernel.connection(netns="/proc/1/no-such-ns"))
    iopub.watch("other", kernel.connection())
    kernel.subscribed()
    iopub.next(Connected)
    assert iopub.problem() == ""
