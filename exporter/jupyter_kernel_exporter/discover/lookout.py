"""Whose command line to read now.

New processes at once; young ones again and again, because a process starts as a copy of its
parent, and R's as a shell; all others in turn, slowly, so that no late exec is missed for long.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.linux.proctable import Process

YOUNG_SECONDS = 10.0
ROUND_SECONDS = 120.0
"""Within this time every process gets its turn."""


class Changes(NamedTuple):
    """What there is to do after a look at the process table."""

    came: list[Process]
    went: list[Process]
    look: list[Process]
    """Those to read the command line of; some may have come just now."""


def age(process: Process, now: float) -> float:
    """Seconds since a process was started; ``now`` in seconds since boot."""
    return now - process.id.start_ticks / CLOCK_TICKS


class Lookout:
    """Follows the process table. Times are seconds since boot."""

    def __init__(self) -> None:
        self.table: Mapping[int, Process] = {}
        self._young: dict[int, Process] = {}
        self._round: deque[Process] = deque()
        self._turned_at: float | None = None

    @property
    def has_young(self) -> bool:
        """Whether there is anybody to be read again and again."""
        return bool(self._young)

    def follow(self, table: Mapping[int, Process], now: float) -> Changes:
        """Compare with the table as it is now. It must not be changed afterwards."""
        came: list[Process] = []
        went: list[Process] = []
        before, self.table = self.table, table
        if table != before:
            came = [process for pid, process in table.items() if before.get(pid) is not process]
            went = [process for pid, process in before.items() if table.get(pid) is not process]
            for process in went:
                self._young.pop(process.id.pid, None)
            self._young.update((process.id.pid, process) for process in came)
        # First, or else a process would be looked at twice in its first second.
        look = self._next_in_round(now)
        look += self._young.values()
        self._round.extend(came)
        # Who has come of age has been looked at one last time.
        for process in list(self._young.values()):
            if age(process, now) > YOUNG_SECONDS:
                del self._young[process.id.pid]
        return Changes(came, went, look)

    def _next_in_round(self, now: float) -> list[Process]:
        """As many as keep the whole round within its time."""
        if self._turned_at is None:
            self._turned_at = now
        waiting = len(self._round)
        turns = math.floor(waiting * (now - self._turned_at) / ROUND_SECONDS)
        if turns <= 0:
            return []
        self._turned_at += turns * ROUND_SECONDS / waiting
        look = []
        for _ in range(min(turns, waiting)):
            process = self._round.popleft()
            if self.table.get(process.id.pid) is process:
                self._round.append(process)
                look.append(process)
        return look
