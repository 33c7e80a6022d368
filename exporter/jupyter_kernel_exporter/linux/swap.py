"""Swap space of the machine. What is swapped out makes room for more memory."""

import os
from typing import NamedTuple

from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile


class Swap(NamedTuple):
    """Bytes."""

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
