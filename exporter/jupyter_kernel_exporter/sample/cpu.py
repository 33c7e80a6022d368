"""CPU time of a kernel and its descendants that never goes down."""

from collections.abc import Collection, Mapping

from jupyter_kernel_exporter.linux.proc import Stat
from jupyter_kernel_exporter.model import ProcessId


class FamilyCpu:
    """Adds up clock ticks over a family whose members come and go.

    When a process ends and its parent waits for it, linux adds its time to the parent's ``cutime``
    and ``cstime``, so that the sum over the living stays. Where nobody waits (the parent ignores
    SIGCHLD, or died first) the time would be lost: what no surviving ancestor took over is kept.
    """

    def __init__(self) -> None:
        self._last: dict[ProcessId, Stat] = {}
        self._parents: dict[ProcessId, ProcessId] = {}
        """Of the living at the last look, and of those between them and the kernel."""
        self._lost_user = 0
        self._lost_system = 0
        self._user = 0
        self._system = 0

    def narrow_to(self, part: Collection[ProcessId]) -> None:
        """From now on only ``part`` of the family is looked at; what all burnt stays counted."""
        for member in self._last.keys() - set(part):
            stat = self._last.pop(member)
            self._lost_user += stat.utime + stat.cutime
            self._lost_system += stat.stime + stat.cstime

    def update(
        self, alive: Mapping[ProcessId, Stat], parents: Mapping[ProcessId, ProcessId]
    ) -> tuple[int, int]:
        """User and system time of the family since it began.

        ``alive`` is who is there now, the kernel included; ``parents`` is whose child each
        descendant was born as.
        """
        ended = self._last.keys() - alive.keys()
        if ended:
            self._keep_what_is_lost(alive, ended)
        user = self._lost_user
        system = self._lost_system
        for stat in alive.values():
            user += stat.utime + stat.cutime
            system += stat.stime + stat.cstime
        # linux divides time into user and system anew at each read, and may take a tick back.
        self._user = max(self._user, user)
        self._system = max(self._system, system)
        self._last = dict(alive)
        if parents or self._parents:
            self._parents = self._lineage(alive, {**self._parents, **parents})
        return self._user, self._system

    def _keep_what_is_lost(self, alive: Mapping[ProcessId, Stat], ended: set[ProcessId]) -> None:
        due: dict[ProcessId | None, list[int]] = {}
        for member in ended:
            heir = self._parents.get(member)
            while heir is not None and heir not in alive:
                heir = self._parents.get(heir)
            share = due.setdefault(heir, [0, 0])
            stat = self._last[member]
            share[0] += stat.utime + stat.cutime
            share[1] += stat.stime + stat.cstime
        for heir, share in due.items():
            before = self._last.get(heir) if heir is not None else None
            if heir is not None and before is not None:
                share[0] -= alive[heir].cutime - before.cutime
                share[1] -= alive[heir].cstime - before.cstime
            self._lost_user += max(0, share[0])
            self._lost_system += max(0, share[1])

    @staticmethod
    def _lineage(
        alive: Mapping[ProcessId, Stat], parents: Mapping[ProcessId, ProcessId]
    ) -> dict[ProcessId, ProcessId]:
        """The part of ``parents`` that leads from the living up to the kernel."""
        kept: dict[ProcessId, ProcessId] = {}
        for member in alive:
            child = member
            while child in parents and child not in kept:
                child = kept.setdefault(child, parents[child])
        return kept
