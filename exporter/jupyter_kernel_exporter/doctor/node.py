"""Settings of the node by which one kernel's end is the end of a whole server. Only looked at.

Linux kills one process for memory. These make it many: the server goes with the kernel, and with
it every other kernel of its user.
"""

import os

from jupyter_kernel_exporter.doctor.machine import cgroup_paths
from jupyter_kernel_exporter.doctor.probe import Seen
from jupyter_kernel_exporter.doctor.site import Site
from jupyter_kernel_exporter.linux.cgroup import CgroupMemory, Version, find_version
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.killgroup import (
    is_unified,
    read_kill_groups,
    read_panic_on_oom,
)
from jupyter_kernel_exporter.linux.kubelet import read_kubelet_config
from jupyter_kernel_exporter.linux.systemd import (
    find_units,
    is_running,
    read_oom_policy,
    service_of,
)
from jupyter_kernel_exporter.sources import Unavailable

UNITS = "jupyter*.service"
"""What hubs and the servers that they start as units are called."""
HARMLESS_POLICY = "continue"
_VERSION_1 = Seen("control groups of version 1: linux kills one process at a time", absent=True)


def try_oom_group(site: Site) -> Seen:
    """``memory.oom.group`` of every cgroup that a kernel, or another user's process, is in."""
    version = _version(site)
    if not is_unified(version):
        return _VERSION_1
    paths = _paths(site)
    groups = {group: None for path in paths for group in read_kill_groups(version, path)}
    if groups:
        first, more = next(iter(groups)), len(groups) - 1
        return Seen(
            "", f"1 in {first}{f' and {more} more' if more else ''}: all in it die together"
        )
    return Seen(f"0 in the {len(paths)} cgroups looked at and above them")


def try_oom_policy(site: Site) -> Seen:
    """``OOMPolicy`` of the services that kernels are in, and of those named after Jupyter."""
    if not is_running(site.rootfs):
        return Seen("systemd does not run this machine", absent=True)
    if not is_unified(_version(site)):
        return _VERSION_1
    units = set(find_units(site.rootfs, UNITS))
    if site.kernels:
        units |= {unit for path in _paths(site) if (unit := service_of(path)) is not None}
    policies = {unit: read_oom_policy(site.rootfs, unit) for unit in sorted(units)}
    known = {unit: policy for unit, policy in policies.items() if policy is not None}
    if not known:
        return Seen("no unit of Jupyter's is found", absent=True)
    risky = [f"{u}: {p}" for u, p in known.items() if p != HARMLESS_POLICY]
    if risky:
        more = f" and {len(risky) - 3} more" if len(risky) > 3 else ""
        return Seen("", f"{', '.join(risky[:3])}{more}: the unit ends with any of its processes")
    return Seen(f"{HARMLESS_POLICY} in all of {len(known)} units")


def try_single_process_oom_kill(site: Site) -> Seen:
    """The kubelet's configuration."""
    config = read_kubelet_config(site.rootfs)
    if config is None:
        return Seen("no configuration of a kubelet is found", absent=True)
    if not is_unified(_version(site)):
        return _VERSION_1
    if config.single_process is None:
        return Seen(
            "", f"{config.path} does not set it: since kubernetes 1.28 a container dies as a whole"
        )
    if not config.single_process:
        return Seen("", f"{config.path} says false: a container dies as a whole")
    return Seen(f"true in {config.path}")


def try_panic_on_oom(site: Site) -> Seen:
    """The sysctl that has the machine stop instead."""
    value = read_panic_on_oom(site.procfs)
    if value:
        what = "or a cgroup " if value == 2 else ""
        return Seen("", f"{value}: the whole machine stops when it {what}runs out of memory")
    return Seen("0")


def _version(site: Site) -> Version:
    return find_version(site.settings["path.cgroupfs"])


def _paths(site: Site) -> list[str]:
    cgroupfs = site.settings["path.cgroupfs"]
    paths = cgroup_paths(site, CgroupMemory(cgroupfs, Descriptors(0)))
    there = [path for path in paths if os.path.isdir(path)]
    if not there:
        raise Unavailable(f"no cgroup of a kernel is found below {cgroupfs}")
    return there
