"""A process that was found to be the kernel -> Kernel: what it is called and whose it is."""

from collections.abc import Collection, Mapping

from jupyter_kernel_exporter.discover import attribution
from jupyter_kernel_exporter.discover.candidate import Candidate
from jupyter_kernel_exporter.discover.connection import (
    Refused,
    is_port,
    kernel_id,
    parse_object,
)
from jupyter_kernel_exporter.discover.files import ConnectionFiles
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.linux.cgroup import read_paths
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, read_environment
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel

_SERVER_FILES = ("jpserver-{}.json", "nbserver-{}.json")
"""What jupyter_server and the classic notebook write beside their kernels' files."""


def describe(
    candidate: Candidate,
    ready: bool | None,
    *,
    taken: Collection[str],
    table: Mapping[int, Process],
    boot_time: float,
    files: ConnectionFiles,
    users: Users,
) -> Kernel:
    """Gather what the labels say. ``taken`` are the ids of the other kernels."""
    process, connection = candidate.process, candidate.connection
    environ = candidate.environ or {}
    session = environ.get("JPY_SESSION_NAME") or (connection.session if connection else "")
    name = kernel_id(candidate.path)
    while name in taken:  # containers have kernel-1.json, each of them
        name = f"{name}-{process.id.pid}"
    return Kernel(
        id=name,
        process=process.id,
        username=attribution.username(environ, users.get(candidate.uid).name),
        kernel_name=attribution.printable(connection.kernel_name) if connection else "",
        notebook=attribution.notebook(session, _inherited_session(process, table, files.procfs)),
        server=attribution.server(environ, _server_port(candidate, files)),
        container=attribution.container(read_paths(files.procfs, process.id.pid) or {}),
        connection_file=attribution.printable(candidate.path, 4096),
        started_at=started_at(process, boot_time),
        ready=ready,
        promised_bytes=attribution.promised_bytes(environ),
    )


def started_at(process: Process, boot_time: float) -> float:
    """Start of a process in seconds since the epoch."""
    return boot_time + process.id.start_ticks / CLOCK_TICKS


def _inherited_session(process: Process, table: Mapping[int, Process], procfs: str) -> str:
    """The session's name in the environment of whoever launched the kernel; mostly empty."""
    leader = table.get(process.session, process)
    try:
        environ = read_environment(procfs, leader.ppid, ["JPY_SESSION_NAME"])
    except PermissionError:
        return ""
    return (environ or {}).get("JPY_SESSION_NAME", "")


def _server_port(candidate: Candidate, files: ConnectionFiles) -> int | None:
    """Port of the Jupyter server that started the kernel, from the file that it wrote."""
    server_pid = (candidate.environ or {}).get("JPY_PARENT_PID", "")
    if not server_pid.isdecimal():
        return None
    folder = candidate.path.rpartition("/")[0]
    for name in _SERVER_FILES:
        try:
            path = f"{folder}/{name.format(server_pid)}"
            found = files.read(candidate.process.id.pid, path, candidate.uid)
            port = parse_object(found[1]).get("port") if found else None
        except (PermissionError, Refused):
            continue
        if is_port(port):
            return port
    return None
