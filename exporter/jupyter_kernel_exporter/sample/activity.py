"""Whether a kernel works, judged from its CPU time."""

from typing import Protocol

from jupyter_kernel_exporter.model import State

BUSY_SHARE = 0.1
"""Share of one CPU from which a kernel counts as busy; an idle ipykernel takes 0.002 to 0.01."""
WINDOW_SECONDS = 0.5
"""Shortest time over which CPU use is judged: it comes in clock ticks of 10 ms."""


class Moment(Protocol):
    """When something was looked at."""

    @property
    def now(self) -> float:
        """Seconds since the epoch."""

    @property
    def monotonic(self) -> float:
        """Seconds that no clock step moves."""


class Activity:
    """State, time of the last activity and busy time of one kernel.

    CPU time knows nothing of cells: one that sleeps or waits for a disk looks idle, and so does a
    kernel that is stopped.
    """

    def __init__(self, started_at: float) -> None:
        self.state = State.UNKNOWN
        self.last_at = started_at
        """Seconds since the epoch; the start, until something happened."""
        self.busy_seconds = 0.0
        self._mark: tuple[float, float] | None = None

    def update(self, ready: bool | None, cpu_seconds: float, when: Moment) -> None:
        """Judge from the CPU time that the kernel and its descendants used up to ``when``."""
        if self._mark is None:
            self._mark = (when.monotonic, cpu_seconds)
        since, cpu_before = self._mark
        elapsed = when.monotonic - since
        if elapsed >= WINDOW_SECONDS:
            busy = cpu_seconds - cpu_before >= BUSY_SHARE * elapsed
            self._mark = (when.monotonic, cpu_seconds)
            if busy:
                self.busy_seconds += elapsed
                self.last_at = when.now
            self.state = State.BUSY if busy else State.IDLE
        if ready is False:
            self.state = State.STARTING
