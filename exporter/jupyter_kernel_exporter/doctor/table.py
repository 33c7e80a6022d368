"""Every source once: what it gives, what is lost without it, and what it takes."""

from jupyter_kernel_exporter.doctor.ends import (
    try_iopub,
    try_kmsg,
    try_pidfd,
    try_process_events,
)
from jupyter_kernel_exporter.doctor.machine import (
    try_cgroup,
    try_delayacct,
    try_host,
    try_nvml,
    try_state_dir,
)
from jupyter_kernel_exporter.doctor.node import (
    try_oom_group,
    try_oom_policy,
    try_panic_on_oom,
    try_single_process_oom_kill,
)
from jupyter_kernel_exporter.doctor.probe import Probe
from jupyter_kernel_exporter.doctor.processes import (
    try_environ,
    try_io,
    try_proc,
    try_pss,
    try_runtime_dir,
)
from jupyter_kernel_exporter.settings import ALWAYS_ON

STATE_DIR = "state_dir"
"""No source, but it may work or not like one."""
_APPARMOR = "; docker's AppArmor profile forbids it besides: apparmor=unconfined"
_LOOK = "CAP_SYS_PTRACE" + _APPARMOR
_LOOK_AND_OPEN = "CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH, for its mode is 0400" + _APPARMOR

PROBES: tuple[Probe, ...] = (
    Probe(
        ALWAYS_ON,
        gives="which kernels there are; their memory, CPU, threads and descriptors",
        without="everything: the exporter is blind",
        remedy="show it the host's processes: mount /proc without hidepid, or give CAP_SYS_PTRACE"
        " (systemd: ProtectProc=default; docker: pid host; Kubernetes: hostPID); CAP_SYS_PTRACE"
        " for the descriptors",
        try_it=try_proc,
        capabilities=("CAP_SYS_PTRACE",),
    ),
    Probe(
        "runtime_dir",
        gives="connection files: kernelspec, notebook, which ports are whose",
        without="no kernel_name, no `starting`; iopub has no key to listen with; who asked for an"
        " end is inferred, so that shutdown_requested and server_shutdown are not certain",
        remedy="CAP_DAC_READ_SEARCH, as only their owner may read them, and CAP_SYS_PTRACE for"
        " those in containers; mount users' homes (path.rootfs); NFS with root_squash forbids it",
        try_it=try_runtime_dir,
        capabilities=("CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"),
    ),
    Probe(
        "environ",
        gives="the hub's name of the user, the server and the notebook",
        without="username is the owner of the process, the same for all in containers; no server",
        remedy=_LOOK_AND_OPEN,
        try_it=try_environ,
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    ),
    Probe(
        "io",
        gives="bytes read and written",
        without="no jupyter_kernel_io_bytes_total",
        remedy=_LOOK_AND_OPEN,
        try_it=try_io,
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    ),
    Probe(
        "delayacct",
        gives="time blocked on block I/O",
        without="no jupyter_kernel_io_wait_seconds_total",
        remedy="sysctl kernel.task_delayacct=1, or boot with `delayacct`; it counts from then on",
        try_it=try_delayacct,
    ),
    Probe(
        "cgroup",
        gives="memory limits of containers, pods, units and slices, and counts of OOM kills",
        without="no headroom below such a limit and no forecast of it; where kmsg is missing as"
        " well, oom_suspected rests on the count of the whole machine",
        remedy="mount the host's cgroup tree (path.cgroupfs) and share its cgroup namespace"
        " (docker: cgroup host); on old machines boot with cgroup_enable=memory",
        try_it=try_cgroup,
    ),
    Probe(
        "host",
        gives="memory that the machine has left",
        without="no headroom of the machine and no forecast of it",
        remedy="mount the host's /proc (path.procfs)",
        try_it=try_host,
    ),
    Probe(
        "pss",
        gives="proportional share of memory (switched on with --source.pss)",
        without="no jupyter_kernel_memory_pss_bytes",
        remedy=_LOOK,
        try_it=try_pss,
        capabilities=("CAP_SYS_PTRACE",),
    ),
    Probe(
        "nvml",
        gives="memory on NVIDIA GPUs",
        without="no jupyter_kernel_gpu_memory_bytes",
        remedy="install the extra [gpu] and the driver's library (containers: NVIDIA's runtime"
        " with NVIDIA_DRIVER_CAPABILITIES=utility)",
        try_it=try_nvml,
    ),
    Probe(
        "kmsg",
        gives="whom linux killed for memory, and by whose limit; where a segfault was",
        without="oom_cgroup and oom_host become oom_suspected; OOM-killed workers are not counted",
        remedy="CAP_SYSLOG, or sysctl kernel.dmesg_restrict=0; in a container also the device"
        " (docker: devices /dev/kmsg, Kubernetes: privileged or a device plugin)",
        try_it=try_kmsg,
        capabilities=("CAP_SYSLOG",),
    ),
    Probe(
        "process_events",
        gives="starts and ends at once with the exit status, whoever's process it is",
        without="kernels that live for milliseconds are missed, so restarts are; how other users'"
        " kernels ended comes late or never: unknown",
        remedy="the host's network and pid namespace (docker: network host, pid host; Kubernetes:"
        " hostNetwork, hostPID; systemd: AF_NETLINK in RestrictAddressFamilies=); before linux"
        " 6.6 also CAP_NET_ADMIN",
        try_it=try_process_events,
    ),
    Probe(
        "pidfd",
        gives="ends at once, and how they ended",
        without="without process_events an end is noticed a scan later; a status that is masked"
        " and not told by process_events leaves unknown where the exit code would have told",
        remedy="linux 5.3, and 6.15 for the status after the reap; the host's pid namespace"
        " (docker: pid host); CAP_SYS_PTRACE for the status of other users' zombies",
        try_it=try_pidfd,
        capabilities=("CAP_SYS_PTRACE",),
    ),
    Probe(
        "iopub",
        gives="busy and idle, errors in cells, requests to end",
        without="state and busy time from CPU and memory only, no errors; who asked for an end is"
        " inferred from files and times: restart_requested and shutdown_requested are not"
        " certain, and a few of them become exit_clean",
        remedy="CAP_SYS_ADMIN and CAP_SYS_PTRACE to enter the networks of containers (not needed"
        " for kernels in the exporter's own); CAP_DAC_READ_SEARCH for the connection files",
        try_it=try_iopub,
        capabilities=("CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"),
    ),
    Probe(
        STATE_DIR,
        gives="deaths and counters that outlive the exporter",
        without="they are kept in memory only, and lost with the process",
        remedy="--state-dir with a directory of the exporter's own user on a local disk (systemd:"
        " StateDirectory=; docker: a volume)",
        try_it=try_state_dir,
    ),
)

NODE_PROBES: tuple[Probe, ...] = (
    Probe(
        "memory.oom.group",
        gives="one kernel's OOM is the end of that kernel alone",
        without="with 1 linux kills the server and all its kernels together",
        remedy="Kubernetes: singleProcessOOMKill: true; systemd: OOMPolicy=continue; else write 0"
        " into the file",
        try_it=try_oom_group,
    ),
    Probe(
        "OOMPolicy",
        gives="systemd lets a server go on when one of its kernels was killed for memory",
        without="systemd ends the server, or the hub, when linux killed one process in its unit",
        remedy="OOMPolicy=continue in the unit (SystemdSpawner: unit_extra_properties)",
        try_it=try_oom_policy,
    ),
    Probe(
        "singleProcessOOMKill",
        gives="the kubelet lets linux kill single processes of a container",
        without="linux kills the whole container: the server and all its kernels",
        remedy="singleProcessOOMKill: true in the kubelet's configuration (kubernetes 1.32)",
        try_it=try_single_process_oom_kill,
    ),
    Probe(
        "vm.panic_on_oom",
        gives="linux kills a process when memory runs out, and goes on",
        without="linux stops, and everything with it",
        remedy="sysctl vm.panic_on_oom=0",
        try_it=try_panic_on_oom,
    ),
)
