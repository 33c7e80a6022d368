"""What goes over a kernel's iopub, for tests: messages, the bytes of ZMTP, kernels that only talk.

No Jupyter is involved: the frames are built by hand, so that they can be wrong in any way.
"""

import contextlib
import hashlib
import hmac
import json
import select
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.deaths.zmtp import GREETING

KEY = b"a-key-of-a-test"
PUBLISHER_READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB"


def jupyter_frames(
    kind: str,
    content: object = None,
    *,
    parent: object = None,
    session: str = "session-1",
    key: bytes = KEY,
    digest: str = "sha256",
    topics: Sequence[bytes] = (b"kernel.1.topic",),
    parts: Sequence[bytes] | None = None,
) -> list[bytes]:
    """A signed message, as frames; ``parts`` in place of the four JSON frames."""
    header = {"msg_id": "m-1", "msg_type": kind, "session": session, "username": "eva"}
    if parts is None:
        documents: list[object] = [header, parent or {}, {}, content or {}]
        parts = [json.dumps(document).encode() for document in documents]
    return [*topics, b"<IDS|MSG>", sign(parts, key, digest), *parts]


def sign(parts: Iterable[bytes], key: bytes = KEY, digest: str = "sha256") -> bytes:
    """The signature of the four JSON frames."""
    if not key:
        return b""
    return hmac.new(key, b"".join(parts), getattr(hashlib, digest)).hexdigest().encode()


def parent_of(kind: str, request: str = "r-1", session: str = "client-1") -> dict[str, Any]:
    """The header of the request that a message is about."""
    return {"msg_id": request, "msg_type": kind, "session": session}


def status(state: str, parent: object = None, **more: Any) -> list[bytes]:
    """A message that says what the kernel does."""
    return jupyter_frames("status", {"execution_state": state}, parent=parent, **more)


def zmtp_frame(body: bytes, *, more: bool = False) -> bytes:
    """One frame as it goes over the wire."""
    if len(body) < 256:
        return bytes([more, len(body)]) + body
    return struct.pack(">BQ", 2 | more, len(body)) + body


def zmtp_message(frames: Sequence[bytes]) -> bytes:
    """A message as it goes over the wire."""
    last = len(frames) - 1
    return b"".join(zmtp_frame(body, more=i < last) for i, body in enumerate(frames))


class TalkingKernel:
    """A publisher on a socket that says exactly the bytes that it is told to."""

    def __init__(self, family: socket.AddressFamily, address: Any, greeting: bytes) -> None:
        self.greeting = greeting
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen()
        self.listener.settimeout(10)
        self.peers: list[socket.socket] = []

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.listener.getsockname()[1])

    def connection(self, ip: str = "127.0.0.1", **more: Any) -> Connection:
        """How it is reached over TCP."""
        return Connection(ip, self.port, key=KEY, **more)

    def accept(self) -> socket.socket:
        """Take a call: greet, and read the other's greeting, READY and subscription."""
        peer = self.listener.accept()[0]
        self.peers.append(peer)
        peer.settimeout(10)
        peer.sendall(self.greeting)
        return peer

    def subscribed(self) -> socket.socket:
        """Take a call and see it through to the subscription."""
        peer = self.accept()
        heard = b""
        while len(heard) < len(GREETING) + 27 + 3:
            received = peer.recv(4096)
            assert received, f"hung up after {heard!r}"
            heard += received
        assert heard.endswith(b"\0\x01\x01"), heard
        return peer

    def say(self, *messages: Sequence[bytes]) -> None:
        """Say messages to whoever called last."""
        self.peers[-1].sendall(b"".join(zmtp_message(frames) for frames in messages))

    def hang_up(self) -> None:
        """End all calls, and wait for more."""
        while self.peers:
            self.peers.pop().close()


@contextlib.contextmanager
def talking_kernel(
    address: Any = ("127.0.0.1", 0),
    family: socket.AddressFamily = socket.AF_INET,
    greeting: bytes = GREETING + PUBLISHER_READY,
) -> Iterator[TalkingKernel]:
    """A :class:`TalkingKernel` that is gone afterwards."""
    kernel = TalkingKernel(family, address, greeting)
    try:
        yield kernel
    finally:
        kernel.hang_up()
        kernel.listener.close()


def silent(peer: socket.socket, seconds: float) -> bool:
    """Whether nothing at all is received for a while."""
    return not select.select([peer], [], [], seconds)[0]
