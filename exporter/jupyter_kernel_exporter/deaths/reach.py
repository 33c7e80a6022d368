"""Where a kernel's iopub is: its connection file, read with its key, kept in memory only."""

import os
from collections.abc import Mapping

from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.discover.connection import (
    Refused,
    is_port,
    parse_connection,
    parse_object,
    read_file,
)
from jupyter_kernel_exporter.linux import netns
from jupyter_kernel_exporter.linux.proc import GONE
from jupyter_kernel_exporter.model import Kernel


def find_connection(kernel: Kernel, procfs: str, rootfs: str, outlives: int) -> Connection | None:
    """How to listen to a kernel; ``None`` if its file is not there, or is none (yet).

    ``outlives`` is the pid of a process beside the kernel that stays when it ends. Raises
    :exc:`PermissionError` where the file may not be read.
    """
    pid = kernel.process.pid
    path = kernel.connection_file
    if not path.startswith("/"):
        return None
    try:
        uid = os.stat(f"{procfs}/{pid}").st_uid
        try:
            found = read_file(f"{procfs}/{pid}/root{path}", uid)
        except PermissionError:
            found = read_file(path if rootfs == "/" else f"{rootfs}{path}", uid)
        if found is None:
            return None
        document = parse_object(found[1])
        parse_connection(found[1])
    except (*GONE, Refused):
        return None
    root = f"{procfs}/{pid}/root" if document.get("transport") == "ipc" else "/"
    return parse_secrets(document, _network(procfs, pid, outlives), root, uid)


def parse_secrets(
    document: Mapping[str, object], network: str | None, root: str = "/", uid: int | None = None
) -> Connection | None:
    """The connection that a checked connection file describes; ``None`` without an iopub port."""

    def text(name: str, default: str = "") -> str:
        value = document.get(name, default)
        return value if isinstance(value, str) else default

    port = document.get("iopub_port")
    if not is_port(port, 2**31):
        return None
    return Connection(
        ip=text("ip", "127.0.0.1"),
        iopub_port=port,
        transport=text("transport", "tcp"),
        key=text("key").encode("utf-8", "surrogatepass"),
        signature_scheme=text("signature_scheme", "hmac-sha256"),
        curve_publickey=text("curve_publickey").encode("utf-8", "surrogatepass"),
        curve_secretkey=text("curve_secretkey").encode("utf-8", "surrogatepass"),
        netns=network,
        root=root,
        uid=uid,
    )


def _network(procfs: str, pid: int, outlives: int) -> str | None:
    """The network namespace to listen in, by a path that lasts; ``None``: our own."""
    own = f"{procfs}/{pid}/ns/net"
    try:
        if netns.is_own(own):
            return None
        beside = f"{procfs}/{outlives}/ns/net"
        return beside if os.path.samefile(own, beside) else own
    except GONE:
        return None
    except PermissionError:  # another user's; most of them are in ours
        return None
