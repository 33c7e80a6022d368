"""A process that runs a kernel's command line since a moment ago: it may end before any scan.

A kernel whose environment is broken lives for 20 to 90 ms. So whenever linux tells that a process
runs another program, its command line is looked at, and what would be gone with it is noted.
"""

import os
from dataclasses import dataclass

from jupyter_kernel_exporter.discover.arguments import find_mentions
from jupyter_kernel_exporter.discover.connection import has_usual_name
from jupyter_kernel_exporter.linux.proc import (
    GONE,
    read_arguments,
    read_environment,
    read_stat,
)
from jupyter_kernel_exporter.model import ProcessId


@dataclass(frozen=True, slots=True)
class Newborn:
    """What was seen of a process right after its exec."""

    process: ProcessId
    parent: int
    path: str
    """The connection file that its command line names, as the process itself sees it."""
    uid: int
    at: float
    """Seconds of CLOCK_MONOTONIC."""
    hub_user: str = ""
    """JUPYTERHUB_USER of its environment, if that could be read."""


def look(procfs: str, pid: int, at: float) -> Newborn | None:
    """See whether a process that runs another program since ``at`` may become a kernel.

    ``None`` if not, or if it is gone already. A kernel leads a session of its own, and so does the
    wrapper around one; workers and whatever a cell starts do not.
    """
    try:
        arguments = read_arguments(procfs, pid)
    except PermissionError:  # /proc is mounted with hidepid=1
        return None
    paths = [m.path for m in find_mentions(arguments or ()) if has_usual_name(m.path)]
    if len(paths) != 1 or not paths[0].startswith("/"):
        return None
    stat = read_stat(procfs, pid)
    if stat is None or stat.session != pid:
        return None
    try:
        environ = read_environment(procfs, pid, ["JPY_PARENT_PID", "JUPYTERHUB_USER"])
    except PermissionError:
        environ = None
    if environ is not None and "JPY_PARENT_PID" not in environ:
        return None  # somebody looks at the file
    try:
        uid = os.stat(f"{procfs}/{pid}").st_uid
    except GONE:
        return None
    process = ProcessId(pid, stat.start_ticks)
    hub_user = (environ or {}).get("JUPYTERHUB_USER", "")
    return Newborn(process, stat.ppid, os.path.normpath(paths[0]), uid, at, hub_user)
