"""The newest past of a kernel at one coarseness: blocks with their highest and lowest use."""

import math
from array import array

from jupyter_kernel_exporter.forecast.growth import Growth, steady_growths

BLOCKS = 16
LEAST_PACE = 0.1
"""Use climbs if it is at a new top, and came there from the last one at this share of its mean pace
over the sixteen blocks. After a load it does not stand quite still, and makes new tops as well."""


class Scale:
    """Sixteen blocks, and what is left of those before them."""

    __slots__ = (
        "climbed_at",
        "climbed_to",
        "fall",
        "fall_before",
        "gap",
        "gaps",
        "growths",
        "half",
        "highs",
        "lows",
        "pace",
        "times",
        "top",
        "visited",
        "visited_before",
    )

    def __init__(self, finer: "Scale | None", t: float, high: float) -> None:
        self.times = array("d")
        """When each block ended, seconds."""
        self.highs = array("d")
        self.lows = array("d")
        self.gaps = array("d")
        """The longest rest, seconds without climbing, that ended in each block."""
        self.half: tuple[float, float] | None = None
        """High and low of the first half of a block of the next coarser scale."""
        self.visited = -math.inf
        self.visited_before = -math.inf
        """The highest use before these blocks, lately and before."""
        self.fall = 0.0
        self.fall_before = 0.0
        """The deepest fall of the lowest use within sixteen blocks, lately and before."""
        self.top: float = finer.top if finer else high
        """The highest use in these blocks and since."""
        self.climbed_to: float = finer.climbed_to if finer else high
        self.climbed_at: float = finer.climbed_at if finer else t
        """Where use was when it last climbed, and when."""
        self.pace = 0.0
        """The mean over the sixteen blocks, bytes a second; 0 while it falls."""
        self.gap = 0.0
        self.growths: list[Growth] = []

    def rise(self, t: float, high: float) -> None:
        """A new top."""
        self.top = high
        rested = t - self.climbed_at
        if high - self.climbed_to >= LEAST_PACE * self.pace * rested:
            self.gap = max(self.gap, rested)
            self.climbed_to, self.climbed_at = high, t

    def push(self, t: float, high: float, low: float, *, finest: bool) -> None:
        """A block is complete."""
        times, highs, lows, gaps = self.times, self.highs, self.lows, self.gaps
        times.append(t)
        highs.append(high)
        lows.append(low)
        gaps.append(self.gap)
        self.gap = 0.0
        if len(times) > BLOCKS:
            gone = highs[0]
            del times[0], highs[0], lows[0], gaps[0]
            self.visited = max(self.visited, gone)
            if gone >= self.top:
                self.top = self.climbed_to = max(highs)
                self.climbed_at = times[highs.index(self.top)]
        self.fall = max(self.fall, max(lows) - low)
        before = max(self.visited, self.visited_before)
        self.growths = (
            steady_growths(times, highs, lows, gaps, before, finest=finest) if high > before else []
        )
        self.pace = (high - highs[0]) / (t - times[0]) if high > highs[0] else 0.0

    def forget(self) -> None:
        """What was visited long ago says nothing any more."""
        self.visited_before, self.visited = self.visited, -math.inf
        self.fall_before, self.fall = self.fall, 0.0
