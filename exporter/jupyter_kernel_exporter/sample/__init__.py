"""2. A kernel -> Sample: memory, CPU, I/O, limits and headroom.

This is the hot path: it runs each second for each kernel and each of its descendants. So files
are kept open, and resident memory and the CPU clock are the pulse: while they stay as they are,
what was read before still holds. Only when a kernel took up memory or work, and at the latest
every :data:`RENEWAL_TICKS` looks, are the other files read.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from jupyter_kernel_exporter.linux.cgroup import CgroupMemory
from jupyter_kernel_exporter.linux.cpuclock import is_own_namespace
from jupyter_kernel_exporter.linux.cpuquota import CpuQuotas
from jupyter_kernel_exporter.linux.host import HostMemory
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, Stat
from jupyter_kernel_exporter.model import (
    Kernel,
    MemoryLimit,
    ProcessId,
    Said,
    Sample,
    Scope,
    State,
)
from jupyter_kernel_exporter.sample.activity import Activity, tells
from jupyter_kernel_exporter.sample.cpu import FamilyCpu
from jupyter_kernel_exporter.sample.files import Bounds, Details, Pulse
from jupyter_kernel_exporter.sources import Unavailable

WORK_TICKS = 3
"""Clock ticks of CPU time, since the other files were read, that count as work."""
RENEWAL_TICKS = 20
"""Looks after which everything is read again, moved or not."""
PASSES_MAX = 5
"""How often a family is read again at most because somebody ended meanwhile."""

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


class _Watched:
    """What is kept of one kernel from look to look."""

    def __init__(
        self, kernel: Kernel, procfs: str, descriptors: Descriptors, *, io: bool, clock: bool
    ) -> None:
        self.kernel_id = kernel.id
        self.process = kernel.process
        self.own = Pulse(procfs, kernel.process, descriptors, clock=clock)
        self.members = {kernel.process: self.own}
        self.details = Details(procfs, kernel.process.pid, descriptors, io)
        self.cpu = FamilyCpu()
        self.activity = Activity(kernel.started_at)
        self.sample: Sample | None = None
        self.said: Said | None = None
        """The newest look, and what the kernel said of itself then."""
        self.looked_at: tuple[int, int] | None = None
        """CPU ticks and RSS when the other files were read last."""
        self.bounds = Bounds(procfs, kernel.process.pid, descriptors)
        self.cgroup: str | None = None
        self.cpu_limit_cores: float | None = None

    def has_ended(self) -> bool:
        return self.own.look() is None or self.own.ended

    def close(self) -> None:
        self.details.close()
        self.bounds.close()
        for member in self.members.values():
            member.close()


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
        self._around: Around | None = None
        self._shared: dict[str | None, tuple[MemoryLimit, ...]] = {}
        """By cgroup: limits that all kernels in it have in common, in the present tick."""
        self._watched: dict[ProcessId, _Watched] = {}
        self._process_of: dict[str, ProcessId] = {}
        """By the id of the kernel."""

    def forget_all_but(self, alive: set[ProcessId]) -> None:
        """Close the files of kernels that are not among ``alive``."""
        for gone in self._watched.keys() - alive:
            watched = self._watched.pop(gone)
            watched.close()
            if self._process_of.get(watched.kernel_id) == gone:
                del self._process_of[watched.kernel_id]

    def last_look(self, process: ProcessId) -> tuple[Sample | None, str | None]:
        """The newest sample of a kernel, and the cgroup directory its memory was charged to."""
        watched = self._watched.get(process)
        return (None, None) if watched is None else (watched.sample, watched.cgroup)

    def cgroups(self) -> set[str]:
        """Directories of the cgroups that the kernels of the newest tick live in."""
        return {path for path in self._shared if path is not None}

    def sample(
        self,
        kernel: Kernel,
        descendants: Mapping[ProcessId, ProcessId],
        around: Around,
        said: Said | None = None,
    ) -> Sample | None:
        """Look at one kernel and its ``descendants`` (each with its parent at birth).

        ``said`` is what it says of itself, if anybody listens. ``None`` once the kernel's process
        has ended, be it waited for or not.
        """
        watched = self._watched.get(kernel.process)
        if watched is None:
            watched = self._watch(kernel, descendants)
        own = watched.own
        renew = (around.tick + kernel.process.pid) % RENEWAL_TICKS == 0
        alone = not descendants and len(watched.members) == 1
        if alone:
            stat = own.look(closely=renew)
            family = {} if stat is None else {kernel.process: stat}
        else:
            family = self._look_at_family(watched, descendants)
        if not family or own.ended:
            return None
        stat = family[kernel.process]
        if alone and not renew and self._is_still(watched, kernel, around, said):
            assert watched.sample is not None  # else it would not be still
            watched.sample = watched.sample.with_limits(self._limits(watched, stat, around))
            return watched.sample
        children = [m for m in watched.members.values() if m is not own and not m.ended]
        self._look_at_files(watched, stat, renew)
        user, system = watched.cpu.update(family, descendants)
        watched.activity.update(kernel.ready, (user + system) / CLOCK_TICKS, around, said)
        details = watched.details
        watched.said = said
        watched.sample = Sample(
            rss_bytes=own.rss_bytes,
            peak_rss_bytes=details.peak_rss_bytes,
            swap_bytes=details.swap_bytes,
            children=len(children),
            children_rss_bytes=sum(child.rss_bytes for child in children),
            anonymous_bytes=own.anonymous_bytes
            + (details.swap_bytes or 0)
            + sum(child.anonymous_bytes for child in children),
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
            limits=self._limits(watched, stat, around),
            gpu_memory_bytes=_add_up_gpus(family, around.gpu) if around.gpu else {},
            state=watched.activity.state,
            last_activity_at=watched.activity.last_at,
            busy_seconds=watched.activity.busy_seconds,
            cpu_limit_cores=watched.cpu_limit_cores,
            memory_errors=said.memory_errors if said is not None else None,
            other_errors=said.other_errors if said is not None else None,
        )
        return watched.sample

    @staticmethod
    def _is_still(watched: _Watched, kernel: Kernel, around: Around, said: Said | None) -> bool:
        """Whether a kernel without descendants is as at the last look, but for its limits."""
        return (
            not watched.own.moved
            and watched.sample is not None
            and watched.sample.children == 0
            and said == watched.said
            # Where it does not say so, CPU time has yet to tell that it has become idle.
            and (watched.sample.state is State.IDLE or (said is not None and tells(said)))
            and kernel.ready is not False
            and watched.sample.state is not State.STARTING
            and not around.pss
            and not around.gpu
        )

    def _look_at_files(self, watched: _Watched, stat: Stat, renew: bool) -> None:
        """Read what is not in the pulse, if it may have changed by much."""
        ticks, rss = stat.utime + stat.stime, watched.own.rss_bytes
        before = watched.looked_at
        if renew or before is None or ticks - before[0] >= WORK_TICKS or rss != before[1]:
            watched.looked_at = ticks, rss
            for source, problem in watched.details.look():
                self._report(source, problem)
            self._look_at_bounds(watched)

    def _watch(self, kernel: Kernel, descendants: Collection[ProcessId]) -> _Watched:
        """Begin with a kernel. If its wrapper stood in for it, its counters go on from there."""
        watched = _Watched(kernel, self._procfs, self._descriptors, io=self._io, clock=self._clock)
        wrapper = self._watched.get(self._process_of.get(kernel.id, kernel.process))
        if wrapper is not None and not wrapper.has_ended():  # else it was restarted
            watched.cpu, watched.activity = wrapper.cpu, wrapper.activity
            watched.cpu.narrow_to({kernel.process, *descendants})
        self._watched[kernel.process] = watched
        self._process_of[kernel.id] = kernel.process
        return watched

    def _look_at_family(
        self, watched: _Watched, descendants: Mapping[ProcessId, ProcessId]
    ) -> dict[ProcessId, Stat]:
        """Read the pulse of the kernel and of every descendant; empty if the kernel is gone.

        When a process is waited for, linux first adds its time to its parent's and then takes it
        away. A parent is read before its children; so if one of these is missing, its time may be
        in neither number, and all are read again.
        """
        for _ in range(PASSES_MAX):
            stat = watched.own.look()
            if stat is None:
                return {}
            family = {watched.process: stat}
            for process in descendants:
                member = watched.members.get(process)
                if member is None:
                    member = Pulse(self._procfs, process, self._descriptors)
                stat = member.look()
                if stat is None:
                    member.close()
                else:
                    watched.members[process] = member
                    family[process] = stat
            missing = watched.members.keys() - family.keys()
            if not missing:
                break
            for process in missing:
                watched.members.pop(process).close()
        return family

    def _look_at_bounds(self, watched: _Watched) -> None:
        """Read what seldom changes, and matters as soon as it does."""
        watched.bounds.look()
        paths = watched.bounds.cgroups
        if self._cgroups is not None and paths is not None:
            try:
                watched.cgroup = self._cgroups.directory(paths)
                watched.cpu_limit_cores = self._quotas.limit(paths) if self._quotas else None
            except Unavailable as error:
                self._report("cgroup", str(error))

    def _limits(self, watched: _Watched, stat: Stat, around: Around) -> tuple[MemoryLimit, ...]:
        if around is not self._around:
            self._around = around
            self._shared.clear()
        shared = self._shared.get(watched.cgroup)
        if shared is None:
            shared = self._shared[watched.cgroup] = self._limits_of(watched.cgroup, around)
        limit = watched.bounds.address_space
        if limit is None:
            return shared
        return (MemoryLimit(Scope.RLIMIT, limit, max(0, limit - stat.vsize)), *shared)

    def _limits_of(self, cgroup: str | None, around: Around) -> tuple[MemoryLimit, ...]:
        limits = []
        if self._cgroups is not None and cgroup is not None:
            headroom = self._cgroups.headroom(cgroup, around.monotonic)
            if headroom is not None:
                limits.append(MemoryLimit(Scope.CGROUP, *headroom))
        if around.host is not None:
            limits.append(MemoryLimit(Scope.HOST, around.host.total, around.host.available))
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
