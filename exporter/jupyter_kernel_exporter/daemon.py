"""The story, one tick from top to bottom; and whatever lasts between two ticks.

Once per interval the kernels of the host are found, each is sampled, and what was seen is
published as one Snapshot that never changes again. An end is noticed between two ticks as well:
it is looked into until it is explained, and then published at once. Serving happens in other
threads, which see published Snapshots only.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jupyter_kernel_exporter.deaths.aftermath import gone_with_machine
from jupyter_kernel_exporter.deaths.ends import Ends, open_ends
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.deaths.record import Death
from jupyter_kernel_exporter.discover import Discovery, Found
from jupyter_kernel_exporter.linux.cgroup import CgroupMemory
from jupyter_kernel_exporter.linux.cpuquota import CpuQuotas
from jupyter_kernel_exporter.linux.families import Families
from jupyter_kernel_exporter.linux.gpu import Gpus
from jupyter_kernel_exporter.linux.hiding import what_hides, what_hides_others
from jupyter_kernel_exporter.linux.host import (
    boot_time,
    protect_from_oom,
    read_boot_id,
    read_delay_accounting,
    read_host_memory,
)
from jupyter_kernel_exporter.linux.kept import Descriptors, raise_descriptor_limit
from jupyter_kernel_exporter.linux.notify import Notifier
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.proctable import Changes, Process, ProcessTable
from jupyter_kernel_exporter.model import (
    Kernel,
    LiveKernel,
    Look,
    ProcessId,
    Restarts,
    Said,
    Snapshot,
)
from jupyter_kernel_exporter.outlook import Outlooks
from jupyter_kernel_exporter.privacy import HIDDEN, Privacy, open_privacy
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.obituaries import Obituaries
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.publish.roll import Roll
from jupyter_kernel_exporter.sample import Around, Sampler
from jupyter_kernel_exporter.sample.pss import PSS_INTERVAL_SECONDS, read_every_pss
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.serve.hub import open_hub
from jupyter_kernel_exporter.serve.lock import open_lock
from jupyter_kernel_exporter.serve.server import Server, listen
from jupyter_kernel_exporter.settings import Settings, state_directory
from jupyter_kernel_exporter.sources import Sources

log = logging.getLogger(__name__)

RESCAN_TICKS = 15
"""The process table is listed so often at least, whatever linux tells of its changes."""
HIDING_INTERVAL_SECONDS = 60.0
"""How often it is looked whether linux hides processes: it does so by how /proc was mounted."""
DELAY_ACCOUNTING_TICKS = 10
"""A setting that people change, rarely."""
DELAY_ACCOUNTING_SENTENCE = "linux does not account for delays: set sysctl kernel.task_delayacct=1"


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
    _ends: Ends | None = field(init=False, default=None)
    _obituaries: Obituaries | None = field(init=False, default=None)
    _roll: Roll | None = field(init=False, default=None)
    _recalled: bool = field(init=False, default=False)
    _snapshot: Snapshot = field(init=False, default_factory=lambda: Snapshot(0.0))
    _table: ProcessTable = field(init=False)
    _discovery: Discovery = field(init=False)
    _families: Families = field(init=False, default_factory=Families)
    _sampler: Sampler = field(init=False)
    _cgroups: CgroupMemory | None = field(init=False, default=None)
    _privacy: Privacy = field(init=False)
    _outlooks: Outlooks = field(init=False, default_factory=Outlooks)
    _found: Found = field(init=False, default_factory=Found)
    _kernels: tuple[Kernel, ...] = field(init=False, default=())
    _processes: Mapping[int, Process] = field(init=False, default_factory=dict)
    _pss: Mapping[ProcessId, int] = field(init=False, default_factory=dict)
    _pss_due: float = field(init=False, default=float("-inf"))
    _delay_accounting: bool = field(init=False, default=False)
    _hidden: str = field(init=False, default="")
    _hiding_due: float = field(init=False, default=float("-inf"))
    _ever_found: bool = field(init=False, default=False)
    _tick: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        settings = self.settings
        procfs = settings["path.procfs"]
        # A machine without a GPU has no source that is down.
        enabled = [name for name in settings.sources if name != "nvml" or self.gpus is not None]
        if self.history is not None:
            enabled.append("history")
        self.sources = Sources(enabled, self.monotonic)
        descriptors = Descriptors(raise_descriptor_limit())
        self._table = ProcessTable(procfs)
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
        self._privacy = open_privacy(settings)

    def start(self) -> None:
        """Begin to watch for ends."""
        if self.history is None:
            return
        self.sources.begin()
        boot_id = self.sources.run("proc", read_boot_id, self._table.root) or ""
        self._obituaries = Obituaries(self.history, boot_id)
        self._roll = Roll(self.history, boot_id, conceals=self._privacy.conceals)
        self._ends = open_ends(
            self.settings, self.sources, self.wake.set, self._sampler.last_look, self._describe
        )
        # What is opened here only, and could not be, stays down.
        self.sources.end()

    def stop(self) -> None:
        """Watch for ends no more."""
        if self._ends is not None:
            self._ends.close()

    def tick(self, lag: float = 0.0) -> Snapshot:
        """Find the kernels, look at each, and say what there is to see.

        ``lag`` is how many seconds after its due time the tick began.
        """
        began = self.monotonic()
        self.sources.begin()
        kernels = self._scan()
        self._look_for_hiding(kernels, began)
        around = self._look_around(kernels)
        said = self._hear()
        look, members = self._sampler.look, self._families.members
        looks = self.sources.run_each(
            "proc", lambda k: look(k, members(k.process), around, said.get(k.id)), kernels
        )
        live = self._foresee(looks, around.monotonic)
        if self._cgroups is not None:
            self._cgroups.forget(before=around.monotonic)
        self._tick += 1
        self._listen()
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
        self._look_into_ends()
        # Not before: of those who have just ended somebody may want to know the last sample.
        self._sampler.forget_all_but({kernel.process for kernel in kernels})
        self._snapshot = self._with_deaths(snapshot)
        return self._snapshot

    def attend(self) -> Snapshot | None:
        """Look into the open ends between two ticks; a new snapshot if there is news."""
        if self._ends is None:
            return None
        if self._ends.inquest.wants_scans:
            self._scan(for_processes=True)
        gone = self._look_into_ends()
        if not gone and all(not self._has_ended(live.kernel) for live in self._snapshot.kernels):
            return None
        self._snapshot = self._with_deaths(self._snapshot)
        return self._snapshot

    def patience_seconds(self) -> float | None:
        """How long to wait for news until :meth:`attend` is due; ``None``: for news only."""
        return None if self._ends is None else self._ends.patience_seconds()

    def _scan(self, *, for_processes: bool = False) -> tuple[Kernel, ...]:
        """Find the kernels, and everybody's children; ``for_processes``: if any came or went."""
        still = self._ends is not None and self._ends.still() and self._tick % RESCAN_TICKS != 0
        if still and not for_processes and self._discovery.rests:
            self._meet(self._kernels, news=False)
            return self._kernels
        changes = Changes((), ())
        if not still:
            changes = self.sources.run("proc", self._table.scan) or changes
        if not self._recalled and self._table.processes:
            self._recall()
        moved = bool(changes.came or changes.went)
        if for_processes and not moved:
            return self._kernels
        kernels = self._find_kernels(changes)
        news = moved or kernels != self._kernels
        self._kernels = kernels
        self._meet(kernels, news=news)
        if news:
            self._families.update(
                [kernel.process for kernel in kernels], self._processes, changes.came, changes.went
            )
        return kernels

    def _recall(self) -> None:
        """Once, after the first scan: whoever was alive when a daemon was here the last time."""
        if self._ends is None or self._obituaries is None or self._roll is None:
            return
        self._recalled = True
        before = self.sources.run("history", self._roll.read)
        if before is None or not self._roll.boot_id:
            return
        self.sources.run("proc", self._ends.recall, before.here, before.since)
        booted_at = boot_time(self.clock)
        for boot_id, dossier in before.of_another_boot:
            death = gone_with_machine(dossier, booted_at, before.since)
            self.sources.run("history", self._announce, self._obituaries, death, boot_id)

    def _meet(self, kernels: Sequence[Kernel], *, news: bool = True) -> None:
        if self._ends is not None and self._obituaries is not None:
            self.sources.run("proc", self._ends.meet, kernels, self._table.processes, news=news)
            if news:
                self.sources.run("history", self._obituaries.see, kernels)

    def _listen(self) -> None:
        """What is asked of the sources of ends once per tick."""
        if self._ends is None or self.history is None:
            return
        self._ends.tend(self._sampler.cgroups())
        if self.sources.enabled("iopub"):
            self.sources.run("iopub", self._ends.listen)
        self.sources.run("history", self.history.sync)
        if problem := self.history.problem():
            self.sources.report("history", problem)

    def _look_into_ends(self) -> bool:
        """Take in what was noted of ends; whether anybody was found to have died, or worse."""
        if self._ends is None or self._obituaries is None:
            return False
        missing = frozenset(status.name for status in self._snapshot.sources if not status.up)
        deaths = self.sources.run("proc", self._ends.look, self._table.processes, missing) or []
        for death in deaths:
            self.sources.run("history", self._announce, self._obituaries, death)
        news = bool(deaths)
        for kill in self._ends.oom_kills:
            worker_of = self._kernel_above(kill.pid)
            if worker_of is not None:
                self.sources.run("history", self._obituaries.count_worker, worker_of)
                news = True
        for kernel_id in self._ends.given_up():
            news |= self._obituaries.give_up(kernel_id)
        if self._roll is not None and self._recalled:
            self.sources.run("history", self._roll.write, self._ends.on_roll())
        return news

    def _announce(self, obituaries: Obituaries, death: Death, boot_id: str | None = None) -> None:
        if self._privacy.conceals:
            death = without_cgroups(death)
        if not obituaries.announce(death, boot_id):
            return
        kernel, verdict = death.kernel, death.verdict
        log.info(
            "kernel ended",
            extra={
                "kernel_id": kernel.id,
                "username": kernel.username,
                "kernel_name": kernel.kernel_name,
                "reason": verdict.reason.value,
                "certain": verdict.certain,
                "because": verdict.because,
                "missing": ",".join(sorted(death.evidence.missing)),
            },
        )

    def _kernel_above(self, pid: int) -> Kernel | None:
        """The living kernel that a process descends from; ``None`` if it is one itself, or none."""
        stat = read_stat(self._table.root, pid)
        family = {pid} | ({stat.ppid} if stat is not None else set())
        for live in self._snapshot.kernels:
            process = live.kernel.process
            if process.pid == pid or self._has_ended(live.kernel):
                continue
            members = {member.pid for member in self._families.members(process)}
            if members & family or process.pid in family:
                return live.kernel
        return None

    def _with_deaths(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot without those that have ended, and with what is known of their ends."""
        if self._obituaries is None:
            return snapshot
        return replace(
            snapshot,
            kernels=tuple(live for live in snapshot.kernels if not self._has_ended(live.kernel)),
            death_counts=self._obituaries.death_counts(),
            worker_oom_counts=self._obituaries.worker_oom_counts(),
            last_deaths=self._obituaries.last_deaths(self.clock()),
        )

    def _has_ended(self, kernel: Kernel) -> bool:
        return self._ends is not None and self._ends.has_ended(kernel.process)

    def _describe(self, born: Newborn) -> Kernel | None:
        kernel = self._discovery.describe_stillborn(
            born.process,
            path=born.path,
            server=born.parent,
            uid=born.uid,
            hub_user=born.hub_user,
        )
        return None if kernel is None else self._privacy.reduce_one(kernel)

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

    def _look_for_hiding(self, kernels: Sequence[Kernel], now: float) -> None:
        """Say so if linux hides processes: without a kernel to be seen all would seem well.

        That those outside a container are not seen is no fault if there ever were kernels inside.
        """
        known = kernels or (self._obituaries is not None and self._obituaries.death_counts())
        if known and not self._ever_found:
            self._ever_found = True
            self._hiding_due = now
        if now >= self._hiding_due:
            self._hiding_due = now + HIDING_INTERVAL_SECONDS
            look = what_hides_others if self._ever_found else what_hides
            self._hidden = self.sources.run("proc", look, self._table.root) or ""
        if self._hidden:
            self.sources.report("proc", self._hidden)

    def _look_around(self, kernels: Sequence[Kernel]) -> Around:
        now = self.monotonic()
        host = gpu = None
        if self.sources.enabled("host"):
            host = self.sources.run("host", read_host_memory, self._table.root)
        if self.gpus is not None and self.sources.enabled("nvml"):
            gpu = self.sources.run_within(1.0, "nvml", self.gpus.read)
        if self.sources.enabled("delayacct") and self._tick % DELAY_ACCOUNTING_TICKS == 0:
            self._delay_accounting = bool(
                self.sources.run("delayacct", read_delay_accounting, self._table.root)
            )
            if not self._delay_accounting:
                self.sources.report("delayacct", DELAY_ACCOUNTING_SENTENCE)
        if self.sources.enabled("pss") and now >= self._pss_due:
            self._pss_due = now + PSS_INTERVAL_SECONDS
            pss = self.sources.run_within(
                self.settings["sample.interval"], "pss", read_every_pss, self._table.root, kernels
            )
            self._pss = pss or {}
        return Around(
            now=self.clock(),
            monotonic=now,
            tick=self._tick,
            host=host,
            pss=self._pss,
            gpu=gpu or {},
            delay_accounting=self._delay_accounting,
        )

    def _foresee(self, looks: Sequence[tuple[Kernel, Look]], now: float) -> list[LiveKernel]:
        """Put to each kernel how long its memory will last."""
        by_process = {kernel.process: look for kernel, look in looks}
        seconds = self.sources.run("proc", self._outlooks.update, by_process, now) or {}
        restarts = self._ends.restarts if self._ends is not None else lambda _: Restarts()
        return [
            LiveKernel(kernel, *look, restarts(kernel), seconds.get(kernel.process))
            for kernel, look in looks
        ]

    def _hear(self) -> Mapping[str, Said]:
        """What kernels say of themselves, by id."""
        if self._ends is None or not self.sources.enabled("iopub"):
            return {}
        return self.sources.run("iopub", self._ends.said) or {}


def without_cgroups(death: Death) -> Death:
    """A death whose evidence does not name cgroups: they are often named after people."""
    because, records = death.verdict.because, death.evidence.oom_records
    for record in records or ():
        if record.cgroup:
            because = because.replace(record.cgroup, HIDDEN)
    if records is not None:
        records = tuple(record._replace(cgroup="") for record in records)
    return replace(
        death,
        verdict=death.verdict._replace(because=because),
        evidence=replace(death.evidence, oom_records=records),
    )


def sample_for_ever(
    daemon: Daemon,
    published: Published,
    stop: threading.Event,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Tick at a steady pace until ``stop``; a tick that is missed is not made up for.

    ``alive`` is called after each.
    """
    interval = daemon.settings["sample.interval"]
    due = daemon.monotonic()
    while not stop.is_set():
        snapshot = daemon.tick(lag=max(0.0, daemon.monotonic() - due))
        publish(snapshot, published)
        alive()
        due = max(due + interval, daemon.monotonic() - interval)
        while not stop.is_set() and (left := due - daemon.monotonic()) > 0:
            patience = daemon.patience_seconds()
            woken = daemon.wake.wait(left if patience is None else min(left, patience))
            if not woken and patience is None:
                continue
            daemon.wake.clear()
            news = daemon.attend()
            if news is not None:
                published.snapshot = news


def publish(snapshot: Snapshot, published: Published) -> None:
    """Show a snapshot to those who serve."""
    published.recent.append(snapshot)
    published.snapshot = snapshot


def serve(settings: Settings) -> int:
    """Watch and serve until SIGINT or SIGTERM. The exit status.

    Raises :exc:`OSError` if an address cannot be listened on, ``AlreadyRunning`` if another
    daemon has the state directory, ``LockError`` if the lock's file cannot be used, ``HubError`` if
    the hub cannot.
    """
    with contextlib.ExitStack() as stack:
        lock = open_lock(settings)
        hub = open_hub(settings)
        listeners = [stack.enter_context(listen(a)) for a in settings["web.listen-address"]]
        protect_from_oom()
        gpus = Gpus.open() if settings["source.nvml"] else None
        history = History.open(state_directory(settings))
        stack.callback(history.close)
        daemon = Daemon(settings, gpus=gpus, history=history)
        daemon.start()
        stack.callback(daemon.stop)
        published = Published(history=history)
        publish(daemon.tick(), published)
        # What was loaded until now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        server = Server(create_app(published, settings, lock=lock, hub=hub), lock, hub)
        notifier = Notifier()
        stop = threading.Event()
        failed = threading.Event()

        def sample() -> None:
            try:
                sample_for_ever(daemon, published, stop, notifier.alive)
            finally:
                if not stop.is_set():  # a fault of ours: better to end than to serve old numbers
                    failed.set()
                    server.stop()

        # uvicorn raises the signal that stopped it once more when it is done.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        sampler = threading.Thread(target=sample, name="sampler")
        sampler.start()
        for address in settings["web.listen-address"]:
            log.info("serving", extra={"address": str(address)})
        # Who connects from now on is kept by linux until the server takes them in.
        notifier.ready(settings["sample.interval"])
        try:
            asyncio.run(server.serve(sockets=listeners))
        finally:
            notifier.stopping()
            stop.set()
            daemon.wake.set()
            sampler.join()
        return 1 if failed.is_set() else 0
