"""What linux says about forks, execs and exits: the datagrams of the proc connector.

The format is that of ``linux/netlink.h``, ``linux/connector.h`` and ``linux/cn_proc.h``, one after
the other in the machine's byte order: a netlink header (16 bytes), a ``cn_msg`` (20) and a
``proc_event`` (40), which is timestamped when the thing happens:

    length type flags seq port | idx val seq ack len flags | what cpu timestamp_ns data...

**Threads end too**, and the first thread may end before the others: then the process lives on as a
zombie that has threads, and the exit of its first thread (``pid == tgid``) bears a code that
nobody will ever wait for. A process is over when its last thread is, and the last :class:`Exit`
with its ``tgid`` has the status that wait(2) gives. So ``pid == tgid`` is the end of a process only
if it is also gone from /proc, a zombie with one thread left (:mod:`.zombie`), or its pidfd is
readable. (Where every thread leaves by the bare system call, none by exit(3) and none by a signal,
the first thread's code is the one that counts; the C library never does that.)
"""

import struct
from typing import NamedTuple

CN_IDX_PROC = CN_VAL_PROC = 1
NO_CPU = 0xFFFFFFFF
"""In an answer of older linux: it belongs to no CPU, and has no number in a sequence."""

_NLMSG_DONE = 3
_LISTEN = 1
_NONE, _FORK, _EXEC, _EXIT = 0, 1, 2, 0x80000000
_REQUEST = struct.Struct("=IHHII IIIIHHI")
_ID = struct.pack("=II", CN_IDX_PROC, CN_VAL_PROC)
_ID_AT = 16
_EVENT = struct.Struct("=IIHHIIQ4I")
"""From the number in the sequence on: seq, ack, len, flags, what, cpu, time, four words of data."""
_EVENT_AT = 24
_LENGTH = _EVENT_AT + _EVENT.size


class Fork(NamedTuple):
    """A new process (new threads are left out)."""

    parent: int
    """The process, not the thread, that is its parent."""
    pid: int
    at: float
    """Seconds of CLOCK_MONOTONIC, which is what :func:`time.monotonic` reads."""


class Exec(NamedTuple):
    """A process runs another program now: its command line is a new one, its pid is not."""

    pid: int
    at: float


class Exit(NamedTuple):
    """A thread ended; read the module's text before taking it for the end of a process."""

    pid: int
    """The thread's id: the process' own if it was the first thread."""
    tgid: int
    """The process' id."""
    wait_status: int
    """For :meth:`.waitstatus.WaitStatus.from_raw`; linux masks it for nobody."""
    at: float


Event = Fork | Exec | Exit


class Message(NamedTuple):
    """One datagram."""

    cpu: int
    sequence: int
    """Counts the messages of this CPU, modulo 2**32."""
    event: Event | None
    """``None`` for kinds that are of no use here, and for answers."""
    acknowledges: int = 0
    """Of an answer to a request: the number that was sent with it, plus one."""
    error: int = 0
    """Of an answer: 0, or why the request was refused (errno)."""


def parse_message(raw: bytes) -> Message | None:
    """Parse one datagram; ``None`` for what is no message of the proc connector."""
    if len(raw) < _LENGTH or raw[_ID_AT:_EVENT_AT] != _ID:
        return None
    sequence, ack, _, _, what, cpu, nanoseconds, a, b, c, d = _EVENT.unpack_from(raw, _EVENT_AT)
    event: Event | None = None
    if what == _EXIT:
        event = Exit(a, b, c, nanoseconds / 1e9)
    elif what == _FORK:
        if c == d:
            event = Fork(b, c, nanoseconds / 1e9)
    elif what == _EXEC:
        event = Exec(b, nanoseconds / 1e9)
    elif what == _NONE:
        return Message(cpu, sequence, None, ack, a)
    return Message(cpu, sequence, event)


def build_listen_request(token: int) -> bytes:
    """The request to send all events from now on; its answer acknowledges ``token`` plus one."""
    ids = (CN_IDX_PROC, CN_VAL_PROC)
    return _REQUEST.pack(_REQUEST.size, _NLMSG_DONE, 0, 0, 0, *ids, 0, token, 4, 0, _LISTEN)


def epoch_offset(monotonic: float, epoch: float) -> float:
    """What to add to an event's ``at`` for seconds since the epoch, from both clocks read now."""
    return epoch - monotonic
