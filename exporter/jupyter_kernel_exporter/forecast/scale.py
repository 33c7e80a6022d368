"""The newest past of a kernel at one coarseness: blocks with their highest and lowest use."""

import math
from array import array

from jupyter_kernel_exporter.forecast.growth import Growth, steady_growths

BLOCKS = 16
STALL_SECONDS = 3.5
"""Growth that adds nothing for so long has ended..."""
STALL_FACTOR = 1.5
"""...unless it has made longer rests before: then so many times the second longest of them."""


class Scale:
    """Sixteen blocks, and what is left of those before them."""

    __slots__ = (
        "fall",
        "fall_before",
        "gap",
        "gaps",
        "growths",
        "half",
        "highs",
        "lows",
        "patience",
        "times",
        "top",
        "top_at",
        "visited",
        "visited_before",
    )

    def __init__(self, finer: "Scale | None", t: float, high: float) -> None:
        self.times = array("d")
        """When each block ended, seconds."""
        self.highs = array("d")
        self.lows = array("d")
        self.gaps = array("d")
        """The longest time without a new top that ended in each block."""
        self.half: tuple[float, float] | None = None
        """High and low of the first half of a block of the next coarser scale."""
        self.visited = -math.inf
        self.visited_before = -math.inf
        """The highest use before these blocks, lately and before."""
        self.fall = 0.0
        self.fall_before = 0.0
        """The deepest fall of the lowest use within sixteen blocks, lately and before."""
        self.top: float = finer.top if finer else high
        self.top_at: float = finer.top_at if finer else t
        """The highest use in these blocks and since, and when it was reached."""
        self.gap = 0.0
        self.patience = STALL_SECONDS
        """How long after the last new top growth is still believed to go on, seconds."""
        self.growths: list[Growth] = []

    def rise(self, t: float, high: float) -> None:
        """A new top."""
        self.gap = max(self.gap, t - self.top_at)
        self.top = high
        self.top_at = t

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
                self.top = max(highs)
                self.top_at = times[highs.index(self.top)]
        self.fall = max(self.fall, max(lows) - low)
        # Second longest: one rest may be any, two are a habit.
        self.patience = STALL_SECONDS
        if len(gaps) > 1:
            self.patience += STALL_FACTOR * sorted(gaps)[-2]
        before = max(self.visited, self.visited_before)
        self.growths = (
            steady_growths(times, highs, lows, before, finest=finest) if high > before else []
        )

    def forget(self) -> None:
        """What was visited long ago says nothing any more."""
        self.visited_before, self.visited = self.visited, -math.inf
        self.fall_before, self.fall = self.fall, 0.0
