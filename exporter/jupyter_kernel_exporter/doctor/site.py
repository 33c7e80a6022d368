"""What is there to try on: the kernels that are alive, and a process of every other user.

Most of what linux forbids it forbids for other users' processes, so each probe needs some. Kernels
are best, for it is they that matter.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.discover import Discovery
from jupyter_kernel_exporter.linux.capabilities import read_capabilities
from jupyter_kernel_exporter.linux.hiding import what_hides
from jupyter_kernel_exporter.linux.host import boot_time
from jupyter_kernel_exporter.linux.proc import read_arguments, read_namespace_status
from jupyter_kernel_exporter.linux.proctable import Process, ProcessTable
from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.settings import Settings

SUBJECTS_MAX = 100
"""Enough to know; a machine may have thousands of users."""


class Subject(NamedTuple):
    """A process to try on, of a kernel or of another user."""

    process: ProcessId
    uid: int
    is_kernel: bool

    def __str__(self) -> str:
        return f"{'kernel' if self.is_kernel else 'process'} {self.process.pid} of uid {self.uid}"


@dataclass(frozen=True, slots=True)
class Site:
    """This machine, as this process sees it."""

    settings: Settings
    uid: int
    capabilities: frozenset[str]
    kernels: tuple[Kernel, ...] = ()
    subjects: tuple[Subject, ...] = ()
    """Kernels first, then one process of each user who has none and is not ours."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What was in the way of finding more, by source."""
    own_pid: int | None = None
    """This process' own number in ``procfs``; ``None`` if it does not show this process."""
    hidden: str = ""
    """Why some processes are not seen at all; empty if nothing speaks for that."""

    @property
    def procfs(self) -> str:
        """Where the host's /proc is mounted."""
        return str(self.settings["path.procfs"])

    @property
    def rootfs(self) -> str:
        """The host's root directory, without a slash at its end."""
        return str(self.settings["path.rootfs"]).rstrip("/")

    def denied(self, action: Callable[[int], object]) -> list[Subject]:
        """The subjects that ``action`` is not permitted on; it is given their pids."""
        return [subject for subject in self.subjects if not _may(action, subject.process.pid)]


def _may(action: Callable[[int], object], pid: int) -> bool:
    try:
        action(pid)
    except PermissionError:
        return False
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return True
    return True


def survey(settings: Settings) -> Site:
    """Look around as the daemon does. Raises whatever keeps it from seeing processes at all."""
    procfs = settings["path.procfs"]
    table = ProcessTable(procfs)
    table.scan()
    discovery = Discovery(
        procfs=procfs,
        rootfs=settings["path.rootfs"],
        runtime_dirs=settings["runtime-dir"],
        sources=settings.sources,
    )
    found = discovery.find(table.processes, boot_time())
    uid = os.geteuid()
    return Site(
        settings=settings,
        uid=uid,
        capabilities=read_capabilities(),
        kernels=found.kernels,
        subjects=choose_subjects(procfs, table.processes, found.kernels, uid),
        problems=found.problems,
        own_pid=find_own_pid(procfs),
        hidden=what_hides(procfs),
    )


def find_own_pid(procfs: str) -> int | None:
    """The number of this process in ``procfs``, which may be of an outer pid namespace."""
    try:
        return int(os.readlink(f"{procfs}/self"))
    except FileNotFoundError:
        return None


def choose_subjects(
    procfs: str, table: Mapping[int, Process], kernels: tuple[Kernel, ...], own_uid: int
) -> tuple[Subject, ...]:
    """The kernels' processes, and one process of every user who is not us and has no kernel."""
    subjects = []
    for kernel in kernels[:SUBJECTS_MAX]:
        status = read_namespace_status(procfs, kernel.process.pid)
        if status is not None:
            subjects.append(Subject(kernel.process, status.uid, True))
    known = {own_uid} | {subject.uid for subject in subjects}
    # An init may be closed even to those who may look at everybody else: it comes last.
    for pid, process in sorted(table.items(), key=lambda entry: entry[0] == 1):
        if len(subjects) >= SUBJECTS_MAX:
            break
        status = read_namespace_status(procfs, pid)
        # Threads of linux and zombies have no command line, and other rules.
        if status is not None and status.uid not in known and read_arguments(procfs, pid):
            known.add(status.uid)
            subjects.append(Subject(process.id, status.uid, False))
    return tuple(subjects)
