"""Whose kernel it is, and of what: environment, connection file and cgroup path -> labels. Pure.

Values come from users and are repeated to the world: they are made printable and cut to length,
and only the variables named here are ever taken out of an environment (others hold tokens).
"""

import re
from collections.abc import Mapping

VARIABLES = (
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "JUPYTERHUB_USER",
    "JUPYTERHUB_SERVER_NAME",
    "MEM_LIMIT",
)

_NOTEBOOK_MAX = 1024
_NAME_MAX = 256
_DIGITS_MAX = 20

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_SLURM = re.compile(r"job_(\d+)")
# docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope (systemd's driver);
# /docker/ID, /kubepods/burstable/podUID/ID, /libpod-ID, .../cri-containerd:ID (cgroupfs' driver).
_CONTAINER = re.compile(r"(?:[a-z-]+[-:])?([0-9a-f]{64})(?:\.scope)?")
_UNIT = re.compile(r".+\.(?:service|scope)")
# The manager of a user's own units, and of everything: says no more than the user's name does.
_MANAGER = re.compile(r"user@\d+\.service|init\.scope")


def printable(text: str, length: int = _NAME_MAX) -> str:
    """Text that can be encoded: bytes that were no UTF-8 are replaced, what is too long is cut."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:length]


def notebook(session_name: str, inherited: str = "") -> str:
    """The notebook's path, from what a session is called; empty where that is no path.

    Older servers give the session a UUID. A kernel that was started by a program inside another
    kernel (``inherited``: the session's name in the environment of its launcher) has inherited
    that one's name, and is not of that notebook.
    """
    if not session_name or session_name == inherited or _UUID.fullmatch(session_name):
        return ""
    return printable(session_name, _NOTEBOOK_MAX)


def username(environ: Mapping[str, str], owner: str) -> str:
    """The hub's name for the user, or else the system's."""
    return printable(environ.get("JUPYTERHUB_USER") or owner)


def server(environ: Mapping[str, str], port: int | None) -> str:
    """Name of the server under a hub (empty for the default one), else ``:PORT``, else empty."""
    if "JUPYTERHUB_USER" in environ or "JUPYTERHUB_SERVER_NAME" in environ:
        return printable(environ.get("JUPYTERHUB_SERVER_NAME", ""))
    return f":{port}" if port else ""


def promised_bytes(environ: Mapping[str, str]) -> int | None:
    """The memory that JupyterHub's spawner was told to allow, bytes; ``None`` where it was not."""
    text = environ.get("MEM_LIMIT", "")
    is_number = text.isascii() and text.isdecimal() and len(text) < _DIGITS_MAX
    return int(text) or None if is_number else None


def container(paths: Mapping[str, str]) -> str:
    """What a process runs in, from its cgroup paths by controller (version 2 has the name ``""``).

    The innermost container's id (12 digits), else the Slurm job, else the innermost systemd unit
    or scope; empty for the root and for what is only a slice.
    """
    for controller in ("", "memory", "name=systemd", "pids"):
        label = parse_container(paths.get(controller, ""))
        if label:
            return label
    return ""


def parse_container(path: str) -> str:
    """The label for one cgroup path.

    >>> parse_container("/system.slice/jupyter-alice.service")
    'jupyter-alice.service'
    """
    parts = path.split("/")
    for part in reversed(parts):
        match = _CONTAINER.fullmatch(part)
        if match:
            return match[1][:12]
    for part in reversed(parts):
        if _SLURM.fullmatch(part):
            return part
    for part in reversed(parts):
        if _UNIT.fullmatch(part) and not _MANAGER.fullmatch(part):
            return printable(part)
    return ""
