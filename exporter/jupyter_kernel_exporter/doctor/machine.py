"""Probes of the machine: its memory and cgroups, its GPUs, and the disk for what has to last."""

import fcntl
import os
import tempfile

from jupyter_kernel_exporter.doctor.probe import Seen
from jupyter_kernel_exporter.doctor.site import Site
from jupyter_kernel_exporter.linux.cgroup import CgroupMemory, find_version, read_paths
from jupyter_kernel_exporter.linux.gpu import Gpus, has_driver
from jupyter_kernel_exporter.linux.host import meminfo, read_delay_accounting, read_host_memory
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.killgroup import is_unified
from jupyter_kernel_exporter.linux.oomcounters import Kind, read_counters, vmstat
from jupyter_kernel_exporter.linux.swap import swaps
from jupyter_kernel_exporter.publish.history import LOCK, History
from jupyter_kernel_exporter.publish.store import FILE, Store, StoreError
from jupyter_kernel_exporter.settings import state_directory
from jupyter_kernel_exporter.sources import Unavailable


def try_host(site: Site) -> Seen:
    """``/proc/meminfo`` and ``/proc/swaps``."""
    files = meminfo(site.procfs, Descriptors(0)), swaps(site.procfs, Descriptors(0))
    memory = read_host_memory(*files)
    says = f"{memory.available >> 20} of {memory.total >> 20} MiB are available"
    if memory.swap.total:
        says += f", and {memory.swap.free >> 20} of {memory.swap.total >> 20} MiB of swap"
    return Seen(says)


def try_delayacct(site: Site) -> Seen:
    """The sysctl that says whether linux measures delays."""
    if not read_delay_accounting(site.procfs):
        raise Unavailable("linux does not account for delays")
    return Seen("linux accounts for delays")


def try_cgroup(site: Site) -> Seen:
    """The memory cgroups of the kernels, or else of this process: limits, and counts of kills."""
    cgroupfs = site.settings["path.cgroupfs"]
    version = find_version(cgroupfs)
    cgroups = CgroupMemory(cgroupfs, Descriptors(0))
    paths = cgroup_paths(site, cgroups)
    there = [path for path in paths if os.path.isdir(path)]
    if paths and not there:
        raise Unavailable(f"{paths[0]} is not there: {cgroupfs} is not the host's cgroup tree")
    for path in there:
        cgroups.headroom(path, 0.0)
    says = f"version {2 if is_unified(version) else 1} at {version.root}"
    kinds = {
        counter.kind
        for counter in read_counters(vmstat(site.procfs, Descriptors(0)), version, there)
    }
    if Kind.HOST not in kinds or (Kind.LOCAL not in kinds and set(there) - {version.root}):
        return Seen(says, "linux does not count OOM kills in the cgroups that were looked at")
    if len(there) < len(paths):
        return Seen(says, f"{(set(paths) - set(there)).pop()} is not there")
    return Seen(says)


def cgroup_paths(site: Site, cgroups: CgroupMemory) -> list[str]:
    """The directories of the memory cgroups of kernels and others, or else of this process."""
    pids = [subject.process.pid for subject in site.subjects]
    if not pids and site.own_pid is not None:
        pids = [site.own_pid]
    found = (read_paths(site.procfs, pid) for pid in pids)
    return sorted({cgroups.directory(paths) for paths in found if paths is not None})


def try_nvml(site: Site) -> Seen:
    """NVIDIA's library and driver."""
    gpus = Gpus.open()
    if gpus is None:
        if has_driver(site.procfs):
            raise Unavailable("NVIDIA's driver is loaded, and its library NVML cannot be used")
        return Seen("no NVIDIA driver is loaded", absent=True)
    return Seen(f"processes on GPUs: {len(gpus.read())}")


def try_state_dir(site: Site) -> Seen:
    """The state directory, without a change to what is in it.

    A history of its own is begun in a folder in there, and deleted again: so disk, file system
    and SQLite are tried as the daemon uses them.
    """
    path = state_directory(site.settings)
    try:
        owner = os.stat(path).st_uid
    except FileNotFoundError:
        return _may_be_made(path)
    if owner not in (site.uid, 0):
        raise Unavailable(f"{path} belongs to uid {owner}; run doctor as that user")
    try:
        holder = _locked_by(path)
        if holder is not None:
            return Seen(f"{path} is in use by a running daemon{holder}")
        if os.path.exists(f"{path}/{FILE}"):
            store = Store(f"{path}/{FILE}", writable=False)
            try:
                store.load()
            finally:
                store.close()
            if not os.access(f"{path}/{FILE}", os.W_OK):
                raise Unavailable(f"{path}/{FILE} may not be written")
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=path) as trial:
            history = History.open(trial)
            problem = history.problem()
            history.close()
    except (StoreError, OSError) as error:
        raise Unavailable(f"{path} cannot be used: {error}") from error
    if problem:
        raise Unavailable(f"{path}: {problem}")
    return Seen(f"{path} can be written")


def _may_be_made(path: str) -> Seen:
    """It is not there yet: whether the daemon could make it."""
    parent = os.path.dirname(path)
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise Unavailable(f"{path} is not there, and {parent} may not be written")
    return Seen(f"{path} is not there yet; the daemon will make it")


def _locked_by(path: str) -> str | None:
    """Who has locked the directory: ``" (pid 4711)"``, or empty if that is not said."""
    try:
        descriptor = os.open(f"{path}/{LOCK}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0)
        return f" (pid {int(pid)})" if pid.isdigit() else ""
    finally:
        os.close(descriptor)
    return None
