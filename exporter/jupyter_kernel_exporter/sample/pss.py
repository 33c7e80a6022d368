"""The proportional share of memory of every kernel: slow, so it is read rarely and all at once."""

from collections.abc import Sequence

from jupyter_kernel_exporter.linux.proc import read_pss
from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.sources import Unavailable

PSS_INTERVAL_SECONDS = 60.0
"""linux walks every page table for PSS: tens of milliseconds for a large kernel."""


def read_every_pss(root: str, kernels: Sequence[Kernel]) -> dict[ProcessId, int]:
    """PSS of each kernel's own process, bytes.

    Raises :exc:`Unavailable` if none of them may be read.
    """
    held: dict[ProcessId, int] = {}
    denied = 0
    for kernel in kernels:
        try:
            pss = read_pss(root, kernel.process.pid)
        except PermissionError:
            denied += 1
            continue
        if pss is not None:
            held[kernel.process] = pss
    if denied and not held:
        raise Unavailable("PSS of other users' kernels may not be read: needs CAP_SYS_PTRACE")
    return held
