"""Who listens where the connection files say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jupyter_kernel_exporter.discover.candidate import Candidate
from jupyter_kernel_exporter.linux.net import (
    Listener,
    read_namespace,
    read_sockets,
    read_tcp,
    read_unix,
)


@dataclass(slots=True)
class Ports:
    """The listening sockets at one moment; each network namespace is read once at most."""

    procfs: str
    _tcp: dict[str, Mapping[int, list[Listener]]] = field(default_factory=dict)
    _unix: dict[str, Mapping[str, list[Listener]]] = field(default_factory=dict)

    def owns(self, candidate: Candidate) -> bool | None:
        """Whether it holds a listening socket of its file; ``None`` if that cannot be told."""
        if candidate.connection is None:
            return None
        inodes = {listener.inode for at in self._listeners(candidate) for listener in at}
        if not inodes:
            return False
        try:
            return not inodes.isdisjoint(read_sockets(self.procfs, candidate.process.id.pid))
        except PermissionError:
            return None

    def ready(self, candidate: Candidate, owns: bool | None) -> bool | None:
        """Whether a kernel's shell and iopub ports are open; ``None`` if that cannot be told.

        A socket that another user made counts only if the kernel is known to hold one.
        """
        if candidate.connection is None:
            return None
        return all(
            any(owns or listener.uid in {None, candidate.uid} for listener in at)
            for at in self._listeners(candidate)[:2]
        )

    def _listeners(self, candidate: Candidate) -> list[list[Listener]]:
        """The listeners of each port of its file, in the file's order."""
        pid, connection = candidate.process.id.pid, candidate.connection
        assert connection is not None
        try:
            namespace = read_namespace(self.procfs, pid) or ""
        except PermissionError:
            namespace = str(pid)
        if connection.transport == "ipc":
            if namespace not in self._unix:
                self._unix[namespace] = read_unix(self.procfs, pid)
            return [self._unix[namespace].get(path, []) for path in connection.socket_paths]
        if namespace not in self._tcp:
            self._tcp[namespace] = read_tcp(self.procfs, pid)
        return [self._tcp[namespace].get(port, []) for port in connection.ports]
