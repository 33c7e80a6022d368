"""Probes of processes and of the files that belong to them."""

import glob
import os
from collections.abc import Callable

from jupyter_kernel_exporter.discover.connection import Refused
from jupyter_kernel_exporter.discover.files import ConnectionFiles
from jupyter_kernel_exporter.discover.runtime import runtime_dir
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.doctor.probe import Seen
from jupyter_kernel_exporter.doctor.site import Site, Subject
from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile
from jupyter_kernel_exporter.linux.proc import count_open_fds, parse_io, read_environment, read_pss
from jupyter_kernel_exporter.sources import Unavailable

_READS_ALL = {"CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"}


def try_proc(site: Site) -> Seen:
    """The process table; descriptors, the one thing of it that is not everybody's to see."""
    if site.hidden and not site.kernels:
        raise Unavailable(f"{site.hidden}, and no kernel is among those that are shown")
    says = f"kernels found: {len(site.kernels)}"
    if site.hidden:
        return Seen(says, site.hidden)
    denied = site.denied(lambda pid: count_open_fds(f"{site.procfs}/{pid}/fd"))
    if denied:
        return Seen(says, f"the open descriptors of {some(denied)} may not be counted")
    return Seen(says)


def try_environ(site: Site) -> Seen:
    """``/proc/PID/environ``."""
    return _on_all(
        site, "environment", lambda pid: read_environment(site.procfs, pid, ["JUPYTERHUB_USER"])
    )


def try_io(site: Site) -> Seen:
    """``/proc/PID/io``."""

    def read(pid: int) -> None:
        file = KeptFile(f"{site.procfs}/{pid}/io", Descriptors(0), 512)
        raw = file.read()
        if raw:
            parse_io(raw)

    return _on_all(site, "I/O", read)


def try_pss(site: Site) -> Seen:
    """``/proc/PID/smaps_rollup``."""
    return _on_all(site, "smaps_rollup", lambda pid: read_pss(site.procfs, pid))


def try_runtime_dir(site: Site) -> Seen:
    """Connection files: those of the kernels, and any that other users have left."""
    files = ConnectionFiles(site.procfs, site.settings["path.rootfs"])
    less = [site.problems["runtime_dir"]] if "runtime_dir" in site.problems else []
    others = sum(subject.is_kernel and subject.uid != site.uid for subject in site.subjects)
    closed = []
    for subject in site.subjects:
        if subject.is_kernel:
            continue
        may = _may_read_files(site, files, subject)
        others += may is True
        if may is False:
            closed.append(subject.uid)
    if closed:
        less.append(f"the runtime directories of other users (uid {numbers(closed)}) are closed")
    elif not less and not others and not _READS_ALL & site.capabilities:
        less.append("files of other users could not be read; none is here to be tried")
    roots = site.denied(lambda pid: os.stat(f"{site.procfs}/{pid}/root/."))
    if roots:
        less.append(f"files in containers are out of reach: the root directory of {some(roots)}")
    less += [
        f"--runtime-dir {pattern}: nothing is there"
        for pattern in site.settings["runtime-dir"]
        if not glob.glob(f"{site.rootfs}{pattern}")
    ]
    return Seen(
        f"kernels: {len(site.kernels)}; other users whose files were tried: {others + len(closed)}",
        "; ".join(less),
    )


def _may_read_files(site: Site, files: ConnectionFiles, subject: Subject) -> bool | None:
    """Whether connection files of a user without kernels may be read; ``None``: there is none."""
    home = Users(site.settings["path.rootfs"]).get(subject.uid).home
    directory = runtime_dir({}, home)
    if not home.startswith("/") or not directory:
        return None
    try:
        names = os.listdir(f"{site.rootfs}{directory}")
    except PermissionError:
        return False
    except (FileNotFoundError, NotADirectoryError):
        return None
    for name in names:
        if name.startswith("kernel-") and name.endswith(".json"):
            try:
                files.read(subject.process.pid, f"{directory}/{name}", subject.uid)
            except PermissionError:
                return False
            except Refused:
                continue
            return True
    return None


def _on_all(site: Site, what: str, read: Callable[[int], object]) -> Seen:
    """Try to read something of this process, of the kernels and of other users' processes."""
    try:
        if site.own_pid is not None:
            read(site.own_pid)
    except PermissionError as error:
        raise Unavailable(f"the {what} of no process may be read, not even of this one") from error
    if not site.subjects:
        return Seen(f"the {what} of this process is read; there is no other user's to be tried")
    denied = site.denied(read)
    read_of = [subject for subject in site.subjects if subject not in denied]
    if denied:
        says = f"the {what} of this user's processes is read" if not read_of else ""
        return Seen(says or f"the {what} of {some(read_of)} is read", f"not of {some(denied)}")
    return Seen(f"the {what} of {some(read_of)} is read")


def some(subjects: list[Subject]) -> str:
    """The first of them, and how many there are."""
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    return f"{subjects[0]}{more}"


def numbers(values: list[int]) -> str:
    """A few numbers, and how many there are more."""
    shown = ", ".join(str(value) for value in values[:3])
    return shown if len(values) <= 3 else f"{shown} and {len(values) - 3} more"
