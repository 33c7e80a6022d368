"""Samples of memory -> seconds until it is used up. Pure: no clock, no I/O.

Memory does not grow in one way, so it is looked at through eleven windows, from seconds to hours
(``scale``). In each window growth has to be steady, and has to go on (``growth``). Growth is
believed for about as long again as it has lasted, and only where it breaks new ground: a kernel
that went up to a level and came back does so again. docs/forecast.md tells what that was measured
to do.
"""

import math

from jupyter_kernel_exporter.forecast.growth import seconds_left
from jupyter_kernel_exporter.forecast.scale import Scale

__all__ = ["MemoryForecast"]

SCALES = 11
"""Each is twice as coarse as the one before; at a sample a second the last sees over four hours."""
NEAREST_SECONDS = 0.5
"""Samples nearer than this to the last one are seen together with the next."""
LONGEST_GAP_SECONDS = 10.0
"""Of a time without samples, no more than this counts as time without growth."""
MEMORY_SECONDS = 4 * 3600.0
"""Levels that were visited are remembered this long, and at most twice as long."""
FARTHEST_SECONDS = 1e15
"""No clock shows this; beyond, a second is lost in rounding."""
REWINDS = 3
"""After so many samples in a row from before the last one, the clock was set back."""


class MemoryForecast:
    """One kernel's past, as far as it says when memory will be used up.

    Some 15 KiB, three times that while it grows, and constant time per sample, however long it
    runs.
    """

    __slots__ = (
        "_forget_at",
        "_high",
        "_low",
        "_rewinds",
        "_scales",
        "_shift",
        "_taken_at",
        "_time",
        "_used",
    )

    def __init__(self) -> None:
        self._scales: list[Scale] = []
        self._time = -math.inf
        """Of the newest sample."""
        self._shift = 0.0
        """What is added to given times since the clock was set back."""
        self._rewinds = 0
        self._used = 0.0
        self._high = -math.inf
        self._low = math.inf
        """Of the samples not yet given to the scales."""
        self._taken_at = -math.inf
        """When samples were last given to the scales."""
        self._forget_at = -math.inf

    def observe(self, t_seconds: float, used_bytes: float) -> None:
        """Take note of a sample, about once a second; gaps are all right.

        Samples that say nothing (not a number, negative) are passed over. Times may come from any
        clock that goes forward; when it is set back, what was seen before still counts.
        """
        if not (abs(t_seconds) < FARTHEST_SECONDS and 0.0 <= used_bytes < math.inf):
            return
        t = t_seconds + self._shift
        if t <= self._time:
            self._rewinds += 1
            if self._rewinds < REWINDS:
                return
            self._shift += self._time + 1.0 - t
            t = self._time + 1.0
        self._rewinds = 0
        gap = t - self._time
        self._time = t
        self._used = used_bytes
        self._high = max(self._high, used_bytes)
        self._low = min(self._low, used_bytes)
        if t - self._taken_at < NEAREST_SECONDS:
            return
        if gap > LONGEST_GAP_SECONDS:  # nobody looked: that is no rest of the kernel
            for scale in self._scales:
                scale.climbed_at += gap - LONGEST_GAP_SECONDS
        self._taken_at = t
        self._take(t, self._high, self._low)
        self._high, self._low = -math.inf, math.inf

    def seconds_to_exhaustion(self, limit_bytes: float) -> float:
        """Seconds from the newest sample until ``limit_bytes`` are used.

        Infinite where nothing says that they will be; 0 where they are, and where a peak as high
        as those before would reach them now. A larger limit is never reached sooner.
        """
        if self._time == -math.inf or math.isnan(limit_bytes):
            return math.inf
        used = self._used
        if used >= limit_bytes:
            return 0.0
        now = self._time
        soonest = math.inf
        for scale in self._scales:
            rested = now - scale.climbed_at
            for growth in scale.growths:
                if (
                    rested <= growth.patience
                    and used >= growth.floor
                    and limit_bytes - max(growth.top, used) <= growth.reach
                ):
                    fall = max(scale.fall, scale.fall_before)
                    soonest = min(soonest, seconds_left(growth, limit_bytes, used, now, fall))
        return soonest

    def _take(self, t: float, high: float, low: float) -> None:
        """Give a sample to every scale whose turn it is."""
        if t >= self._forget_at:
            self._forget_at = t + MEMORY_SECONDS
            for scale in self._scales:
                scale.forget()
        for scale in self._scales:
            if high <= scale.top:
                break  # a coarser scale looks further back: its top is no lower
            scale.rise(t, high)
        for level in range(SCALES):
            if level == len(self._scales):
                self._scales.append(Scale(self._scales[-1] if level else None, t, high))
            scale = self._scales[level]
            scale.push(t, high, low, finest=level == 0)
            if scale.half is None:
                scale.half = (high, low)
                return
            high, low = max(high, scale.half[0]), min(low, scale.half[1])
            scale.half = None
