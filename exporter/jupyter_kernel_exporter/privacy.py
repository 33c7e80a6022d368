"""How much of a person's work may be seen. Applied before anything is published."""

from collections.abc import Iterable
from dataclasses import replace

from jupyter_kernel_exporter.model import Kernel, ProcessId


def reduce_notebook(notebook: str, mode: str) -> str:
    """A notebook's path as ``mode`` (path, basename, none) lets it be seen.

    A directory keeps the slash at its end, which says that it is not the notebook itself.
    """
    if mode == "path":
        return notebook
    if mode == "none":
        return ""
    stem = notebook.rstrip("/")
    return stem.rpartition("/")[2] + notebook[len(stem) :][:1]


class Privacy:
    """Reduces kernels, and gives the same object again for the same kernel."""

    def __init__(self, notebook: str) -> None:
        self._notebook = notebook
        self._seen: dict[ProcessId, tuple[Kernel, Kernel]] = {}

    def reduce(self, kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
        """What may be seen of each of ``kernels``."""
        seen: dict[ProcessId, tuple[Kernel, Kernel]] = {}
        for kernel in kernels:
            before = self._seen.get(kernel.process)
            if before is None or before[0] is not kernel:
                notebook = reduce_notebook(kernel.notebook, self._notebook)
                before = (kernel, replace(kernel, notebook=notebook))
            seen[kernel.process] = before
        self._seen = seen
        return tuple(reduced for _, reduced in seen.values())
