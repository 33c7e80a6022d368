"""A kernel that ended before any scan -> Kernel: from its connection file, and from its server."""

from jupyter_kernel_exporter.discover import attribution
from jupyter_kernel_exporter.discover.connection import (
    Connection,
    Refused,
    is_port,
    kernel_id,
    parse_connection,
    parse_object,
)
from jupyter_kernel_exporter.discover.files import ConnectionFiles
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.linux.cgroup import read_paths
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.model import Kernel, ProcessId


def describe_stillborn(
    process: ProcessId,
    *,
    path: str,
    server: int,
    uid: int,
    hub_user: str,
    boot_time: float,
    files: ConnectionFiles,
    users: Users,
) -> Kernel | None:
    """What the labels say of a process that is gone; ``None`` if the path is no kernel's.

    ``server`` is the pid of its parent, which is alive and sees the same files; ``hub_user`` is
    JUPYTERHUB_USER, if that could be read.
    """
    try:
        name = kernel_id(path)
    except Refused:
        return None
    connection = _read(files, server, path, uid)
    hub = {"JUPYTERHUB_USER": hub_user} if hub_user else {}
    return Kernel(
        id=name,
        process=process,
        username=attribution.username(hub, users.get(uid).name),
        kernel_name=attribution.printable(connection.kernel_name) if connection else "",
        notebook=attribution.notebook(connection.session) if connection else "",
        server=attribution.server(hub, _port(files, server, path, uid)),
        container=attribution.container(read_paths(files.procfs, server) or {}),
        connection_file=attribution.printable(path, 4096),
        started_at=boot_time + process.start_ticks / CLOCK_TICKS,
        ready=False,
    )


def _read(files: ConnectionFiles, server: int, path: str, uid: int) -> Connection | None:
    try:
        found = files.read(server, path, uid)
        return parse_connection(found[1]) if found else None
    except (PermissionError, Refused):
        return None


def _port(files: ConnectionFiles, server: int, path: str, uid: int) -> int | None:
    try:
        found = files.read(server, f"{path.rpartition('/')[0]}/jpserver-{server}.json", uid)
        port = parse_object(found[1]).get("port") if found else None
    except (PermissionError, Refused):
        return None
    return port if is_port(port) else None
