"""The process table: who is there, who came, who went, and whose child each one is.

Listing ``/proc`` once a second is cheap; opening a file for each process is not. So only the
names are listed, and only new processes are opened. A name alone would mistake a new process for
an old one whose pid it got within a second; the inode number of ``/proc/PID`` tells them apart,
for linux makes a new inode for each process (fs/proc/base.c, proc_pid_make_inode).
"""

import os
from typing import NamedTuple

from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.model import ProcessId


class Process(NamedTuple):
    """A process as it was when first seen."""

    id: ProcessId
    ppid: int
    session: int
    """Process id of its session's leader; a kernel's own, mostly."""

    @property
    def leads_session(self) -> bool:
        """Whether it is the first process of its session."""
        return self.id.pid == self.session


class Changes(NamedTuple):
    """What came and went between two scans."""

    came: tuple[Process, ...]
    went: tuple[Process, ...]


class ProcessTable:
    """All processes that ``root`` (a mounted /proc) shows. Not thread-safe."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self.processes: dict[int, Process] = {}
        self._inodes: dict[int, int] = {}

    def scan(self) -> Changes:
        """List the table again, and open what is new."""
        with os.scandir(self.root) as entries:
            now = {int(entry.name): entry.inode() for entry in entries if entry.name.isdecimal()}
        before = self._inodes
        if now == before:
            return Changes((), ())
        came: list[Process] = []
        went = [self.processes.pop(pid) for pid in before.keys() - now.keys()]
        for pid, inode in now.items():
            if before.get(pid) == inode:
                continue
            known = self.processes.pop(pid, None)
            try:
                stat = read_stat(self.root, pid)
            except PermissionError:  # another user's, and /proc is mounted with hidepid=1
                stat = None
            # linux may also forget an inode when memory is short: the start time decides.
            if stat is not None and known is not None and known.id.start_ticks == stat.start_ticks:
                self.processes[pid] = known
                continue
            if known is not None:
                went.append(known)
            if stat is not None:
                process = Process(ProcessId(pid, stat.start_ticks), stat.ppid, stat.session)
                self.processes[pid] = process
                came.append(process)
        self._inodes = {pid: now[pid] for pid in self.processes}
        return Changes(tuple(came), tuple(went))
