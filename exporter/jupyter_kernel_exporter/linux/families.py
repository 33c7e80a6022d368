"""Whose child a process is: the descendants of some root processes, tick by tick.

A process belongs to the family it was born into, and stays there when its parent dies and linux
hands it to another. It is born into a family if its parent is of it, or if its session is that of
the root, which catches what was orphaned between two scans. Only a process that left the session
and lost its parent within one scan is missed. A root below another root is of its own family.
"""

from collections.abc import Collection, Iterable, Mapping

from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import ProcessId


class Families:
    """The descendants of each root. Not thread-safe."""

    def __init__(self) -> None:
        self._members: dict[ProcessId, dict[ProcessId, ProcessId]] = {}
        """root -> member -> the member's parent when it was born."""
        self._root_of: dict[ProcessId, ProcessId] = {}

    def update(
        self,
        roots: Collection[ProcessId],
        table: Mapping[int, Process],
        came: Iterable[Process],
        went: Iterable[Process],
    ) -> None:
        """Follow what changed since the last call."""
        wanted = set(roots)
        known = set(self._members)
        for process in went:
            root = self._root_of.pop(process.id, None)
            if root is not None:
                self._members[root].pop(process.id, None)
        for root in known - wanted:
            for member in self._members.pop(root):
                del self._root_of[member]
            self._root_of.pop(root, None)
        fresh = wanted - known
        for root in fresh:
            # It may have been taken for a mere member of an outer family until now.
            outer = self._root_of.get(root)
            if outer is not None:
                self._members[outer].pop(root, None)
            self._members[root] = {}
            self._root_of[root] = root
        # A new root may have descendants of any age, of which an outer root knew as its own.
        self._adopt(table, table.values() if fresh else came)

    @property
    def by_root(self) -> Mapping[ProcessId, Mapping[ProcessId, ProcessId]]:
        """The members of each root."""
        return self._members

    def members(self, root: ProcessId) -> Mapping[ProcessId, ProcessId]:
        """The living descendants of ``root``, each with its parent at birth; without the root."""
        return self._members.get(root, {})

    def _adopt(self, table: Mapping[int, Process], processes: Iterable[Process]) -> None:
        waiting = [p for p in processes if p.id not in self._members]
        # A child may be listed before its parent: go round until nobody finds a family any more.
        while waiting:
            left = [p for p in waiting if not self._place(p, table)]
            if len(left) == len(waiting):
                return
            waiting = left

    def _place(self, process: Process, table: Mapping[int, Process]) -> bool:
        """Put one process where it belongs; whether that changed anything."""
        parent = _elder(process, process.ppid, table)
        root = self._root_of.get(parent) if parent is not None else None
        if root is None:
            leader = _elder(process, process.session, table)
            root = leader if leader in self._members else None
        present = self._root_of.get(process.id)
        if root is None or root == present:
            return False
        if present is not None:
            self._members[present].pop(process.id, None)
        self._root_of[process.id] = root
        self._members[root][process.id] = parent if parent is not None else root
        return True


def _elder(process: Process, pid: int, table: Mapping[int, Process]) -> ProcessId | None:
    """The process of that pid, unless it is younger and so cannot be the one that was meant."""
    other = table.get(pid)
    if other is None or other.id.start_ticks > process.id.start_ticks:
        return None
    return other.id
