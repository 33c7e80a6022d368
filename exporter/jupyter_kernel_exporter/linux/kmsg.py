"""The log of linux itself, ``/dev/kmsg`` (kernel document ABI/testing/dev-kmsg), followed live.

One read gives one record:

    6,433,1834479358,-;python3[9790]: segfault at 0 ip 00007fb5bd385ad8 sp 00007ffe36df8608 error 4
    priority and facility, sequence number, microseconds, flags[, more]; text

Bytes that do not print are written ``\\x0a``, so a record is one line whatever somebody called his
process; what follows in more lines are properties of devices, and left out here.

**Whose words.** Whoever may open the device for writing (root) may add records, but linux marks
them with a facility of their own (user, 1, if none is named); only what linux says itself has
facility 0. :meth:`Kmsg.drain` leaves the others out, so an OOM record cannot be forged.

**Which clock.** Seconds since boot without suspend, of the scheduler's clock: CLOCK_MONOTONIC, but
never corrected by NTP, so that old records may be seconds off after weeks. Add
``time.time() - time.monotonic()`` for seconds since the epoch, and do not compare more finely.

The log knows no namespaces: it is the machine's, and pids in it are those of the first one. In
another they would name the wrong processes: see :func:`open_kmsg`.
"""

import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.linux.hiding import what_hides_outside
from jupyter_kernel_exporter.sources import Unavailable

RECORD_MAX = 8192
"""No record is longer (CONSOLE_EXT_LOG_MAX); with less room a read fails."""
DRAIN_AT_MOST = 20_000
"""Records of one :meth:`Kmsg.drain`, so that a storm cannot hold the caller for ever."""
KERNEL_FACILITY = 0

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


class Record(NamedTuple):
    """One record of the log."""

    level: int
    """0 (emergency) to 7 (debug)."""
    facility: int
    sequence: int
    at: float
    """Seconds, see the module's text."""
    text: str
    """As linux has it: escapes are undone, so it may hold anything, newlines too."""
    continues: bool = False
    """Whether it goes on with an earlier line that another record, or its length, broke off."""


def parse_record(raw: bytes) -> Record:
    """Parse one record; raises :exc:`ValueError` for anything that is none."""
    head, semicolon, body = raw.partition(b";")
    fields = head.split(b",")
    if not semicolon or len(fields) < 4:
        raise ValueError(f"/dev/kmsg: no record: {raw[:80]!r}")
    prefix, sequence, microseconds = (int(word) for word in fields[:3])
    return Record(
        level=prefix & 7,
        facility=prefix >> 3,
        sequence=sequence,
        at=microseconds / 1e6,
        text=_unescape(body.partition(b"\n")[0]),
        continues=fields[3] in (b"c", b"+"),
    )


def _unescape(raw: bytes) -> str:
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), raw).decode(
        "utf-8", "backslashreplace"
    )


class Drained(NamedTuple):
    """What linux said since the last look."""

    records: list[Record]
    """Of linux alone, oldest first."""
    gap: bool
    """Records were overwritten before they were read."""


@dataclass(slots=True)
class Kmsg:
    """An open ear for the log. ``fileno()`` is readable when records wait. Close it when done.

    ``from_start`` begins with the oldest record linux still has, else only what comes is heard.
    The constructor raises :exc:`Unavailable` where the log may not be read.
    """

    from_start: bool = False
    path: str = "/dev/kmsg"
    read_record: Callable[[int, int], bytes] = os.read
    _fd: int = field(init=False)

    def __post_init__(self) -> None:
        self._fd = _open(self.path)
        os.lseek(self._fd, 0, os.SEEK_SET if self.from_start else os.SEEK_END)

    def fileno(self) -> int:
        """For epoll."""
        return self._fd

    def close(self) -> None:
        """Hear no more."""
        os.close(self._fd)

    def drain(self) -> Drained:
        """Everything that came, without waiting; above :data:`DRAIN_AT_MOST` it stays for later."""
        records: list[Record] = []
        gap = False
        for _ in range(DRAIN_AT_MOST):
            try:
                raw = self.read_record(self._fd, RECORD_MAX)
            except BlockingIOError:
                break
            except BrokenPipeError:  # overwritten; the next read gives the oldest there is
                gap = True
                continue
            record = parse_record(raw)
            if record.facility == KERNEL_FACILITY:
                records.append(record)
        return Drained(records, gap)


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENXIO):
            raise
        raise Unavailable(
            f"cannot open {path} ({error.strerror}): it takes CAP_SYSLOG, and in a container the"
            " device itself (docker: devices /dev/kmsg)"
        ) from error
    # Some containers have a pipe or a terminal in its place.
    if not stat.S_ISCHR(os.fstat(fd).st_mode) or os.fstat(fd).st_rdev != os.makedev(1, 11):
        os.close(fd)
        raise Unavailable(f"{path} is not linux' log: give the container the host's device")
    return fd


def open_kmsg(procfs: str, *, from_start: bool = False) -> Kmsg:
    """The log, if its pids are those of ``procfs``. Raises :exc:`Unavailable`."""
    if what_hides_outside(procfs):
        raise Unavailable(
            f"linux' log has the pids of the machine, and {procfs} those of a container: run in the"
            " host's pid namespace (docker: pid host)"
        )
    return Kmsg(from_start=from_start)
