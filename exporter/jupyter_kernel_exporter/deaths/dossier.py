"""What is noted of a kernel while it lives, because nobody could tell once it is dead."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.deaths.patience import Gone
from jupyter_kernel_exporter.linux.proc import read_cpu_limit, read_namespace_status
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, Look, ProcessId


@dataclass(slots=True, eq=False)
class Dossier:
    """Everything about one process of a kernel that its end may have to be explained with."""

    kernel: Kernel
    """As it may be shown."""
    parent: ProcessId | None = None
    """Who started the process."""
    wrapper: ProcessId | None = None
    """The shell around it, if there is one."""
    server: ProcessId | None = None
    """The Jupyter server, or whatever program started the kernel."""
    file: str | None = None
    """A path to the connection file that outlives the kernel; ``None`` if there is none."""
    server_file: str | None = None
    """The same to ``jpserver-PID.json``, if the server had one."""
    cpu_limit_seconds: int | None = None
    """The hard RLIMIT_CPU, if there is one."""
    stillborn: bool = False
    """Nobody has seen it but in the moment of its start."""
    last_look: Look | None = None
    cgroup: str | None = None
    """Directory of the cgroup that its memory is charged to."""
    file_missed: bool = False
    """The connection file was not there at the last look, and yet the kernel lived."""
    server_file_deleted_at: float | None = inf
    """The first look that did not find it, seconds of CLOCK_MONOTONIC; ``inf``: it is there."""

    def keep(self, before: "Dossier") -> None:
        """Something about the same process has changed; what was noted of it stays."""
        self.last_look, self.cgroup = before.last_look, before.cgroup
        self.file_missed = before.file_missed
        self.server_file = self.server_file or before.server_file
        self.server_file_deleted_at = before.server_file_deleted_at

    @property
    def files(self) -> list[str]:
        """Those that are looked at while the kernel lives."""
        return [path for path in (self.file, self.server_file) if path is not None]

    def look_at_files(self, now: float, gone: Gone) -> None:
        """While the kernel lives: a file that goes now does not go for its end."""
        server_file = self.server_file
        if server_file is not None and server_file in gone and self.server_file_deleted_at == inf:
            self.server_file_deleted_at = deleted_at(gone[server_file], now)
        missed = self.file is not None and gone.get(self.file) is True
        if missed and self.file_missed:
            self.file = None  # twice: it is not that the kernel has just died, and nobody knows yet
        self.file_missed = missed

    @property
    def origin(self) -> ProcessId:
        """What the server started: the wrapper, or the kernel itself. Restarters count from it."""
        return self.wrapper or self.kernel.process

    @property
    def followed(self) -> list[ProcessId]:
        """Everybody whose end matters."""
        around = (self.kernel.process, self.wrapper, self.server)
        return [process for process in around if process is not None]


def deleted_at(gone: bool | None, moment: float) -> float | None:
    """``moment`` if a file is gone, ``inf`` if it is there; ``None`` if nobody can tell."""
    return None if gone is None else moment if gone else inf


def open_dossier(
    kernel: Kernel, table: Mapping[int, Process], procfs: str, rootfs: str, *, files: bool = True
) -> Dossier:
    """Note what lasts about a kernel that was just found; of its ``files`` only if they answer."""
    process = table.get(kernel.process.pid)
    if process is None or process.id != kernel.process:
        return Dossier(kernel)
    parent = _parent(process, table)
    leader = table.get(process.session)
    wrapper = None
    top = process
    if leader is not None and leader.id != process.id and _descends(process, leader, table):
        wrapper, top = leader.id, leader
    server = _parent(top, table)
    if (
        server is not None
        and server.id.pid == 1
        and not (files and _names_a_server_file(kernel, procfs))
    ):
        server = None  # an orphan
    file = server_file = None
    if files:
        file, server_file = _files(kernel.connection_file, kernel.process, server, procfs, rootfs)
    return Dossier(
        kernel=kernel,
        parent=parent.id if parent is not None else None,
        wrapper=wrapper,
        server=server.id if server is not None else None,
        file=file,
        server_file=server_file,
        cpu_limit_seconds=read_cpu_limit(procfs, kernel.process.pid),
    )


def stillborn_dossier(
    kernel: Kernel,
    born: Newborn,
    table: Mapping[int, Process],
    procfs: str,
    rootfs: str,
    *,
    files: bool = True,
) -> Dossier:
    """The same of a process that is gone already."""
    server = table.get(born.parent)
    file = server_file = None
    if files:
        file, server_file = _files(born.path, None, server, procfs, rootfs)
    identity = server.id if server is not None else None
    return Dossier(
        kernel=kernel,
        parent=identity,
        server=identity,
        file=file,
        server_file=server_file,
        stillborn=True,
    )


def _parent(process: Process, table: Mapping[int, Process]) -> Process | None:
    parent = table.get(process.ppid)
    young = parent is not None and parent.id.start_ticks > process.id.start_ticks
    return None if young else parent


def _descends(process: Process, ancestor: Process, table: Mapping[int, Process]) -> bool:
    seen = 0
    current: Process | None = process
    while current is not None and seen < 16:
        if current.id == ancestor.id:
            return True
        current = _parent(current, table)
        seen += 1
    return False


def _names_a_server_file(kernel: Kernel, procfs: str) -> bool:
    """Whether pid 1 of this view is a Jupyter server, as in a container that sees only itself."""
    folder = os.path.dirname(kernel.connection_file)
    return _identity(f"{procfs}/1/root{folder}/jpserver-1.json") is not None


def _files(
    path: str, process: ProcessId | None, server: Process | None, procfs: str, rootfs: str
) -> tuple[str | None, str | None]:
    """Paths to the connection file and the server's, by a way that the kernel's end leaves open."""
    if not path.startswith("/"):
        return None, None
    # A path that needs nobody is better than one that is gone with the server.
    roots = ["" if rootfs == "/" else rootfs]
    if server is not None:
        roots.append(f"{procfs}/{server.id.pid}/root")
    seen = _identity(f"{procfs}/{process.pid}/root{path}") if process is not None else None
    for root in roots:
        found = _identity(f"{root}{path}")
        if found is None or (seen is not None and found != seen):
            continue
        server_file = None
        if server is not None:
            status = read_namespace_status(procfs, server.id.pid)
            inner = status.inner_pid if status is not None else server.id.pid
            server_file = f"{root}{os.path.dirname(path)}/jpserver-{inner}.json"
            if _identity(server_file) is None:
                server_file = None
        return f"{root}{path}", server_file
    return None, None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path, follow_symlinks=False)
    except OSError:  # gone, or not ours to see: in either case no path to rely on
        return None
    return facts.st_dev, facts.st_ino
