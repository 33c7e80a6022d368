"""One kernel, and what is kept of it from look to look."""

import math
from collections.abc import Mapping

from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.proc import Stat
from jupyter_kernel_exporter.model import Kernel, Look, ProcessId, Said, Sample, State
from jupyter_kernel_exporter.sample.activity import Activity, tells
from jupyter_kernel_exporter.sample.cpu import FamilyCpu
from jupyter_kernel_exporter.sample.files import Bounds, Details, Pulse

WORK_TICKS = 3
"""Clock ticks of CPU time, since the other files were read, that count as work."""
PASSES_MAX = 5
"""How often a family is read again at most because somebody ended meanwhile."""


class Watched:
    """Not thread-safe."""

    __slots__ = (
        "_descriptors",
        "_kernel",
        "_looked_at",
        "_procfs",
        "_quiet",
        "_said",
        "activity",
        "bounds",
        "cgroup",
        "cpu",
        "cpu_limit_cores",
        "details",
        "kernel_id",
        "members",
        "newest",
        "own",
        "process",
        "rested_at",
        "sample",
    )

    def __init__(
        self, kernel: Kernel, procfs: str, descriptors: Descriptors, *, io: bool, clock: bool
    ) -> None:
        self._procfs = procfs
        self._descriptors = descriptors
        self.kernel_id = kernel.id
        self.process = kernel.process
        self.own = Pulse(procfs, kernel.process, descriptors, clock=clock)
        self.members = {kernel.process: self.own}
        self.details = Details(procfs, kernel.process.pid, descriptors, io)
        self.bounds = Bounds(procfs, kernel.process.pid, descriptors)
        self.cpu = FamilyCpu()
        self.activity = Activity(kernel.started_at)
        self.sample: Sample | None = None
        """Of the last close look."""
        self.newest: Look | None = None
        self.cgroup: str | None = None
        """The directory of the one that its memory is charged to."""
        self.cpu_limit_cores: float | None = None
        self._kernel: Kernel | None = None
        self._said: Said | None = None
        """What was known of it, and what it said of itself, at the last close look."""
        self._quiet = False
        self.rested_at = -math.inf
        """When it was last found at rest, on the clock of those who asked."""
        self._looked_at: tuple[int, int] | None = None
        """CPU ticks and RSS when the other files were read last."""

    def rests(self, kernel: Kernel, said: Said | None, now: float) -> bool:
        """Whether a kernel without descendants is as at the last close look: its sample holds."""
        if (
            not self._quiet
            or kernel is not self._kernel
            or not (said is self._said or said == self._said)
            or not self.own.rests()
        ):
            return False
        self.rested_at = now
        return True

    def keep(self, kernel: Kernel, said: Said | None, sample: Sample) -> None:
        """Remember a close look."""
        self._kernel, self._said, self.sample = kernel, said, sample
        self._quiet = (
            len(self.members) == 1
            and kernel.ready is not False
            # Where it does not say so, CPU time has yet to tell that it has become idle.
            and (sample.state is State.IDLE or (said is not None and tells(said)))
            and sample.state is not State.STARTING
        )

    def has_worked(self, stat: Stat) -> bool:
        """Whether what is not in the pulse may have changed by much since this was last so."""
        ticks, rss = stat.utime + stat.stime, self.own.rss_bytes
        before = self._looked_at
        if before is not None and ticks - before[0] < WORK_TICKS and rss == before[1]:
            return False
        self._looked_at = ticks, rss
        return True

    def look_at_family(self, descendants: Mapping[ProcessId, ProcessId]) -> dict[ProcessId, Stat]:
        """Read the pulse of the kernel and of every descendant; empty if the kernel is gone.

        When a process is waited for, linux first adds its time to its parent's and then takes it
        away. A parent is read before its children; so if one of these is missing, its time may be
        in neither number, and all are read again.
        """
        for _ in range(PASSES_MAX):
            stat = self.own.look()
            if stat is None:
                return {}
            family = {self.process: stat}
            for process in descendants:
                member = self.members.get(process)
                if member is None:
                    member = Pulse(self._procfs, process, self._descriptors)
                stat = member.look()
                if stat is None:
                    member.close()
                else:
                    self.members[process] = member
                    family[process] = stat
            missing = self.members.keys() - family.keys()
            if not missing:
                break
            for process in missing:
                self.members.pop(process).close()
        return family

    def has_ended(self) -> bool:
        """Whether the kernel's process has, be it waited for or not."""
        return self.own.look() is None or self.own.ended

    def close(self) -> None:
        """Close the files."""
        self.details.close()
        self.bounds.close()
        for member in self.members.values():
            member.close()
