"""2. A kernel -> Look: memory, CPU, I/O; limits and headroom.

This is the hot path: it runs each second for each kernel and each of its descendants. So files
are kept open, and resident memory and the CPU clock are the pulse: while they stay as they are,
what was read before still holds. Only when a kernel took up memory or work, and at the latest
every :data:`RENEWAL_TICKS` looks, are the other files read.

The room reads in this order:

* ``files``     the files of one process
* ``cpu``       CPU time of a family that never goes down
* ``activity``  whether a kernel works
* ``watched``   one kernel, and what is kept of it from look to look
* ``pss``       every kernel's PSS, at its own slower pace
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from jupyter_kernel_exporter.linux.cgroup import CgroupMemory
from jupyter_kernel_exporter.linux.cpuclock import is_own_namespace
from jupyter_kernel_exporter.linux.cpuquota import CpuQuotas
from jupyter_kernel_exporter.linux.host import HostMemory
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, Stat
from jupyter_kernel_exporter.linux.swap import NO_SWAP
from jupyter_kernel_exporter.model import (
    Kernel,
    Look,
    MemoryLimit,
    ProcessId,
    Said,
    Sample,
    Scope,
)
from jupyter_kernel_exporter.sample.watched import Watched
from jupyter_kernel_exporter.sources import Unavailable

RENEWAL_TICKS = 60
"""Looks after which everything is read again, moved or not."""

Families = Mapping[ProcessId, Mapping[ProcessId, ProcessId]]
"""kernel -> descendant -> the descendant's parent at birth."""
Report = Callable[[str, str], None]
"""Tells that a source gave less than it should: its name, and one sentence."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the samples of one tick have in common."""

    now: float
    """Seconds since the epoch."""
    monotonic: float
    """Seconds that no clock step moves."""
    tick: int
    """Number of the tick, so that renewals are spread over ticks."""
    host: HostMemory | None = None
    pss: Mapping[ProcessId, int] = field(default_factory=dict)
    gpu: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Bytes by pid, then by index of the GPU."""
    delay_accounting: bool = False
    """Whether linux tells time blocked on I/O (sysctl kernel.task_delayacct)."""


class Sampler:
    """Looks at kernels, one after the other. Not thread-safe."""

    def __init__(
        self,
        procfs: str,
        cgroups: CgroupMemory | None,
        descriptors: Descriptors,
        report: Report,
        *,
        io: bool = True,
        quotas: CpuQuotas | None = None,
    ) -> None:
        self._procfs = procfs
        self._cgroups = cgroups
        self._descriptors = descriptors
        self._report = report
        self._io = io
        self._quotas = quotas
        self._clock = is_own_namespace(procfs)
        self._around = Around(0.0, 0.0, 0)
        self._families: Families = {}
        self._said: Mapping[str, Said] = {}
        self._shared: dict[str | None, tuple[MemoryLimit, ...]] = {}
        """By cgroup: limits that all kernels in it have in common, in the present tick."""
        self._watched: dict[ProcessId, Watched] = {}
        self._process_of: dict[str, ProcessId] = {}
        """By the id of the kernel."""

    def forget_all_but(self, alive: set[ProcessId]) -> None:
        """Close the files of kernels that are not among ``alive``."""
        for gone in self._watched.keys() - alive:
            watched = self._watched.pop(gone)
            watched.close()
            if self._process_of.get(watched.kernel_id) == gone:
                del self._process_of[watched.kernel_id]

    def last_look(self, process: ProcessId) -> tuple[Look | None, str | None]:
        """The newest look at a kernel, and the cgroup directory its memory was charged to."""
        watched = self._watched.get(process)
        return (None, None) if watched is None else (watched.newest, watched.cgroup)

    def cgroups(self) -> set[str]:
        """Directories of the cgroups that the kernels of the newest tick live in."""
        return {path for path in self._shared if path is not None}

    def begin(
        self,
        around: Around,
        families: Families | None = None,
        said: Mapping[str, Said] | None = None,
    ) -> None:
        """Open a tick. ``said`` is what kernels that are listened to say of themselves, by id."""
        self._around = around
        self._families = families or {}
        self._said = said or {}
        self._shared.clear()

    def look(self, kernel: Kernel) -> Look | None:
        """Look at one kernel and its descendants.

        ``None`` once the kernel's process has ended, be it waited for or not.
        """
        process, around = kernel.process, self._around
        descendants = self._families.get(process) or {}
        said = self._said.get(kernel.id)
        watched = self._watched.get(process)
        if watched is None:
            watched = self._watch(kernel, descendants)
        renew = (around.tick + process.pid) % RENEWAL_TICKS == 0
        special = descendants or around.pss or around.gpu
        if not (renew or special) and watched.rests(kernel, said, around.monotonic):
            sample = watched.sample
        else:
            sample = self._look_closely(watched, kernel, descendants, said, renew=renew)
        if sample is None:
            return None
        limits = self._shared.get(watched.cgroup)
        if limits is None:
            limits = self._shared[watched.cgroup] = self._limits_of(watched.cgroup)
        most = watched.bounds.address_space
        if most is not None:
            headroom = max(0, most - watched.own.address_space_bytes)
            limits = (MemoryLimit(Scope.RLIMIT, most, headroom), *limits)
        watched.newest = Look(sample, limits)
        return watched.newest

    def _look_closely(
        self,
        watched: Watched,
        kernel: Kernel,
        descendants: Mapping[ProcessId, ProcessId],
        said: Said | None,
        *,
        renew: bool,
    ) -> Sample | None:
        around = self._around
        family = watched.look_at_family(descendants)
        own = watched.own
        if not family or own.ended:
            return None
        stat = family[kernel.process]
        # In this order: what has changed is noted even if all is read anyway.
        if not own.hollow and (watched.has_worked(stat) or renew):
            for source, problem in watched.details.look():
                self._report(source, problem)
            self._look_at_bounds(watched)
        children = [m for m in watched.members.values() if m is not own and not m.ended]
        user, system = watched.cpu.update(family, descendants)
        activity, details = watched.activity, watched.details
        activity.rested(watched.rested_at)
        anonymous = own.anonymous_bytes + (details.swap_bytes or 0)
        anonymous += sum(child.anonymous_bytes for child in children)
        activity.update(kernel.ready, (user + system) / CLOCK_TICKS, anonymous, around, said)
        sample = Sample(
            rss_bytes=own.rss_bytes,
            peak_rss_bytes=details.peak_rss_bytes,
            swap_bytes=details.swap_bytes,
            children=len(children),
            children_rss_bytes=sum(child.rss_bytes for child in children),
            anonymous_bytes=anonymous,
            cpu_user_seconds=user / CLOCK_TICKS,
            cpu_system_seconds=system / CLOCK_TICKS,
            major_page_faults=stat.major_faults,
            threads=stat.threads,
            open_fds=details.open_fds,
            oom_score=details.oom_score,
            io_read_bytes=details.io_read_bytes,
            io_write_bytes=details.io_write_bytes,
            io_wait_seconds=stat.block_io_ticks / CLOCK_TICKS if around.delay_accounting else None,
            pss_bytes=around.pss.get(kernel.process),
            gpu_memory_bytes=_add_up_gpus(family, around.gpu) if around.gpu else {},
            state=activity.state,
            last_activity_at=activity.last_at,
            busy_seconds=activity.busy_seconds,
            cpu_limit_cores=watched.cpu_limit_cores,
            memory_errors=said.memory_errors if said is not None else None,
            other_errors=said.other_errors if said is not None else None,
        )
        watched.keep(kernel, said, sample)
        return sample

    def _watch(self, kernel: Kernel, descendants: Collection[ProcessId]) -> Watched:
        """Begin with a kernel. If its wrapper stood in for it, its counters go on from there."""
        watched = Watched(kernel, self._procfs, self._descriptors, io=self._io, clock=self._clock)
        wrapper = self._watched.get(self._process_of.get(kernel.id, kernel.process))
        if wrapper is not None and not wrapper.has_ended():  # else it was restarted
            watched.cpu, watched.activity = wrapper.cpu, wrapper.activity
            watched.cpu.narrow_to({kernel.process, *descendants})
        self._watched[kernel.process] = watched
        self._process_of[kernel.id] = kernel.process
        return watched

    def _look_at_bounds(self, watched: Watched) -> None:
        """Read what seldom changes, and matters as soon as it does."""
        watched.bounds.look()
        paths = watched.bounds.cgroups
        if self._cgroups is not None and paths is not None:
            try:
                watched.cgroup = self._cgroups.directory(paths)
                watched.cpu_limit_cores = self._quotas.limit(paths) if self._quotas else None
            except Unavailable as error:
                self._report("cgroup", str(error))

    def _limits_of(self, cgroup: str | None) -> tuple[MemoryLimit, ...]:
        host, now, limits = self._around.host, self._around.monotonic, []
        may_swap = True
        if self._cgroups is not None and cgroup is not None:
            headroom = self._cgroups.headroom(cgroup, now)
            if headroom is not None:
                limits.append(MemoryLimit(Scope.CGROUP, *headroom))
            if host is not None and host.swap.total:
                may_swap = self._cgroups.may_swap(cgroup, now)
        if host is not None:
            total, free = host.swap if may_swap else NO_SWAP
            place = "with swap" if total else ""
            limits.append(MemoryLimit(Scope.HOST, host.total + total, host.available + free, place))
        return tuple(limits)


def _add_up_gpus(
    family: Mapping[ProcessId, Stat], gpu: Mapping[int, Mapping[str, int]]
) -> dict[str, int]:
    """Memory on each GPU that a kernel and its descendants hold."""
    total: dict[str, int] = {}
    for process in family:
        for index, held in gpu.get(process.pid, {}).items():
            total[index] = total.get(index, 0) + held
    return total
