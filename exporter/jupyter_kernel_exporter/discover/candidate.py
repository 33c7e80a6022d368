"""The one noun of this room that changes while more becomes known."""

from collections.abc import Mapping
from dataclasses import dataclass

from jupyter_kernel_exporter.discover.connection import Cause, Connection, FileId
from jupyter_kernel_exporter.discover.lookout import age
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel


@dataclass(slots=True, eq=False)
class Candidate:
    """A process and a connection file that it may be the kernel of."""

    process: Process
    path: str
    """The file, as the process sees it."""

    named: bool = False
    """The command line names the file; else the file's name is the process' number."""
    in_string: bool = False
    runs_ipykernel: bool = False
    arguments: int = 0
    """Hash of the command line."""
    forked: bool = False
    """It runs the program of its parent still."""
    below_kernel: bool = False
    """It descends from another kernel."""
    outlived: bool = False
    """It started a kernel that was ready once, and so is none, also when that has ended."""
    uid: int = 0
    environ: Mapping[str, str] | None = None
    """A few variables; ``None`` if they may not be read."""

    file: FileId | None = None
    connection: Connection | None = None
    forbidden: bool = False
    """The file may not be read."""
    missing: bool = False
    """The file is gone, though there is every sign of a kernel."""
    cause: Cause | None = None
    """Why the file is not used."""
    refused_at: float = 0.0

    kernel: Kernel | None = None
    """The kernel that it is."""
    settled: bool = False
    """It is the kernel, and there is nothing more to find out."""
    stirred_at: float = 0.0
    """When it, or another process with this path, came, changed or went last."""
    due: float = 0.0
    """When to look into it next."""

    @property
    def is_worker(self) -> bool:
        """It has its command line from the kernel that forked it.

        A file that bears its number proves that it is none.
        """
        return self.forked and self.named

    @property
    def unseen(self) -> bool:
        """All that is known of the file is its name."""
        return self.connection is None and (self.forbidden or self.missing)

    def age(self, now: float) -> float:
        """Seconds since its process was started."""
        return age(self.process, now)
