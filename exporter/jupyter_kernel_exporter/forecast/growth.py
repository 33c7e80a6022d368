"""What steady growth is, how long it is believed to go on, and when it then reaches a limit."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

WINDOWS = (15, 13, 11, 9, 7, 6, 5, 4)
"""Blocks that a window is long. Of each coarser scale as well, so any length is met within 1/4."""
SPREAD = 0.5
"""The lowest use has to rise by at least this share of what the highest rises by."""
FALL = 0.02
BLOCKS_PER_FALL = 5
"""In so many blocks the lowest use may once fall below that of the block before, by more than this
share of the rise. Valleys climb with the growth; below what wanders to a new top they do not."""
KEPT = 0.8
"""If less than this share of the rise is left, it is undone."""
SCATTER = 0.25
"""Peaks in the window may lie above the line that ends at the last one. The next ones will, too: so
the limit is met sooner, but by no more than this share of the rise."""
LATE = 0.2
EARLY = 0.2
"""Each quarter of the second half has to grow by this share of the mean; so has the first half."""
STRICT_LATE = 0.3
STRICT_EARLY = 0.1
"""The same for the four newest samples, where each quarter is asked."""
LATE_START = 0.5
"""A window whose first quarter has less than this share of the mean began before the growth."""
SLOWING = 0.75
HASTENING = 1.15
MOST_HASTENING = 1.5
"""How much quarters have to differ for growth to be one that slows or hastens."""
STRAIGHT_POWER = 3.0
"""Growth that wanders counts less: to this power of net growth over the way that it went."""
MARGIN = 0.05
MOST_MARGIN = 0.3
"""New ground begins so much of the deepest fall, at most so much of the rest, above the old top."""
STALL_SECONDS = 3.5
"""Growth that does not climb for so long has ended..."""
STALL_FACTOR = 1.5
"""...unless it has made longer rests before: then so many times the second longest of them, for one
rest may be any, and two are a habit."""
LEAST_AGED = 0.6
"""A rest since the window ended brings the end nearer, but leaves at least this share of it."""


class Growth(NamedTuple):
    """Steady growth in one window. Bytes and seconds."""

    weight: float
    """How long it has lasted, less if it wandered, seconds."""
    rate: float
    """Bytes a second, at the end of the window."""
    ratio: float
    """What ``rate`` is multiplied by in each further half window; 1 for a straight line."""
    half: float
    """The second half of the window, seconds."""
    end: float
    """The highest use at the end of the window, bytes."""
    ended_at: float
    rise: float
    """Of the highest use, from the first block to the last, bytes."""
    before: float
    """The highest use before the window, bytes."""
    floor: float
    """Use below this undoes the growth, bytes."""
    reach: float
    """What it may still bring while it is believed, bytes."""
    top: float
    """``end``, or as high as peaks like the highest of the window would reach by then, bytes."""
    patience: float
    """For how long it may rest, seconds."""


def believed_seconds(lasted: float) -> float:
    """For how long growth that has lasted is believed to go on.

    Growth that may end at any time goes on for as long again in one of two cases. An alarm of
    seconds costs little, so a balloon is believed early; an alarm of minutes has to be earned by
    growth of an hour.
    """
    if lasted > 3600.0:
        return 720.0 + 0.5 * (lasted - 3600.0)
    return max(min(3.0 * lasted, 25.0), min(2.2 * lasted, 100.0), 0.2 * lasted)


def steady_growths(
    times: Sequence[float],
    highs: Sequence[float],
    lows: Sequence[float],
    gaps: Sequence[float],
    before: float,
    *,
    finest: bool,
) -> list[Growth]:
    """The windows up to the newest block in which use grew steadily, and above all ``before``."""
    found: list[Growth] = []
    last = len(times) - 1
    end, end_low, ended_at = highs[last], lows[last], times[last]
    ways: list[float] = []
    falls: list[float] = []
    deepest = 0.0
    seen = 0
    for blocks in WINDOWS:
        first = last - blocks
        if first < 0:
            continue
        if seen < first:
            before = max(before, *highs[seen:first])
            seen = first
        if end <= before:
            break
        rise = end - highs[first]
        if rise <= 0.0 or end_low - lows[first] < SPREAD * rise:
            continue
        if not falls:
            falls = [a - b for a, b in pairwise(lows)]
            deepest = max(falls)
        if deepest > FALL * rise:
            fell = sum([fall > FALL * rise for fall in falls[first:]])
            if fell > blocks // BLOCKS_PER_FALL:
                continue
        pace = steady_pace(times, highs, first, last, strict=finest and blocks == WINDOWS[-1])
        if pace is None:
            continue
        rate, ratio, half = pace
        ways = ways or list(accumulate((abs(b - a) for a, b in pairwise(highs)), initial=0.0))
        straight = rise / max(rise, ways[last] - ways[first])
        weight = (ended_at - times[first]) * math.pow(straight, STRAIGHT_POWER)
        floor = lows[first] + KEPT * rise
        reach = gain(rate, ratio, half, believed_seconds(weight) / LEAST_AGED)
        top = end
        if ratio == 1.0:
            top = min(peak_ahead(times, highs, first, last, rate), end + SCATTER * rise)
        patience = STALL_SECONDS + STALL_FACTOR * sorted(gaps[first + 1 :])[-2]
        found.append(
            Growth(
                weight, rate, ratio, half, end, ended_at, rise, before, floor, reach, top, patience
            )
        )
    return found


def steady_pace(
    times: Sequence[float], highs: Sequence[float], first: int, last: int, *, strict: bool
) -> tuple[float, float, float] | None:
    """Rate, ratio and half of a :class:`Growth` if each part of the window has its share in it."""
    blocks = last - first
    early, middle, late = first + blocks // 4, first + blocks // 2, first + 3 * blocks // 4
    mean = (highs[last] - highs[first]) / (times[last] - times[first])
    four = (highs[last] - highs[late]) / (times[last] - times[late])
    three = (highs[late] - highs[middle]) / (times[late] - times[middle])
    least = (STRICT_LATE if strict else LATE) * mean
    if four < least or three < least:
        return None
    two = (highs[middle] - highs[early]) / (times[middle] - times[early])
    one = (highs[early] - highs[first]) / (times[early] - times[first])
    if one < 0.0 or one + two < EARLY * mean or (strict and min(one, two) < STRICT_EARLY * mean):
        return None
    half = times[last] - times[middle]
    rate = (highs[last] - highs[middle]) / half
    ratio = 1.0
    hastens = 0.0 < one < two and three > HASTENING * two and four > HASTENING * three
    if two > three > four and four < SLOWING * two:
        ratio = four / two
    elif one < LATE_START * mean and four < SLOWING * three:
        ratio = (four / three) ** 2
    elif hastens and blocks > WINDOWS[-2]:
        ratio = min((four / three) ** 2, MOST_HASTENING)
    elif rate > 1.2 * mean:
        rate = max(rate, four)
    else:
        rate = (rate + mean) / 2
    return rate, ratio, half


def peak_ahead(
    times: Sequence[float], highs: Sequence[float], first: int, last: int, rate: float
) -> float:
    """How high a peak like the highest of the window would be at its end, bytes."""
    blocks = last - first
    quarter = first + blocks // 4
    rise = highs[last] - highs[first]
    late = highs[quarter] - highs[first] < LATE_START * rise * (quarter - first) / blocks
    # Before the growth nothing has to do with its line.
    begin = first + blocks // 2 if late else first
    peaks = zip(highs[begin:], times[begin:], strict=True)
    highest = max([high - rate * time for high, time in peaks]) + rate * times[last]
    return max(highs[last], highest)


def gain(rate: float, ratio: float, half: float, seconds: float) -> float:
    """Bytes that growth brings in some time."""
    if ratio == 1.0:
        return rate * seconds
    halves = min(seconds / half, 100.0)
    return rate * half * ratio * (math.pow(ratio, halves) - 1.0) / (ratio - 1.0)


def time_to(growth: Growth, bytes_left: float) -> float:
    """The inverse of :func:`gain`; ``inf`` where slowing growth never brings that much."""
    rate, ratio, half = growth.rate, growth.ratio, growth.half
    if ratio == 1.0:
        return bytes_left / rate
    part = 1.0 + bytes_left * (ratio - 1.0) / (rate * half * ratio)
    return half * math.log(part) / math.log(ratio) if part > 0.0 else math.inf


def seconds_left(growth: Growth, limit: float, used: float, now: float, fall: float) -> float:
    """Seconds until ``growth`` reaches the limit; ``inf`` if it is not believed for so long.

    ``fall`` is the deepest fall that valleys made in such a time, bytes. Who goes up and down as
    far as that also goes a little over the old top, and it is no news.
    """
    room = max(0.0, limit - growth.before)
    new = (growth.end - growth.before - min(MARGIN * fall, MOST_MARGIN * room)) / growth.rise
    if new <= 0.0:
        return math.inf
    on_line = time_to(growth, limit - growth.top) - (now - growth.ended_at)
    left = time_to(growth, max(0.0, limit - max(growth.top, used)))
    left = min(left, max(LEAST_AGED * left, on_line))
    return left if left <= believed_seconds(growth.weight * min(1.0, new)) else math.inf
