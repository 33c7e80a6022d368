"""Whose child a process is."""

from collections.abc import Iterable

from jupyter_kernel_exporter.linux.families import Families
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import ProcessId


class Host:
    """A made-up process table that families follow."""

    def __init__(self) -> None:
        self.table: dict[int, Process] = {}
        self.families = Families()
        self._before: dict[int, Process] = {}

    def born(self, pid: int, ppid: int, session: int, start: int | None = None) -> ProcessId:
        """A process starts."""
        process = Process(ProcessId(pid, start if start is not None else pid), ppid, session)
        self.table[pid] = process
        return process.id

    def died(self, *pids: int) -> None:
        """Processes end."""
        for pid in pids:
            del self.table[pid]

    def look(self, roots: Iterable[ProcessId]) -> None:
        """One scan: what came and went since the last is told to the families."""
        now, before = set(self.table.values()), set(self._before.values())
        self.families.update(list(roots), self.table, now - before, before - now)
        self._before = dict(self.table)

    def members(self, root: ProcessId) -> list[int]:
        """The pids of a family."""
        return sorted(member.pid for member in self.families.members(root))


def test_children_and_their_children_whenever_they_were_born() -> None:
    """Before the root was known, in the same scan, later; the root itself is no member."""
    host = Host()
    kernel = host.born(10, 1, 10)
    host.born(11, 10, 10)
    host.born(5, 1, 5)
    host.look([kernel])
    assert host.members(kernel) == [11]
    host.born(13, 12, 13)  # listed before its parent, and in a session of its own
    host.born(12, 11, 10)
    host.look([kernel])
    assert host.members(kernel) == [11, 12, 13]
    assert host.families.members(kernel)[ProcessId(13, 13)] == ProcessId(12, 12)


def test_an_orphan_stays_in_its_family() -> None:
    """linux hands it to init; it is still the kernel's memory."""
    host = Host()
    kernel = host.born(10, 1, 10)
    host.born(11, 10, 11)
    host.born(12, 11, 12)
    host.look([kernel])
    host.died(11)
    host.look([kernel])
    assert host.members(kernel) == [12]


def test_an_orphan_whose_parent_was_never_seen_is_found_by_its_session() -> None:
    """Its parent lived for less than a scan."""
    host = Host()
    kernel = host.born(10, 1, 10)
    host.look([kernel])
    host.born(12, 1, 10)
    host.look([kernel])
    assert host.members(kernel) == [12]


def test_a_kernel_below_a_kernel_has_a_family_of_its_own() -> None:
    """papermill in a cell: the inner kernel is nobody's child, whenever it is known as one."""
    host = Host()
    outer = host.born(10, 1, 10)
    inner = host.born(20, 10, 20)
    host.born(21, 20, 20)
    host.look([outer])
    assert host.members(outer) == [20, 21]
    host.look([outer, inner])
    assert host.members(outer) == []
    assert host.members(inner) == [21]
    host.born(22, 21, 20)
    host.look([outer, inner])
    assert host.members(inner) == [21, 22]


def test_workers_of_a_dead_kernel_are_nobodys() -> None:
    """They must not show up in the family of the kernel that comes after."""
    host = Host()
    kernel = host.born(10, 1, 10)
    host.born(11, 10, 10)
    host.look([kernel])
    host.died(10)
    host.look([])
    successor = host.born(30, 1, 30)
    host.look([successor])
    assert host.members(kernel) == []
    assert host.members(successor) == []


def test_a_pid_given_again_makes_no_parent() -> None:
    """Process 11 was born before the one that is 10 now."""
    host = Host()
    host.born(11, 10, 5, start=100)
    kernel = host.born(10, 1, 10, start=200)
    host.look([kernel])
    assert host.members(kernel) == []
