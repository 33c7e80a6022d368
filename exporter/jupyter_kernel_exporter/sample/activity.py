"""Whether a kernel works: by its own words where somebody listens, else by CPU time and memory."""

from typing import Protocol

from jupyter_kernel_exporter.model import Said, State

BUSY_SHARE = 0.1
"""Share of one CPU from which a kernel counts as busy; an idle ipykernel takes 0.002 to 0.01."""
BUSY_BYTES = 512 << 10
"""Memory that it takes in a second, from which it counts as busy: a leak may cost next to no CPU,
and the memory of an idle kernel stands still but for some pages."""
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


def tells(said: Said) -> bool:
    """Whether a kernel that is listened to has said yet what it does."""
    return said.busy_seconds is not None and said.state is not State.UNKNOWN


class Activity:
    """State, time of the last activity and busy time of one kernel.

    CPU time and memory know nothing of cells: one that sleeps or waits for a disk looks idle, and
    so does a kernel that is stopped.
    """

    def __init__(self, started_at: float) -> None:
        self.state = State.UNKNOWN
        self.last_at = started_at
        """Seconds since the epoch; the start, until something happened."""
        self.busy_seconds = 0.0
        self._mark: tuple[float, float, int] | None = None
        """When it was last judged, with the CPU seconds and the memory of then."""
        self._said_busy: float | None = None
        """Busy seconds by its own words, at the last look."""

    def update(
        self,
        ready: bool | None,
        cpu_seconds: float,
        memory_bytes: int,
        when: Moment,
        said: Said | None = None,
    ) -> None:
        """Judge from what it says, or from CPU time and memory of it and its descendants.

        Busy time goes on where the other source left it: it never goes down.
        """
        if said is not None and tells(said):
            self._listen(said, said.busy_seconds or 0.0)
            if said.state is State.STARTING and ready:
                # It says so once, and no more until somebody asks it for something.
                self.state = State.IDLE
            self._mark = (when.monotonic, cpu_seconds, memory_bytes)
            return
        self._said_busy = None
        if self._mark is None:
            self._mark = (when.monotonic, cpu_seconds, memory_bytes)
        since, cpu_before, memory_before = self._mark
        elapsed = when.monotonic - since
        if elapsed >= WINDOW_SECONDS:
            busy = (
                cpu_seconds - cpu_before >= BUSY_SHARE * elapsed
                or memory_bytes - memory_before >= BUSY_BYTES * elapsed
            )
            self._mark = (when.monotonic, cpu_seconds, memory_bytes)
            if busy:
                self.busy_seconds += elapsed
                self.last_at = when.now
            self.state = State.BUSY if busy else State.IDLE
        if ready is False:
            self.state = State.STARTING

    def rested(self, until: float) -> None:
        """It has spent no CPU time up to ``until``, on the clock of :attr:`Moment.monotonic`."""
        if self._mark is not None and until > self._mark[0]:
            self._mark = (until, *self._mark[1:])

    def _listen(self, said: Said, busy_seconds: float) -> None:
        self.state = said.state
        if self._said_busy is not None:
            self.busy_seconds += max(0.0, busy_seconds - self._said_busy)
        self._said_busy = busy_seconds
        if said.last_activity_at is not None:
            self.last_at = max(self.last_at, said.last_activity_at)
