"""Swap: what the machine has of it, and how much of that a control group may use.

Memory that is swapped out makes room for more, so a limit strikes only once swap is used up as
well. Version 2 limits it with ``memory.swap.max`` (kernel document admin-guide/cgroup-v2),
version 1 by the sum of both, ``memory.memsw.limit_in_bytes``, and not at all where
``memory.swappiness`` is 0 (cgroup-v1/memory).
"""

import os
from dataclasses import dataclass
from typing import NamedTuple

from jupyter_kernel_exporter.linux.cgrouplimit import LIMITS_AGE_SECONDS, read_limit
from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile


class Swap(NamedTuple):
    """Bytes of swap space."""

    total: int
    free: int


NO_SWAP = Swap(0, 0)


def parse_swaps(raw: bytes) -> Swap:
    """Add up ``/proc/swaps`` (proc_swaps(5)), but for zram: it lies in memory, and takes of that.

    >>> parse_swaps(b"Filename Type Size Used Priority\\n/swapfile file 2048 1024 -2\\n")
    Swap(total=2097152, free=1048576)
    """
    total = used = 0
    for line in raw.splitlines()[1:]:
        name, _, size, in_use, _ = line.rsplit(None, 4)
        if not os.path.basename(name).startswith(b"zram"):
            total += int(size) << 10
            used += int(in_use) << 10
    return Swap(total, total - used)


def swaps(procfs: str, descriptors: Descriptors) -> KeptFile:
    """The file that :func:`read_swap` reads."""
    return KeptFile(f"{procfs}/swaps", descriptors)


def read_swap(file: KeptFile) -> Swap:
    """The machine's, from ``/proc/swaps``; linux that was built without swap has no such file."""
    return parse_swaps(file.read() or b"")


@dataclass(slots=True)
class _Level:
    """One cgroup."""

    limit: int | None = None
    looked_at: float = float("-inf")
    now: Swap | None = None
    """``None`` without a limit."""
    read_at: float = float("-inf")


class CgroupSwap:
    """What cgroups may still swap. Nothing of it is read on machines without swap."""

    def __init__(self) -> None:
        self._levels: dict[str, _Level] = {}

    def within(self, path: str, now: float, around: Swap) -> Swap:
        """What the cgroup at ``path`` may use of the swap that those ``around`` it may use."""
        level = self._levels.setdefault(path, _Level())
        if level.read_at != now:
            level.read_at = now
            if now - level.looked_at >= LIMITS_AGE_SECONDS:
                level.limit, level.looked_at = _limit(path), now
            level.now = None
            if level.limit is not None:
                level.now = Swap(level.limit, max(0, level.limit - _used(path)))
        if level.now is None:
            return around
        return Swap(min(around.total, level.now.total), min(around.free, level.now.free))

    def forget(self, before: float) -> None:
        """Forget cgroups that nobody asked for since ``before``."""
        for path in [p for p, level in self._levels.items() if level.read_at < before]:
            del self._levels[path]


def _limit(path: str) -> int | None:
    """Bytes that a cgroup may swap, ``None`` for as many as there are."""
    if read_limit(f"{path}/memory.swappiness") == 0:
        return 0
    both = read_limit(f"{path}/memory.memsw.limit_in_bytes")
    if both is not None:
        return both - (read_limit(f"{path}/memory.limit_in_bytes") or both)
    return read_limit(f"{path}/memory.swap.max")


def _used(path: str) -> int:
    """Bytes that a cgroup has in swap."""
    both = read_limit(f"{path}/memory.memsw.usage_in_bytes")
    if both is not None:  # two numbers of two moments
        return max(0, both - (read_limit(f"{path}/memory.usage_in_bytes") or both))
    return read_limit(f"{path}/memory.swap.current") or 0
