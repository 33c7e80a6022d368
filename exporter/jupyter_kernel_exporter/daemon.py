"""The story, one tick from top to bottom; and whatever lasts between two ticks.

Once per interval the kernels of the host are found, each is sampled, and what was seen is
published as one Snapshot that never changes again. An end is noticed between two ticks as well:
it is looked into until it is explained, and then published at once. Serving happens in other
threads, which see published Snapshots only.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_kernel_exporter.deaths.ends import open_ends
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.discover import Discovery, Found
from jupyter_kernel_exporter.linux.cgroup import CgroupMemory
from jupyter_kernel_exporter.linux.cpuquota import CpuQuotas
from jupyter_kernel_exporter.linux.families import Families
from jupyter_kernel_exporter.linux.gpu import Gpus
from jupyter_kernel_exporter.linux.hiding import HidingWatch
from jupyter_kernel_exporter.linux.host import boot_time, read_boot_id
from jupyter_kernel_exporter.linux.kept import Descriptors, raise_descriptor_limit
from jupyter_kernel_exporter.linux.proctable import Changes, Process, ProcessTable
from jupyter_kernel_exporter.model import Kernel, LiveKernel, Look, Restarts, Snapshot
from jupyter_kernel_exporter.outlook import Outlooks
from jupyter_kernel_exporter.privacy import Privacy, open_privacy
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.register import Register
from jupyter_kernel_exporter.sample import Sampler
from jupyter_kernel_exporter.sample.surroundings import Surroundings
from jupyter_kernel_exporter.settings import Settings
from jupyter_kernel_exporter.sources import Sources

RESCAN_TICKS = 15
"""The process table is listed so often at least, whatever linux tells of its changes."""
NO_RESTARTS = Restarts()


@dataclass(slots=True)
class Daemon:
    """Everything that lasts from tick to tick. Belongs to one thread."""

    settings: Settings
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    gpus: Gpus | None = None
    history: History | None = None
    """Where deaths are written down; without one, ends are not looked into."""
    sources: Sources = field(init=False)
    wake: threading.Event = field(init=False, default_factory=threading.Event)
    """Set when something happened that should not wait for the next tick."""
    _register: Register | None = field(init=False, default=None)
    _snapshot: Snapshot = field(init=False, default_factory=lambda: Snapshot(0.0))
    _descriptors: Descriptors = field(init=False)
    _table: ProcessTable = field(init=False)
    _hiding: HidingWatch = field(init=False)
    _discovery: Discovery = field(init=False)
    _families: Families = field(init=False, default_factory=Families)
    _surroundings: Surroundings = field(init=False)
    _sampler: Sampler = field(init=False)
    _cgroups: CgroupMemory | None = field(init=False, default=None)
    _privacy: Privacy = field(init=False)
    _outlooks: Outlooks = field(init=False, default_factory=Outlooks)
    _found: Found = field(init=False, default_factory=Found)
    _kernels: tuple[Kernel, ...] = field(init=False, default=())
    _processes: Mapping[int, Process] = field(init=False, default_factory=dict)
    _tick: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        settings = self.settings
        procfs = settings["path.procfs"]
        # A machine without a GPU has no source that is down.
        enabled = [name for name in settings.sources if name != "nvml" or self.gpus is not None]
        if self.history is not None:
            enabled.append("history")
        self.sources = Sources(enabled, self.monotonic)
        self._descriptors = descriptors = Descriptors(raise_descriptor_limit())
        self._table = ProcessTable(procfs)
        self._hiding = HidingWatch(procfs)
        self._discovery = Discovery(
            procfs=procfs,
            rootfs=settings["path.rootfs"],
            runtime_dirs=settings["runtime-dir"],
            sources=enabled,
        )
        quotas = None
        if self.sources.enabled("cgroup"):
            cgroupfs = settings["path.cgroupfs"]
            self._cgroups = CgroupMemory(cgroupfs, descriptors)
            quotas = CpuQuotas(cgroupfs, self.monotonic)
        self._sampler = Sampler(
            procfs,
            self._cgroups,
            descriptors,
            self.sources.report,
            io=self.sources.enabled("io"),
            quotas=quotas,
        )
        self._surroundings = Surroundings(
            procfs,
            self._descriptors,
            self.sources,
            self.gpus,
            settings["sample.interval"],
            self.clock,
            self.monotonic,
        )
        self._privacy = open_privacy(settings)

    def start(self) -> None:
        """Begin to watch for ends."""
        if self.history is None:
            return
        self.sources.begin()
        boot_id = self.sources.run("proc", read_boot_id, self._table.root) or ""
        ends = open_ends(
            self.settings,
            self.sources,
            self._descriptors,
            wake=self.wake.set,
            last_look=self._sampler.last_look,
            describe=self._describe,
        )
        self._register = Register(
            ends,
            self.sources,
            self.history,
            self._table.root,
            boot_id,
            self._families.members,
            self._privacy.conceals,
            self.clock,
        )
        # What is opened here only, and could not be, stays down.
        self.sources.end()

    def stop(self) -> None:
        """Watch for ends no more."""
        if self._register is not None:
            self._register.close()

    def tick(self, lag: float = 0.0) -> Snapshot:
        """Find the kernels, look at each, and say what there is to see.

        ``lag`` is how many seconds after its due time the tick began.
        """
        began = self.monotonic()
        self.sources.begin()
        kernels = self._scan()
        self._look_for_hiding(began)
        around = self._surroundings.look(kernels)
        said = self._register.said() if self._register is not None else {}
        self._sampler.begin(around, self._families.by_root, said)
        looks = self.sources.run_each("proc", self._sampler.look, kernels)
        live = self._foresee(looks, around.monotonic)
        if self._cgroups is not None:
            self._cgroups.forget(before=around.monotonic)
        self._tick += 1
        if self._register is not None:
            self._register.tend(self._sampler.cgroups())
        snapshot = Snapshot(
            taken_at=around.now,
            kernels=tuple(live),
            sources=tuple(
                status._replace(problem=self._privacy.reduce_text(status.problem))
                for status in self.sources.end()
            ),
            sample_duration_seconds=self.monotonic() - began,
            sample_lag_seconds=lag,
            skipped_files=self._found.skipped,
        )
        if self._register is not None:
            self._register.look(self._table.processes, self._snapshot)
            snapshot = self._register.complete(snapshot)
        # Not before: of those who have just ended somebody may want to know the last sample.
        self._sampler.forget_all_but({kernel.process for kernel in kernels})
        self._snapshot = snapshot
        return snapshot

    def attend(self) -> Snapshot | None:
        """Look into the open ends between two ticks; a new snapshot if there is news."""
        register = self._register
        if register is None:
            return None
        if register.wants_scans:
            self._scan(for_processes=True)
        news = register.look(self._table.processes, self._snapshot)
        if not news and not register.has_any_ended(self._snapshot):
            return None
        self._snapshot = register.complete(self._snapshot)
        return self._snapshot

    def patience_seconds(self) -> float | None:
        """How long to wait for news until :meth:`attend` is due; ``None``: for news only."""
        return None if self._register is None else self._register.patience_seconds()

    def _scan(self, *, for_processes: bool = False) -> tuple[Kernel, ...]:
        """Find the kernels, and everybody's children; ``for_processes``: if any came or went."""
        register = self._register
        still = register is not None and register.still() and self._tick % RESCAN_TICKS != 0
        if still and not for_processes and self._discovery.rests:
            if register is not None:
                register.meet(self._kernels, self._table.processes, news=False)
            return self._kernels
        changes = Changes((), ())
        if not still:
            changes = self.sources.run("proc", self._table.scan) or changes
        if register is not None and self._table.processes:
            register.recall()
        moved = bool(changes.came or changes.went)
        if for_processes and not moved:
            return self._kernels
        kernels = self._find_kernels(changes)
        news = moved or kernels != self._kernels
        self._kernels = kernels
        if register is not None:
            register.meet(kernels, self._table.processes, news=news)
        if news:
            self._families.update(
                [kernel.process for kernel in kernels], self._processes, changes.came, changes.went
            )
        return kernels

    def _find_kernels(self, changes: Changes) -> tuple[Kernel, ...]:
        if changes.came or changes.went:
            # A copy, for discovery may still be at it when the next tick begins.
            self._processes = dict(self._table.processes)
        booted_at = boot_time(self.clock)
        found = self.sources.run_within(
            max(1.0, self.settings["sample.interval"]),
            "runtime_dir" if self.sources.enabled("runtime_dir") else "proc",
            self._discovery.find,
            self._processes,
            booted_at,
        )
        if found is None:  # somebody's home does not answer: others have kernels as well
            found = self.sources.run(
                "proc",
                self._discovery.find_without_files,
                self._processes,
                booted_at,
                self._found,
            )
        if found is not None:
            self._found = found
            for source, problem in found.problems.items():
                self.sources.report(source, problem)
        return self._privacy.reduce(
            kernel
            for kernel in self._found.kernels
            if (process := self._processes.get(kernel.process.pid)) is not None
            and process.id == kernel.process
        )

    def _foresee(self, looks: Sequence[tuple[Kernel, Look]], now: float) -> list[LiveKernel]:
        """Put to each kernel how long its memory will last."""
        by_process = {kernel.process: look for kernel, look in looks}
        seconds = self.sources.run("proc", self._outlooks.update, by_process, now) or {}
        restarts = self._register.restarts() if self._register is not None else {}
        return [
            LiveKernel(
                kernel,
                look.sample,
                look.limits,
                restarts.get(kernel.id, NO_RESTARTS),
                seconds.get(kernel.process),
            )
            for kernel, look in looks
        ]

    def _look_for_hiding(self, now: float) -> None:
        seen = bool(self._kernels) or (self._register is not None and not self._register.is_empty)
        hidden = self.sources.run("proc", self._hiding.look, now, seen=seen)
        if hidden:
            self.sources.report("proc", hidden)

    def _describe(self, born: Newborn) -> Kernel | None:
        kernel = self._discovery.describe_stillborn(
            born.process,
            path=born.path,
            server=born.parent,
            uid=born.uid,
            hub_user=born.hub_user,
        )
        return None if kernel is None else self._privacy.reduce_one(kernel)
