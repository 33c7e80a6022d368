"""Kernels that encrypt."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from jupyter_kernel_exporter.deaths.heard import Connected, Disconnected, StateChanged
from jupyter_kernel_exporter.deaths.lines import Connection
from support.apart import apart, needs_unshare
from support.listening import Listening, listening
from support.wire import KEY, jupyter_frames, status


@pytest.fixture
def iopub() -> Iterator[Listening]:
    """A listening Iopub."""
    with listening() as made:
        yield made


def test_encrypted(iopub: Listening) -> None:
    """CurveZMQ, over a restart of the kernel, and with a message that is too long for libzmq."""
    public, secret = zmq.curve_keypair()
    port = 0
    for session in ("session-1", "session-2"):
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            publisher.linger = 0
            publisher.curve_server = True
            publisher.curve_publickey, publisher.curve_secretkey = public, secret
            if port:
                publisher.bind(f"tcp://127.0.0.1:{port}")
            else:
                port = publisher.bind_to_random_port("tcp://127.0.0.1")
            iopub.watch(
                "k",
                Connection(
                    "127.0.0.1", port, key=KEY, curve_publickey=public, curve_secretkey=secret
                ),
            )
            assert publisher.recv() == b"\x01"
            iopub.next(Connected)
            for _ in range(600):
                publisher.send_multipart(jupyter_frames("stream", {"text": "x"}))
            publisher.send_multipart(status("busy", session=session))
            iopub.next(StateChanged)
            if session == "session-1":
                publisher.send(b"x" * (17 << 20))
                iopub.next(Disconnected)
                iopub.next(Connected)
        iopub.next(Disconnected)
    assert iopub.heard().sessions == 2
    assert iopub.problem() == ""


def test_a_wrong_curve_key(iopub: Listening) -> None:
    """A key that is none is said, and never shown."""
    iopub.watch("k", Connection("127.0.0.1", 9, curve_publickey=b"swordfish", curve_secretkey=b"x"))
    assert "swordfish" not in iopub.problem_with("1 of 1 kernels")


def test_another_key(iopub: Listening) -> None:
    """The peer has another one: it is said, and nothing is heard."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = 0
        publisher.curve_server = True
        publisher.curve_publickey, publisher.curve_secretkey = zmq.curve_keypair()
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        connection = Connection(
            "127.0.0.1", port, key=KEY, curve_publickey=public, curve_secretkey=secret
        )
        iopub.watch("k", connection)
        assert secret.decode() not in iopub.problem_with("could not be agreed on")
        assert not iopub.heard().connected


def test_encrypted_ipc(iopub: Listening, tmp_path: Path) -> None:
    """Over a socket file; gone and back as with TCP."""
    public, secret = zmq.curve_keypair()
    for _ in range(2):
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            publisher.linger = 0
            publisher.curve_server = True
            publisher.curve_publickey, publisher.curve_secretkey = public, secret
            publisher.bind(f"ipc://{tmp_path}/k-4")
            connection = Connection(
                f"{tmp_path}/k", 4, "ipc", KEY, curve_publickey=public, curve_secretkey=secret
            )
            iopub.watch("k", connection)
            assert publisher.recv() == b"\x01"
            iopub.next(Connected)
        iopub.next(Disconnected)


PUBLISHER = """
import zmq
from support.wire import status
publisher = zmq.Context().socket(zmq.XPUB)
publisher.curve_server = True
publisher.curve_publickey, publisher.curve_secretkey = (k.encode() for k in sys.argv[2:])
print(publisher.bind_to_random_port("tcp://127.0.0.1"), flush=True)
publisher.recv()
publisher.send_multipart(status("busy"))
sys.stdin.read()
"""


@needs_unshare
def test_encrypted_inside_another_network_namespace(iopub: Listening) -> None:
    """libzmq's threads live in the namespace for as long as the line, no longer."""
    here = os.stat("/proc/self/ns/net").st_ino
    public, secret = zmq.curve_keypair()
    with apart(PUBLISHER, public.decode(), secret.decode()) as process:
        assert process.stdout is not None
        connection = Connection(
            "127.0.0.1",
            int(process.stdout.readline()),
            key=KEY,
            curve_publickey=public,
            curve_secretkey=secret,
            netns=f"/proc/{process.pid}/ns/net",
        )
        iopub.watch("k", connection)
        assert iopub.next(StateChanged).state == "busy"
        process.communicate()
        iopub.next(Disconnected)
    iopub.stop()
    threads = os.listdir("/proc/self/task")
    assert {os.stat(f"/proc/self/task/{t}/ns/net").st_ino for t in threads} == {here}
