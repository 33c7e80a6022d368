"""What each kernel used lately, in memory: two hours, a point every ten seconds.

All kernels share one row of moments, a ring; each has three rings of 4-byte floats beside it, NaN
where nothing is known. That is less than 12 KiB a kernel, and nothing grows. Floats of 4 bytes hold
7 digits: a memory of 8 GiB to the KiB.
"""

import math
import threading
from array import array
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jupyter_kernel_exporter.model import LiveKernel, ProcessId, Snapshot

NAN = math.nan

GROWTH_SPAN_SECONDS = 300.0
"""How far back growth is looked for: long enough for a loop's rhythm, short enough to be news."""
GROWTH_LEAST_SECONDS = 30.0
"""Of less than this nobody can tell a growth from a start."""


class Point(NamedTuple):
    """What a kernel used at one moment."""

    taken_at: float
    """Seconds since the epoch."""
    memory_bytes: int
    """Resident memory of the kernel and its descendants."""
    cpu_cores: float | None
    """Processors in use, on average since the point before."""
    headroom_bytes: int | None
    """What was left below the tightest limit."""


class _Look(NamedTuple):
    """A kernel's processor time at one moment, to make a rate of two."""

    process: ProcessId
    taken_at: float
    cpu_seconds: float


class _Rings:
    """One kernel's history."""

    __slots__ = ("cpu", "headroom", "look", "memory", "seen_at", "since")

    def __init__(self, size: int) -> None:
        self.memory = array("f", (NAN,)) * size
        self.cpu = array("f", (NAN,)) * size
        self.headroom = array("f", (NAN,)) * size
        self.look: _Look | None = None
        self.seen_at = NAN
        self.since = NAN
        """First point of the present process without a gap after it."""

    def write(self, at: int, live: LiveKernel, look: _Look) -> None:
        if self.look is None or self.look.process != look.process:
            self.since = look.taken_at
        rate = _rate(self.look, look)
        sample = live.sample
        self.memory[at] = sample.rss_bytes + sample.children_rss_bytes
        self.cpu[at] = NAN if rate is None else rate
        self.headroom[at] = min((limit.headroom_bytes for limit in live.limits), default=NAN)
        self.look = look
        self.seen_at = look.taken_at

    def leave_out(self, at: int) -> None:
        self.memory[at] = self.cpu[at] = self.headroom[at] = NAN
        self.look = None


class Recent:
    """The recent past of every kernel. One thread appends, any thread reads."""

    def __init__(
        self,
        step_seconds: float = 10.0,
        span_seconds: float = 7200.0,
        keep_seconds: float = 900.0,
        most_kernels: int = 2000,
    ) -> None:
        self.step_seconds = step_seconds
        self.span_seconds = span_seconds
        self.keep_seconds = keep_seconds
        self.most_kernels = most_kernels
        self._size = int(span_seconds / step_seconds)
        self._moments = array("d", (NAN,)) * self._size
        self._newest = NAN
        self._rings: dict[str, _Rings] = {}
        self._pair = (Snapshot(NAN), Snapshot(NAN))
        """The newest snapshot, after the one before."""
        self._cpu_cores: Mapping[str, float] | None = None
        self._growth: Mapping[str, float] | None = None
        self._lock = threading.Lock()

    @property
    def cpu_cores(self) -> Mapping[str, float]:
        """Processors that each live kernel used between the last two snapshots, by kernel id."""
        with self._lock:
            if self._cpu_cores is None:
                before, newest = (_looks(snapshot) for snapshot in self._pair)
                rates = {name: _rate(before.get(name), look) for name, look in newest.items()}
                self._cpu_cores = MappingProxyType(
                    {name: rate for name, rate in rates.items() if rate is not None}
                )
            return self._cpu_cores

    @property
    def memory_growth(self) -> Mapping[str, float]:
        """Bytes a second by which each live kernel grew in the last five minutes, by kernel id.

        Negative where it shrank. Kernels that are known for less than half a minute are left out.
        """
        with self._lock:
            if self._growth is None:
                self._growth = MappingProxyType(dict(self._grow()))
            return self._growth

    def append(self, snapshot: Snapshot) -> None:
        """Take in the newest snapshot."""
        slot = int(snapshot.taken_at // self.step_seconds)
        with self._lock:
            self._pair = (self._pair[1], snapshot)
            self._cpu_cores = None
            if math.isnan(self._newest) or slot != int(self._newest // self.step_seconds):
                self._write(slot % self._size, snapshot, _looks(snapshot))

    def points(self, kernel_id: str) -> list[Point] | None:
        """The history of a kernel, oldest first; ``None`` if none is kept."""
        with self._lock:
            rings = self._rings.get(kernel_id)
            if rings is None:
                return None
            moments, newest = self._moments[:], self._newest
            memory, cpu, headroom = rings.memory[:], rings.cpu[:], rings.headroom[:]
        return sorted(
            Point(moment, int(memory[at]), _known(cpu[at]), _known_int(headroom[at]))
            for at, moment in enumerate(moments)
            # A slot that was passed over (a machine asleep) still holds an older lap.
            if newest - self.span_seconds < moment <= newest and math.isfinite(memory[at])
        )

    def _write(self, at: int, snapshot: Snapshot, looks: Mapping[str, _Look]) -> None:
        """Fill one slot of every ring."""
        self._forget(snapshot, looks)
        self._growth = None
        self._moments[at] = self._newest = snapshot.taken_at
        for kernel_id, rings in self._rings.items():
            if kernel_id not in looks:
                rings.leave_out(at)
        for live in snapshot.kernels:
            if live.kernel.id in self._rings:
                look = looks[live.kernel.id]
                self._rings[live.kernel.id].write(at, live, look)

    def _grow(self) -> Iterator[tuple[str, float]]:
        """Growth of all that are in the newest point: worked out when asked for, once a point."""
        if math.isnan(self._newest):
            return
        now = int(self._newest // self.step_seconds) % self._size
        steps = min(int(GROWTH_SPAN_SECONDS / self.step_seconds), self._size - 1)
        # From the farthest on: the first one that a kernel has is where its growth begins.
        before = [(now - back) % self._size for back in range(steps, 0, -1)]
        oldest = self._newest - GROWTH_SPAN_SECONDS - self.step_seconds
        before = [at for at in before if oldest <= self._moments[at] < self._newest]
        for kernel_id, rings in self._rings.items():
            if rings.seen_at != self._newest:
                continue
            at = next((at for at in before if self._moments[at] >= rings.since), now)
            seconds = self._newest - self._moments[at]
            if seconds >= GROWTH_LEAST_SECONDS:
                yield kernel_id, (rings.memory[now] - rings.memory[at]) / seconds

    def _forget(self, snapshot: Snapshot, looks: Mapping[str, _Look]) -> None:
        """Drop those gone too long; make room for new kernels, the longest gone first."""
        oldest = snapshot.taken_at - self.keep_seconds
        gone = [
            (rings.seen_at, kernel_id)
            for kernel_id, rings in self._rings.items()
            if kernel_id not in looks
        ]
        new = [kernel_id for kernel_id in looks if kernel_id not in self._rings]
        room = self.most_kernels - len(self._rings)
        for seen_at, kernel_id in sorted(gone):
            if seen_at < oldest or room < len(new):
                del self._rings[kernel_id]
                room += 1
        for kernel_id in new[: max(room, 0)]:
            self._rings[kernel_id] = _Rings(self._size)


def _looks(snapshot: Snapshot) -> dict[str, _Look]:
    return {live.kernel.id: _look(live, snapshot.taken_at) for live in snapshot.kernels}


def _look(live: LiveKernel, taken_at: float) -> _Look:
    sample = live.sample
    cpu_seconds = sample.cpu_user_seconds + sample.cpu_system_seconds
    return _Look(live.kernel.process, taken_at, cpu_seconds)


def _rate(before: _Look | None, after: _Look) -> float | None:
    """Processors in use between two looks; unknown across a restart or a clock set back."""
    if before is None or before.process != after.process or after.taken_at <= before.taken_at:
        return None
    spent = after.cpu_seconds - before.cpu_seconds
    return spent / (after.taken_at - before.taken_at) if spent >= 0 else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _known_int(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
