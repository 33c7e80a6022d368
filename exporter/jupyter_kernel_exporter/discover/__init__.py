"""Which kernels are alive on this host, and whose they are.

The room reads in this order:

* ``lookout``      whose command line to read now
* ``arguments``    command lines -> the connection files they name; pure
* ``runtime``      runtime directories -> numbered files of kernels that were given none
* ``candidates``   processes that name a connection file, or are named by one
* ``files``        their connection files, read as the kernel sees them (``connection``: safely)
* ``ports``        who listens where the files say
* ``decide``       which of them is the kernel (``identify``: the rules; pure)
* ``describe``     that process -> Kernel (``attribution``: the labels; pure · ``users``: names)
* ``stillborn``    the same for one that ended before any scan

A file alone proves nothing: most are left over, and homes are shared between machines. A command
line alone proves nothing either: workers have the kernel's, and editors name the same file.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jupyter_kernel_exporter.discover.candidates import Candidates
from jupyter_kernel_exporter.discover.decide import Decider, same_file
from jupyter_kernel_exporter.discover.describe import started_at
from jupyter_kernel_exporter.discover.files import NONE_SKIPPED, ConnectionFiles
from jupyter_kernel_exporter.discover.ports import Ports
from jupyter_kernel_exporter.discover.runtime import RuntimeDirs, runtime_dir
from jupyter_kernel_exporter.discover.stillborn import describe_stillborn
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, ProcessId

CLOCK_STEP_SECONDS = 1.5
"""The time of boot moves by less than this from rounding alone."""
REST_SECONDS = 10.0
"""Between two looks at runtime directories, and at a few command lines, while nothing happens."""


@dataclass(frozen=True, slots=True)
class Found:
    """The kernels alive now, and what was in the way of finding more."""

    kernels: tuple[Kernel, ...] = ()
    """By the start of their process, oldest first."""
    skipped: Mapping[str, int] = field(default_factory=lambda: NONE_SKIPPED)
    """Connection files that were passed over since the start, by cause."""
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """One sentence for each source that gave less than it should."""


def seconds_since_boot() -> float:
    """The clock that process start times are in; no step of the wall clock touches it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Discovery:
    """Finds the kernels; remembers what it has seen, so that a quiet host costs next to nothing.

    Not thread-safe, but ``find`` may run in any thread, one call at a time.
    """

    def __init__(
        self,
        *,
        procfs: str = "/proc",
        rootfs: str = "/",
        runtime_dirs: Sequence[str] = (),
        sources: Collection[str] = ("environ", "runtime_dir"),
        environ: Mapping[str, str] = os.environ,
        boot_clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self._unaided: Discovery | None = None
        self._make_unaided: Callable[[], Discovery] = lambda: Discovery(
            procfs=procfs,
            rootfs=rootfs,
            sources=[source for source in sources if source != "runtime_dir"],
            environ=environ,
            boot_clock=boot_clock,
        )
        self._procfs = procfs
        self._clock = boot_clock
        self._sources = sources
        self._users = Users(rootfs, boot_clock)
        self._files = ConnectionFiles(procfs, rootfs, enabled="runtime_dir" in sources)
        self._candidates = Candidates(
            procfs,
            RuntimeDirs(runtime_dirs, rootfs) if "runtime_dir" in sources else None,
            self._users,
            runtime_dir(environ, ""),
            environ="environ" in sources,
        )
        self._decider = Decider(self._candidates, self._files, self._users)
        self._boot_time = 0.0
        self._found = Found()
        self._rests_until = 0.0

    def find(self, table: Mapping[int, Process], boot_time: float) -> Found:
        """The kernels among the processes of ``table``.

        ``boot_time`` in seconds since the epoch. The same object comes back while nothing changed.
        """
        now = self._clock()
        # A copy, because its owner goes on with it if this takes too long.
        table = dict(table)
        changed = self._redate(boot_time)
        changed |= self._candidates.update(table, now)
        ports = Ports(self._procfs)
        for members in self._candidates.due(now):
            for candidate in members:
                # A worker's file is its parent's, and no answer.
                if not candidate.settled and not candidate.is_worker:
                    self._files.refresh(candidate, now)
            for group in same_file(members):
                changed |= self._decider.decide(group, ports, now, self._boot_time)
        if changed:
            self._found = self._collect()
        self._unaided = None
        self._rests_until = min(now + REST_SECONDS, self._candidates.next_due())
        return self._found

    @property
    def rests(self) -> bool:
        """Whether ``find`` need not be called now, if the process table is as it was."""
        return self._clock() < self._rests_until

    def find_without_files(
        self, table: Mapping[int, Process], boot_time: float, known: Found
    ) -> Found:
        """The same while ``find`` hangs in another thread, as in a home that does not answer.

        Of the kernels that were ``known`` before all is still known, of new ones what their
        processes tell.
        """
        # ``find`` may come to its end meanwhile, and forget it.
        self._unaided = discovery = self._unaided or self._make_unaided()
        unaided = discovery.find(table, boot_time)
        here = {process.id for process in table.values()}
        kernels = {k.id: k for k in known.kernels if k.process in here}
        processes = {kernel.process for kernel in kernels.values()}
        for kernel in unaided.kernels:
            if kernel.process not in processes:
                kernels.setdefault(kernel.id, kernel)
        ordered = sorted(kernels.values(), key=lambda kernel: kernel.process[::-1])
        return Found(tuple(ordered), known.skipped, unaided.problems)

    def describe_stillborn(
        self, process: ProcessId, *, path: str, server: int, uid: int, hub_user: str
    ) -> Kernel | None:
        """A kernel that ended before ``find`` saw it; ``None`` if the path is no kernel's."""
        return describe_stillborn(
            process,
            path=path,
            server=server,
            uid=uid,
            hub_user=hub_user,
            boot_time=self._boot_time,
            files=self._files,
            users=self._users,
        )

    def _redate(self, boot_time: float) -> bool:
        """Follow a step of the wall clock; whether there was one."""
        if abs(boot_time - self._boot_time) < CLOCK_STEP_SECONDS:
            return False
        self._boot_time = boot_time
        for candidate in self._candidates:
            if candidate.kernel is not None:
                started = started_at(candidate.process, boot_time)
                candidate.kernel = replace(candidate.kernel, started_at=started)
        return True

    def _collect(self) -> Found:
        alive = [c for c in self._candidates if c.kernel is not None]
        alive.sort(key=lambda c: c.process.id[::-1])
        problems = {}
        closed = sum(c.environ is None for c in alive)
        if closed and "environ" in self._sources:
            problems["environ"] = (
                f"the environment of {_kernels(closed)} may not be read: hub user, notebook and "
                "server are not known; run as root or with CAP_SYS_PTRACE"
            )
        unread = sum(c.forbidden for c in alive)
        if unread and "runtime_dir" in self._sources:
            problems["runtime_dir"] = (
                f"the connection file of {_kernels(unread)} may not be read: the kernelspec and "
                "whether it is ready are not known; run as root or with CAP_DAC_READ_SEARCH and "
                "CAP_SYS_PTRACE"
            )
        kernels = tuple(c.kernel for c in alive if c.kernel is not None)
        return Found(kernels, self._files.skipped(), MappingProxyType(problems))


def _kernels(number: int) -> str:
    return "1 kernel" if number == 1 else f"{number} kernels"
