"""Who is listened to: each kernel that is alive, and its last words for a while after its end."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.heard import Heard
from jupyter_kernel_exporter.deaths.iopub import Iopub
from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.deaths.patience import Patiently, at_once
from jupyter_kernel_exporter.deaths.reach import find_connection
from jupyter_kernel_exporter.model import Kernel, ProcessId, Said

KEPT_SECONDS = 20.0
"""After the end of a kernel its line is kept so long, for the next process or a late reader."""
RETRY_SECONDS = 5.0
"""Between two attempts to read a connection file."""


@dataclass(slots=True, eq=False)
class _Line:
    process: ProcessId
    placed: bool = False
    try_at: float = 0.0
    gone_at: float | None = None


@dataclass(slots=True)
class Hearing:
    """Keeps the lines in step with the kernels. For one thread."""

    iopub: Iopub
    procfs: str
    rootfs: str
    patiently: Patiently = at_once
    _lines: dict[str, _Line] = field(default_factory=dict, init=False)
    _closed: set[str] = field(default_factory=set, init=False)
    """Kernels whose connection file may not be read."""

    def attend(self, dossiers: Iterable[Dossier], now: float) -> None:
        """Once per tick: listen to all of these, and to no others any more."""
        alive = set()
        for dossier in dossiers:
            alive.add(dossier.kernel.id)
            self._attend(dossier, now)
        for kernel_id in [name for name in self._lines if name not in alive]:
            line = self._lines[kernel_id]
            line.gone_at = line.gone_at or now
            if now - line.gone_at > KEPT_SECONDS:
                self.iopub.forget(kernel_id)
                self._closed.discard(kernel_id)
                del self._lines[kernel_id]

    def facts(self, kernel_id: str) -> Heard | None:
        """What was heard of a kernel; ``None`` if it is not listened to."""
        return self.iopub.facts(kernel_id)

    def said(self) -> Mapping[str, Said]:
        """What kernels say of themselves, by id; of those that are listened to just now."""
        return self.iopub.said()

    def problem(self) -> str:
        """Why less is heard than could be, in one sentence; empty if nothing is wrong."""
        if self._closed:
            return (
                f"{_kernels(self._closed)} not heard: the connection file may not be read; run as"
                " root or with CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"
            )
        return self.iopub.problem()

    def _attend(self, dossier: Dossier, now: float) -> None:
        kernel = dossier.kernel
        line = self._lines.get(kernel.id)
        if line is None or line.process != kernel.process:
            line = self._lines[kernel.id] = _Line(kernel.process)
        line.gone_at = None
        if line.placed or now < line.try_at:
            return
        server = dossier.server.pid if dossier.server is not None else kernel.process.pid
        found = self.patiently(lambda: self._find(kernel, server))
        if found is None:  # its home does not answer
            line.try_at = now + RETRY_SECONDS
            return
        connection, forbidden = found
        if forbidden:
            self._closed.add(kernel.id)
            line.try_at = now + RETRY_SECONDS
            return
        self._closed.discard(kernel.id)
        if connection is None:
            # A young kernel's file may still be written; that of an old one is gone.
            line.try_at = now + RETRY_SECONDS * (kernel.ready is not False)
            return
        self.iopub.watch(kernel.id, connection)
        line.placed = True

    def _find(self, kernel: Kernel, server: int) -> tuple[Connection | None, bool]:
        """How to listen to a kernel, and whether that may not be read."""
        try:
            return find_connection(kernel, self.procfs, self.rootfs, server), False
        except PermissionError:
            return None, True


def _kernels(names: Collection[str]) -> str:
    return "1 kernel" if len(names) == 1 else f"{len(names)} kernels"
