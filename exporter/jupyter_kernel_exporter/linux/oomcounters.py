"""Counters of OOM kills, along the chain from a cgroup to the root, and of the whole machine.

Everybody may read them, which is what they are good for: they say that the OOM killer was at work,
and near which cgroup, where its log may not be read. They name no process.

Version 2, ``memory.events`` (with the cgroups below) and ``memory.events.local`` (linux 5.2):

    oom 4
    oom_kill 2
    oom_group_kill 1

Version 1, ``memory.oom_control`` (linux 4.13), which counts for the cgroup alone:

    oom_kill_disable 0
    under_oom 0
    oom_kill 2

``/proc/vmstat`` has a line ``oom_kill 2`` for all of them together.

A kill counts in the cgroup of the *victim*, whatever limit was hit, the machine's included. So
the chain's first :attr:`Kind.LOCAL` counter rises with every kill of a process beside ours, and if
it stands still, ours was not killed. The others also rise when somebody elsewhere is: they matter
where the first is lost, as it is when a container is removed with its last process.

A zombie has left its version 1 cgroup: ask for the path while the process lives.
"""

import errno
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from jupyter_kernel_exporter.linux.cgroup import Version
from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile


class Kind(StrEnum):
    """What a counter counts."""

    LOCAL = "local"
    """Victims in this very cgroup."""
    SUBTREE = "subtree"
    """Victims in this cgroup and below."""
    GROUP = "group"
    """Times that this cgroup, or one below, was killed as a whole (``memory.oom.group``)."""
    LIMIT = "limit"
    """Times that this cgroup's own limit left nothing but to look for a victim in or below it."""
    HOST = "host"
    """Victims on the machine, by its own shortage or by any cgroup's."""


class Counter(NamedTuple):
    """Which counter."""

    kind: Kind
    path: str
    """Directory of the cgroup; empty for the machine."""


class Rise(NamedTuple):
    """A counter that went up."""

    counter: Counter
    by: int
    own: bool
    """Whether it counts victims in the process' own cgroup, and no others."""


class Comparison(NamedTuple):
    """What happened to the counters of a chain between two readings."""

    rises: tuple[Rise, ...]
    """From the process' own cgroup up to the root, the machine last."""
    lost: tuple[Counter, ...]
    """Counters that were there before: their cgroup was removed, or made anew."""


_FILES: Mapping[bool, tuple[tuple[str, tuple[tuple[bytes, Kind], ...]], ...]] = {
    False: (("memory.oom_control", ((b"oom_kill", Kind.LOCAL),)),),
    True: (
        ("memory.events.local", ((b"oom_kill", Kind.LOCAL), (b"oom", Kind.LIMIT))),
        ("memory.events", ((b"oom_kill", Kind.SUBTREE), (b"oom_group_kill", Kind.GROUP))),
    ),
}
"""By whether it is version 2: the files of a cgroup, and the rows of each that count."""


def vmstat(procfs: str, descriptors: Descriptors) -> KeptFile:
    """The file with the machine's counter; it is asked for each second."""
    return KeptFile(f"{procfs}/vmstat", descriptors, paged=True)


def read_counters(
    host: KeptFile, version: Version | None, paths: Iterable[str]
) -> dict[Counter, int]:
    """The counters from each cgroup directory of ``paths`` up to the root, and the machine's.

    ``host`` is :func:`vmstat`. ``version`` is ``None`` where no cgroup accounts for memory.

    What is not there is left out: rows that this linux does not have, cgroups without the memory
    controller (their processes count in the nearest one above that has it), cgroups that are gone.
    """
    counters: dict[Counter, int] = {}
    files = _FILES[version is not None and version.current == "memory.current"]
    seen: set[str] = set()
    for leaf in paths if version is not None else ():
        path = leaf
        while version and len(path) >= len(version.root) and path not in seen:
            seen.add(path)
            for name, rows in files:
                found = parse_rows(_read(f"{path}/{name}"))
                for row, kind in rows:
                    if row in found:
                        counters[Counter(kind, path)] = found[row]
            path = path.rpartition("/")[0]
    kills = parse_vmstat(host.read() or b"")
    if kills is not None:
        counters[Counter(Kind.HOST, "")] = kills
    return counters


def parse_vmstat(raw: bytes) -> int | None:
    """Find ``oom_kill`` among the rows of ``/proc/vmstat``; they are many, and asked each second.

    >>> parse_vmstat(b"pgfault 7\noom_kill 2\n")
    2
    """
    _, found, rest = (b"\n" + raw).partition(b"\noom_kill ")
    return int(rest.partition(b"\n")[0]) if found else None


def parse_rows(raw: bytes) -> dict[bytes, int]:
    """Parse lines of a name and a number.

    >>> parse_rows(b"oom 4\\noom_kill 2\\n")
    {b'oom': 4, b'oom_kill': 2}
    """
    words = raw.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def compare(before: Mapping[Counter, int], after: Mapping[Counter, int], path: str) -> Comparison:
    """What happened between two readings on the way from the cgroup directory ``path`` to the root.

    A counter that was not there before says nothing: what it counted may be long ago.
    """
    chain = [c for c in before if not c.path or f"{path}/".startswith(f"{c.path}/")]
    chain.sort(key=lambda counter: -len(counter.path))
    own = next((counter for counter in chain if counter.kind is Kind.LOCAL), None)
    rises = []
    lost = []
    for counter in chain:
        now = after.get(counter)
        if now is None or now < before[counter]:
            lost.append(counter)
        elif now > before[counter]:
            rises.append(Rise(counter, now - before[counter], counter == own))
    return Comparison(tuple(rises), tuple(lost))


def _read(path: str) -> bytes:
    """A file, empty if its cgroup is gone or never had it."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between open and read
            return b""
        raise
