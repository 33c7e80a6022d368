"""Single processes: ``/proc/PID/{stat,status,statm,io,cmdline,environ,limits,cgroup}``.

Formats: proc_pid_stat(5), proc_pid_status(5), proc_pid_io(5), proc_pid_environ(5). Numbers are
kept in linux' own units where they are read often, and turned into bytes and seconds by the caller.
"""

import os
from collections.abc import Collection
from typing import NamedTuple

CLOCK_TICKS: int = os.sysconf("SC_CLK_TCK")
"""Clock ticks per second, the unit of times in ``/proc/PID/stat``."""
PAGE_SIZE: int = os.sysconf("SC_PAGE_SIZE")

# A process may fill its command line and environment with megabytes; nothing we look for is there.
ARGUMENTS_MAX = 256 * 1024
ENVIRONMENT_MAX = 1024 * 1024

GONE = (FileNotFoundError, ProcessLookupError)
"""What reading a file of a process raises once the process has ended."""


class Stat(NamedTuple):
    """The fields of ``/proc/PID/stat`` that matter here. Times in clock ticks, rss in pages.

    >>> 4711 (a) b) S 4242 4711 4711 0 -1 4194304 91250 1 37 0 512 64 3 1 20 0 12 0 987654 ...
    """

    state: str
    ppid: int
    session: int
    major_faults: int
    utime: int
    stime: int
    cutime: int
    """User time of children that have ended and were waited for, and of theirs."""
    cstime: int
    threads: int
    start_ticks: int
    vsize: int
    """Bytes of address space, what RLIMIT_AS limits."""
    rss_pages: int
    block_io_ticks: int
    """Time the main thread was blocked on block I/O; 0 unless linux accounts for delays."""


def parse_stat(raw: bytes) -> Stat:
    """Parse ``/proc/PID/stat``. The name may hold spaces and brackets: cut at the last bracket.

    Raises :exc:`ValueError` for anything that is no such line.
    """
    f = raw[raw.rindex(b")") + 2 :].split()
    if len(f) < 40:
        raise ValueError(f"/proc/PID/stat: too few fields in {raw[:80]!r}")
    return Stat(
        state=f[0].decode("ascii", "replace"),
        ppid=int(f[1]),
        session=int(f[3]),
        major_faults=int(f[9]),
        utime=int(f[11]),
        stime=int(f[12]),
        cutime=int(f[13]),
        cstime=int(f[14]),
        threads=int(f[17]),
        start_ticks=int(f[19]),
        vsize=int(f[20]),
        rss_pages=int(f[21]),
        block_io_ticks=int(f[39]),
    )


def read_stat(root: str, pid: int) -> Stat | None:
    """``/proc/PID/stat``, or ``None`` if the process is gone."""
    raw = _read(f"{root}/{pid}/stat")
    return parse_stat(raw) if raw else None


_FORKED_NOT_EXECUTED = 0x40
"""``PF_FORKNOEXEC`` of include/linux/sched.h, in field 9 of ``/proc/PID/stat``."""


def parse_forked(raw: bytes) -> bool:
    """Whether a process still runs the program of its parent, from its ``stat`` line."""
    flags = raw[raw.rindex(b")") + 2 :].split(None, 7)[6]
    return bool(int(flags) & _FORKED_NOT_EXECUTED)


def read_forked(root: str, pid: int) -> bool | None:
    """Whether a process was forked and has not called exec since, or ``None`` if it is gone."""
    raw = _read(f"{root}/{pid}/stat")
    return parse_forked(raw) if raw else None


_EXITING = 0x4
"""``PF_EXITING`` of the same: it has begun to end, and stays so as a zombie."""


def parse_ending(raw: bytes) -> bool:
    """Whether a process is ending or has ended, from its ``stat`` line."""
    flags = raw[raw.rindex(b")") + 2 :].split(None, 7)[6]
    return bool(int(flags) & _EXITING)


def read_ending(root: str, pid: int) -> bool:
    """Whether a process is ending, is a zombie, or is gone.

    What it had is taken away bit by bit meanwhile: its environment may seem empty, or forbidden.
    """
    raw = _read(f"{root}/{pid}/stat")
    return raw is None or parse_ending(raw)


class Status(NamedTuple):
    """Memory of a process, from ``/proc/PID/status``, in bytes; all 0 for a zombie."""

    rss: int
    peak_rss: int
    swap: int


def parse_status(raw: bytes) -> Status:
    """Parse the memory lines of ``/proc/PID/status``; a zombie has none.

    Every field is found from the place of the one before it, because the file is long and this
    is on the hot path.
    """
    at = raw.find(b"\nVmHWM:")
    if at < 0:
        return Status(0, 0, 0)
    peak = raw[at + 7 : raw.find(b"kB", at)]
    at = raw.find(b"\nVmRSS:", at)
    rss = raw[at + 7 : raw.find(b"kB", at)]
    at = raw.find(b"\nVmSwap:", at)
    swap = raw[at + 8 : raw.find(b"kB", at)] if at >= 0 else b"0"
    return Status(int(rss) << 10, int(peak) << 10, int(swap) << 10)


class NamespaceStatus(NamedTuple):
    """Who a process is to its own container, from ``/proc/PID/status``."""

    uid: int
    """Real user id, as this namespace sees it."""
    inner_pid: int
    """Its pid in its innermost pid namespace: the one it knows itself by."""


def parse_namespace_status(raw: bytes) -> NamespaceStatus:
    """Parse ``Uid:`` and ``NSpid:``; linux before 4.1 has no NSpid, then ``Pid:`` stands for it."""
    fields = {}
    for line in raw.splitlines():
        name, _, rest = line.partition(b":")
        if name in (b"Uid", b"NSpid", b"Pid"):
            fields[name] = rest.split()
    pids = fields.get(b"NSpid") or fields[b"Pid"]
    return NamespaceStatus(uid=int(fields[b"Uid"][0]), inner_pid=int(pids[-1]))


def read_namespace_status(root: str, pid: int) -> NamespaceStatus | None:
    """``Uid`` and ``NSpid`` of a process, or ``None`` if it is gone."""
    raw = _read(f"{root}/{pid}/status")
    return parse_namespace_status(raw) if raw else None


class Io(NamedTuple):
    """Bytes that went to and came from storage, children that were waited for included."""

    read: int
    write: int


def parse_io(raw: bytes) -> Io:
    """Parse ``read_bytes`` and ``write_bytes`` of ``/proc/PID/io``."""
    at = raw.index(b"\nread_bytes: ")
    end = raw.index(b"\n", at + 1)
    return Io(int(raw[at + 13 : end]), int(raw[end + 14 : raw.index(b"\n", end + 1)]))


def parse_arguments(raw: bytes) -> list[str]:
    """Parse ``/proc/PID/cmdline``: arguments, each ended by a NUL.

    A program may overwrite them with one string (setproctitle); that is one argument then.
    """
    return [os.fsdecode(argument) for argument in raw.rstrip(b"\0").split(b"\0")] if raw else []


def read_arguments(root: str, pid: int) -> list[str] | None:
    """Command line of a process, cut at 256 KiB; empty for zombies, ``None`` if gone."""
    raw = _read(f"{root}/{pid}/cmdline", ARGUMENTS_MAX)
    return None if raw is None else parse_arguments(raw)


def parse_environment(raw: bytes, wanted: Collection[str]) -> dict[str, str]:
    """Pick some variables out of ``/proc/PID/environ``; the others are never even decoded.

    The first of two entries of one name counts, as in getenv(3).
    """
    found: dict[str, str] = {}
    names = {os.fsencode(name): name for name in wanted}
    for entry in raw.split(b"\0"):
        key, equals, value = entry.partition(b"=")
        name = names.get(key)
        if equals and name is not None and name not in found:
            found[name] = os.fsdecode(value)
    return found


def read_environment(root: str, pid: int, wanted: Collection[str]) -> dict[str, str] | None:
    """Some variables of a process' environment as it was at exec, ``None`` if the process is gone.

    Raises :exc:`PermissionError` for another user's process without CAP_SYS_PTRACE.
    """
    raw = _read(f"{root}/{pid}/environ", ENVIRONMENT_MAX)
    return None if raw is None else parse_environment(raw, wanted)


def parse_address_space_limit(raw: bytes) -> int | None:
    """Parse the soft ``Max address space`` of ``/proc/PID/limits``; ``None`` if unlimited."""
    at = raw.index(b"\nMax address space")
    soft = raw[at + 18 : raw.index(b"\n", at + 1)].split()[0]
    return None if soft == b"unlimited" else int(soft)


def parse_cpu_limit(raw: bytes) -> int | None:
    """Parse the hard ``Max cpu time`` of ``/proc/PID/limits``, seconds; ``None`` if unlimited."""
    at = raw.index(b"Max cpu time")
    hard = raw[at + 12 : raw.index(b"\n", at)].split()[1]
    return None if hard == b"unlimited" else int(hard)


def read_cpu_limit(root: str, pid: int) -> int | None:
    """The hard RLIMIT_CPU of a process in seconds, where linux sends SIGKILL (setrlimit(2)).

    ``None`` if unlimited or the process is gone.
    """
    raw = _read(f"{root}/{pid}/limits")
    return parse_cpu_limit(raw) if raw else None


def parse_smaps_rollup_pss(raw: bytes) -> int:
    """Parse ``Pss`` of ``/proc/PID/smaps_rollup``, bytes."""
    at = raw.index(b"\nPss:")
    return int(raw[at + 5 : raw.index(b"kB", at)]) << 10


def read_pss(root: str, pid: int) -> int | None:
    """Proportional set size in bytes (linux walks all page tables for it); ``None`` if gone.

    Raises :exc:`PermissionError` for another user's process without CAP_SYS_PTRACE.
    """
    raw = _read(f"{root}/{pid}/smaps_rollup")
    return parse_smaps_rollup_pss(raw) if raw else None


def _read(path: str, limit: int = 64 * 1024) -> bytes | None:
    """Read a file of /proc from its start; ``None`` if its process is gone.

    Files of /proc give their content piece by piece, so a read may be short without being the end.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except GONE:
        return None
    try:
        raw = piece = os.read(fd, min(limit, 64 * 1024))
        while piece and len(raw) < limit:
            piece = os.read(fd, min(limit - len(raw), 64 * 1024))
            raw += piece
    except ProcessLookupError:
        return None
    else:
        return raw
    finally:
        os.close(fd)


def count_open_fds(directory: str) -> int | None:
    """Entries of ``/proc/PID/fd``, ``None`` if the process is gone.

    Since linux 6.2 the size of that directory is their number, which saves listing it; before, it
    was 0, and no Jupyter kernel has none open. Raises :exc:`PermissionError`.
    """
    try:
        return os.stat(directory).st_size or len(os.listdir(directory))
    except GONE:
        return None
