"""The sources of ends, held together: what the daemon asks about deaths, it asks here."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

from jupyter_kernel_exporter.deaths.aftermath import Aftermath, read_old_kills
from jupyter_kernel_exporter.deaths.case import Clocks, pace_seconds
from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.heard import Heard
from jupyter_kernel_exporter.deaths.hearing import Hearing
from jupyter_kernel_exporter.deaths.inquest import SCAN_LAG_SECONDS, Describe, Inquest, LastLook
from jupyter_kernel_exporter.deaths.iopub import Iopub
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.record import Death
from jupyter_kernel_exporter.deaths.watch import Watch
from jupyter_kernel_exporter.linux import pidfd
from jupyter_kernel_exporter.linux.cgroup import find_version
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.kmsg import open_kmsg
from jupyter_kernel_exporter.linux.oomcounters import read_counters, vmstat
from jupyter_kernel_exporter.linux.oomlog import OomKill
from jupyter_kernel_exporter.linux.procevents import ProcEvents
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, ProcessId, Restarts, Said
from jupyter_kernel_exporter.settings import Settings
from jupyter_kernel_exporter.sources import Sources

T = TypeVar("T")

FILES_SECONDS = 0.5
"""How long a home is waited for."""

SOURCES = ("kmsg", "process_events", "pidfd", "iopub", "cgroup", "environ", "runtime_dir")
"""Those whose want may make a verdict weaker."""


def read_clocks() -> Clocks:
    """Now, on the three clocks."""
    return Clocks(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))


@dataclass(slots=True)
class Ends:
    """Everything that notices and explains ends. Belongs to the sampling thread."""

    watch: Watch
    inquest: Inquest
    oom: OomWatch
    hearing: Hearing | None
    sources: Sources
    oom_kills: list[OomKill] = field(default_factory=list)
    """Of processes that are no kernel, since the last look."""
    aftermath: Aftermath | None = None
    """What ended before; ``None`` until it is known who lived then."""

    def close(self) -> None:
        """End the threads, and close what is open."""
        self.watch.stop()
        if self.hearing is not None:
            self.hearing.iopub.stop()

    def meet(
        self, kernels: Sequence[Kernel], table: Mapping[int, Process], *, news: bool = True
    ) -> None:
        """A scan found these kernels alive; ``news``: not the same as the scan before it."""
        now = time.monotonic()
        waiting = self.aftermath is not None and any(self.aftermath.unexplained)
        if not news and not waiting and self.inquest.rests:
            return
        if self.aftermath is not None:
            kernels = [k for k in kernels if not self.aftermath.ends_just_now(k.process)]
        self.inquest.meet(kernels, table, now)
        if self.aftermath is not None:
            met = [dossier.kernel.process for dossier in self.inquest.dossiers]
            met += [dossier.kernel.process for dossier in self.inquest.unexplained]
            self.aftermath.search(met, table, now)

    def still(self) -> bool:
        """Whether it is known that the process table is as at the last call."""
        return self.watch.still()

    def recall(self, remembered: Sequence[Dossier], since: float | None) -> None:
        """These were alive at the daemon's last sign of life, ``since`` the epoch, in this boot."""
        if not remembered:
            return
        kills = None
        if self.sources.enabled("kmsg"):
            kills = self.sources.run("kmsg", read_old_kills, self.inquest.procfs)
        lag = SCAN_LAG_SECONDS + self.inquest.interval_seconds
        patiently = self.inquest.patiently
        self.aftermath = Aftermath(self.inquest.procfs, lag, since, kills, patiently)
        self.aftermath.recall(remembered, time.monotonic())

    def on_roll(self) -> Iterable[Dossier]:
        """Everybody who is alive, or whose end is not explained yet."""
        old = self.aftermath.unexplained if self.aftermath is not None else ()
        return (*old, *self.inquest.dossiers, *self.inquest.unexplained)

    def listen(self) -> None:
        """Once per tick: keep the lines to iopub, and tell what is not heard."""
        if self.hearing is not None:
            self.hearing.attend(self.inquest.dossiers, time.monotonic())
            if problem := self.hearing.problem():
                self.sources.report("iopub", problem)

    def tend(self, cgroups: Iterable[str]) -> None:
        """Once per tick, whether kernels are listened to or not: note how the OOM counters of
        these cgroups stand, see to the kernels' files, and tell if nobody watches.
        """
        now = time.monotonic()
        self.oom.look(cgroups, now)
        self.inquest.tend(now)
        if self.watch.problem:
            self.sources.report("process_events", self.watch.problem)
        if not self.watch.is_alive:
            for source in ("kmsg", "process_events", "pidfd"):
                self.sources.report(source, "nobody watches: the thread has ended")

    def said(self) -> Mapping[str, Said]:
        """What kernels say of themselves, by id; of those that are listened to just now."""
        return self.hearing.said() if self.hearing is not None else {}

    def look(self, table: Mapping[int, Process], missing: frozenset[str]) -> list[Death]:
        """Take in what was noted since, and see which ends are explained now."""
        noted = self.watch.take()
        self.oom.note(noted.oom_kills)
        self.oom_kills = noted.oom_kills
        self.inquest.hear(noted, table)
        missing = missing.intersection(SOURCES)
        clocks = read_clocks()
        deaths = []
        if self.aftermath is not None:
            self.aftermath.note(noted.oom_kills)
            deaths = self.aftermath.look(self.inquest.dossiers, table, clocks, missing)
        return deaths + self.inquest.look(clocks, missing)

    def given_up(self) -> list[str]:
        """Ids of kernels that Jupyter's restarter turns out to have given up on, each once."""
        return list(self.inquest.given_up(read_clocks()))

    @property
    def ended(self) -> Collection[ProcessId]:
        """Kernels that are known to be over, zombies or not."""
        return self.inquest.ended

    def restarts(self) -> Mapping[str, Restarts]:
        """The restarts so far, by the id of the kernel; of those that had any."""
        return self.inquest.restarts()

    def patience_seconds(self) -> float | None:
        """How long until the open cases should be looked at again; ``None`` if there are none."""
        patience = self.inquest.patience_seconds(time.monotonic())
        if self.aftermath is None or not self.aftermath.open_cases:
            return patience
        # Nobody waits for the moment of what ended before.
        pace = pace_seconds(self.aftermath.open_cases, inf)
        return pace if patience is None else min(patience, pace)


def open_ends(
    settings: Settings,
    sources: Sources,
    descriptors: Descriptors,
    *,
    wake: Callable[[], None],
    last_look: LastLook,
    describe: Describe,
) -> Ends:
    """Open every source of ends that is enabled and works here, and begin to watch."""
    procfs, rootfs = settings["path.procfs"], settings["path.rootfs"]

    def ask(name: str, action: Callable[[], T]) -> T | None:
        return sources.run(name, action) if sources.enabled(name) else None

    kmsg = ask("kmsg", lambda: open_kmsg(procfs))
    events = ask("process_events", ProcEvents)
    pidfds = ask("pidfd", lambda: pidfd.check(procfs))
    watch = Watch(procfs, wake, events, kmsg, pidfds=bool(pidfds))
    version = ask("cgroup", lambda: find_version(settings["path.cgroupfs"]))
    host = vmstat(procfs, descriptors)
    oom = OomWatch(lambda paths: read_counters(host, version, paths), log_is_heard=kmsg is not None)

    def patiently(action: Callable[[], T]) -> T | None:
        if not sources.enabled("runtime_dir"):
            return None
        return sources.run_within(FILES_SECONDS, "runtime_dir", action)

    hearing = None
    if sources.enabled("iopub"):
        hearing = Hearing(Iopub(), procfs, rootfs, patiently)
        hearing.iopub.start()

    def hear(kernel_id: str) -> Heard | None:
        return hearing.facts(kernel_id) if hearing is not None else None

    interval = settings["sample.interval"]
    inquest = Inquest(procfs, rootfs, watch, oom, hear, describe, interval, patiently, last_look)
    watch.start()
    return Ends(watch, inquest, oom, hearing, sources)
