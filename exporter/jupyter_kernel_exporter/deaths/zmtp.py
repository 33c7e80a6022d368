"""ZMTP 3.0 as a subscriber speaks it: just enough to hear a PUB socket, in bounded memory.

What goes over the wire (https://rfc.zeromq.org/spec/23/, both sides send a greeting)::

    ff 00 00 00 00 00 00 00 01 7f  03 00  "NULL" 00*16  00  00*31      greeting, 64 bytes
    04 19 05 "READY" 0b "Socket-Type" 00 00 00 03 "SUB"                a command
    00 01 01                                                           subscribe to everything
    01 0d "stream.stdout" 01 09 "<IDS|MSG>" ... 02 SIZE(8) CONTENT     a message of many frames

Why not libzmq: it takes every message into memory whole before anybody can look at it, and its
high-water mark counts messages, not bytes. A kernel may print 200 MB in one message; with
MAXMSGSIZE libzmq ends the connection over it. Here a frame that is too long to be of interest is
passed over while it arrives, and what is kept of a message never exceeds :data:`MESSAGE_KEPT`.

Pure: bytes in, messages out. The socket belongs to :mod:`jupyter_kernel_exporter.deaths.lines`.
"""

Frame = bytes | None
"""One frame of a message; ``None`` if it was too long to keep."""

MESSAGE_KEPT = 128 * 1024
"""Bytes that are kept of one message. A status, an error or a cell's input are far below."""
FRAMES_KEPT = 32
"""Frames that are kept of one message; a Jupyter message has seven and its buffers."""

MORE, LONG, COMMAND = 1, 2, 4

GREETING = b"\xff" + b"\0" * 7 + b"\x01\x7f" + b"\x03\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32
SUBSCRIBE_TO_ALL = b"\0\x01\x01"


def _command(name: bytes, body: bytes) -> bytes:
    content = bytes([len(name)]) + name + body
    return bytes([COMMAND, len(content)]) + content


READY = _command(b"READY", b"\x0bSocket-Type\0\0\0\x03SUB")


class ProtocolError(ValueError):
    """The peer does not speak ZMTP 3 with the NULL mechanism; the text says what it does."""


class Subscriber:
    """One connection's side of the conversation.

    ``feed`` takes what was received and returns the messages that are now complete; ``outgoing``
    is what must be sent next, and is emptied by whoever sends it.
    """

    __slots__ = (
        "_buffer",
        "_frames",
        "_kept",
        "_last",
        "_phase",
        "_wanted",
        "outgoing",
        "skipping",
    )

    def __init__(self) -> None:
        self.outgoing = GREETING
        self.skipping = 0
        """Bytes of a frame still to come that nobody wants: they may be dropped unread."""
        self._phase = "greeting"
        self._buffer = bytearray()
        self._wanted = 1
        """Parsing cannot go on before the buffer is this long."""
        self._frames: list[Frame] = []
        self._kept = 0
        self._last = False
        """Whether the frame that is being skipped is the last of its message."""

    @property
    def ready(self) -> bool:
        """Whether the handshake is done: from now on everything published is heard."""
        return self._phase == "open"

    def skip(self, count: int) -> list[list[Frame]]:
        """Pass over ``count`` bytes, at most ``skipping``, that were received but not looked at."""
        self.skipping -= count
        return [] if self.skipping else self._frame_ended(None, self._last)

    def feed(self, data: bytes) -> list[list[Frame]]:
        """Take received bytes; raise :exc:`ProtocolError` if they make no sense."""
        messages: list[list[Frame]] = []
        if self.skipping:
            count = min(self.skipping, len(data))
            messages += self.skip(count)
            data = data[count:]
        if self._buffer or len(data) < self._wanted:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return messages
            data = bytes(self._buffer)
            self._buffer.clear()
        at = 0
        if self._phase == "greeting":
            at = self._greeting(data)
            if not at:
                self._buffer += data
                return messages
        at = self._parse(data, at, messages)
        self._buffer += data[at:]
        return messages

    def _greeting(self, data: bytes) -> int:
        """Check the peer's greeting; how long it was, or 0 while it is not complete."""
        if data[0] != 0xFF:
            raise ProtocolError("no ZMTP 3 peer: its first byte is not ff")
        if len(data) > 10 and data[10] < 3:
            raise ProtocolError(f"the peer speaks ZMTP {data[10]}, 3 is needed")
        if len(data) < len(GREETING):
            self._wanted = len(data) + 1
            return 0
        mechanism = data[12:32].rstrip(b"\0")
        if mechanism != b"NULL":
            raise ProtocolError(f"the peer wants the mechanism {mechanism!r}")
        self.outgoing += READY
        self._phase = "handshake"
        return len(GREETING)

    def _parse(self, data: bytes, at: int, messages: list[list[Frame]]) -> int:
        """Cut ``data`` from ``at`` on into frames; where the first incomplete one begins."""
        end = len(data)
        while True:
            if end - at < 2:
                self._wanted = 1 if self.skipping else 2
                return at
            flags = data[at]
            if flags & ~7:
                raise ProtocolError(f"a frame has reserved flags {flags:#x}")
            body = at + 2
            size = data[at + 1]
            if flags & LONG:
                body = at + 9
                if end < body:
                    self._wanted = 9
                    return at
                size = int.from_bytes(data[at + 1 : body], "big")
            if flags & COMMAND:
                if size > MESSAGE_KEPT:
                    raise ProtocolError(f"a command has {size} bytes")
            elif self._phase != "open":
                raise ProtocolError("a message came before READY")
            elif size > MESSAGE_KEPT - self._kept:
                at = body + self._skip_from(size, end - body, not flags & MORE, messages)
                continue
            if end - body < size:
                self._wanted = body - at + size
                return at
            at = body + size
            if flags & COMMAND:
                self._commanded(data[body:at])
            else:
                messages += self._frame_ended(data[body:at], not flags & MORE)

    def _skip_from(self, size: int, here: int, last: bool, messages: list[list[Frame]]) -> int:
        """Begin to skip a frame of which ``here`` bytes are there; how many of those are its."""
        self._last = last
        self.skipping = size
        count = min(size, here)
        messages += self.skip(count)
        return count

    def _frame_ended(self, frame: Frame, last: bool) -> list[list[Frame]]:
        if len(self._frames) < FRAMES_KEPT:
            self._frames.append(frame)
            self._kept += len(frame or b"")
        if not last:
            return []
        message, self._frames, self._kept = self._frames, [], 0
        return [message]

    def _commanded(self, body: bytes) -> None:
        """Obey a command; ones that mean nothing to a subscriber are passed over."""
        name = body[1 : 1 + body[0]] if body else b""
        if name == b"ERROR":
            raise ProtocolError(f"the peer refused: {body[7:71]!r}")
        if name == b"READY" and self._phase == "handshake":
            if b"PUB" not in body:  # PUB or XPUB
                raise ProtocolError("the peer is no publisher")
            self.outgoing += SUBSCRIBE_TO_ALL
            self._phase = "open"
