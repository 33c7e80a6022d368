"""Families of traces that end at their limit."""

import math
import random
from bisect import bisect_right
from collections.abc import Callable

from forecast_traces import Family, Shape


def start(rng: random.Random, most: float = 0.85) -> float:
    """The level that growth begins at."""
    return rng.choice((rng.uniform(0.05, 0.3), rng.uniform(0.05, most)))


def seconds(rng: random.Random, low: float, high: float) -> float:
    """A time from a range, each power of ten as likely as another."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def after_rest(
    rng: random.Random, length: float, level: Callable[[float], float], most_rest: float = 600.0
) -> Shape:
    """The shape after a rest on its first level, or at once."""
    rest = rng.choice((0.0, seconds(rng, 10.0, most_rest)))
    return Shape(rest + length, lambda t: level(max(0.0, t - rest)), onset=rest)


def balloon(rng: random.Random) -> Shape:
    """One expression that fills everything within half a minute or so."""
    low = start(rng, 0.5)
    length = rng.uniform(15.0, 40.0) * (1 - low) / 0.95
    return after_rest(rng, length + 2, lambda t: low + (1 - low) * t / length)


def ramp(rng: random.Random) -> Shape:
    """A steady growth of minutes."""
    low = start(rng)
    length = seconds(rng, 40.0, 1200.0)
    return after_rest(rng, length + 2, lambda t: low + (1 - low) * t / length)


def leak(rng: random.Random) -> Shape:
    """A steady growth of hours, under noise as large as minutes of it."""
    low = start(rng)
    length = seconds(rng, 1200.0, 18000.0)
    sigma = rng.choice((0.0, 0.002, 0.01))

    return Shape(length * 1.1, lambda t: low + (1 - low) * t / length + rng.gauss(0, sigma))


def staircase(rng: random.Random) -> Shape:
    """Growth in steps, each a few seconds to five minutes after the last."""
    low = start(rng, 0.7)
    every = seconds(rng, 10.0, 300.0)
    steps = rng.randint(5, 40)
    wobble = rng.choice((0.0, 0.1, 0.3))
    rise = rng.choice((0.1, 1.0, min(5.0, every / 3)))
    at = [every * (k + 1 + wobble * (rng.random() - 0.5)) for k in range(steps + 2)]
    size = [(1 - low) / steps * (1 + wobble * (rng.random() - 0.5)) for _ in at]

    def level(t: float) -> float:
        return low + sum(
            s * min(1.0, (t - a) / rise) for a, s in zip(at, size, strict=True) if t > a
        )

    return Shape(at[-1] + 2, level)


def rising_sawtooth(rng: random.Random) -> Shape:
    """Up and down with the garbage collector, each time from a higher valley to a higher peak."""
    low = start(rng, 0.6)
    period = seconds(rng, 5.0, 1200.0)
    cycles = rng.uniform(6.0, 60.0 if period < 300 else 12.0)
    swing = rng.uniform(0.02, 0.6) * (1 - low)
    fall = rng.choice((0.02, 0.1, 0.5))
    wobble = rng.choice((0.0, 0.05))
    slope = (1 - low - swing) / (cycles * period)
    heights = [swing * (1 + wobble * rng.gauss(0, 1)) for _ in range(int(cycles * 1.5) + 3)]

    def level(t: float) -> float:
        cycle, phase = divmod(t / period, 1.0)
        tooth = phase / (1 - fall) if phase < 1 - fall else (1 - phase) / fall
        return low + slope * t + heights[min(int(cycle), len(heights) - 1)] * tooth

    return Shape(cycles * period * 1.3 + 10, level)


def acceleration(rng: random.Random) -> Shape:
    """Faster and faster: doubling, or with the square of time."""
    low = start(rng, 0.6)
    length = seconds(rng, 30.0, 3600.0)
    if rng.random() < 0.5:
        rate = rng.uniform(1.5, 5.0) / length
        scale = (1 - low) / math.expm1(rate * length)
        return after_rest(rng, length + 2, lambda t: low + scale * math.expm1(rate * t))
    power = rng.uniform(1.5, 3.0)
    return after_rest(rng, length + 2, lambda t: low + (1 - low) * (t / length) ** power)


def pauses(rng: random.Random) -> Shape:
    """Growth that rests for minutes, and goes on."""
    low = start(rng, 0.6)
    growing = seconds(rng, 60.0, 3600.0)
    rests = sorted(rng.uniform(0.1, 0.85) * growing for _ in range(rng.randint(1, 4)))
    lengths = [seconds(rng, 40.0, 400.0) for _ in rests]

    def level(t: float) -> float:
        for at, length in zip(rests, lengths, strict=True):
            t = t if t < at else max(at, t - length)
        return low + (1 - low) * t / growing

    # What counts is how it is seen after the last rest.
    return Shape(growing + sum(lengths) + 2, level, onset=rests[-1] + sum(lengths))


def load_then_leak(rng: random.Random) -> Shape:
    """A large read, some rest, then a leak on top."""
    low, high = rng.uniform(0.03, 0.2), rng.uniform(0.3, 0.75)
    load, rest = seconds(rng, 2.0, 120.0), seconds(rng, 20.0, 900.0)
    length = seconds(rng, 60.0, 5400.0)

    def level(t: float) -> float:
        if t < load:
            return low + (high - low) * t / load
        return high + max(0.0, t - load - rest) * (1 - high) / length

    return Shape(load + rest + length + 2, level, onset=load + rest)


def peaks_then_leak(rng: random.Random) -> Shape:
    """Bursts that return, and one day a leak under them."""
    low = rng.uniform(0.05, 0.3)
    bursts = [(rng.uniform(60.0, 900.0), rng.uniform(0.1, 0.6) * (1 - low)) for _ in range(4)]
    up = seconds(rng, 2.0, 40.0)
    length = seconds(rng, 120.0, 5400.0)

    def level(t: float) -> float:
        peak = max((h * max(0.0, 1 - abs(t - at) / up) for at, h in bursts), default=0.0)
        return low + max(peak, (t - 1000.0) / length * (1 - low))

    return Shape(1000.0 + length + 2, level, onset=1000.0)


def random_growth(rng: random.Random) -> Shape:
    """Allocations of random sizes at random times that nobody gives back."""
    low = start(rng, 0.6)
    length = seconds(rng, 60.0, 5400.0)
    count = rng.randint(40, 400)
    at = sorted(rng.uniform(0, length * 1.3) for _ in range(int(count * 1.3)))
    heights = [0.0]
    for _ in at:
        heights.append(heights[-1] + rng.expovariate(1.0))
    scale = (1 - low) / count
    return Shape(length * 2, lambda t: low + scale * heights[bisect_right(at, t)])


def epochs(rng: random.Random) -> Shape:
    """A training loop: each epoch takes and gives back a large part, and keeps a little."""
    low = start(rng, 0.4)
    period = seconds(rng, 20.0, 300.0)
    total = rng.randint(8, 40)
    working = rng.uniform(0.1, 0.5) * (1 - low)
    kept = (1 - low - working) / total
    busy = rng.uniform(0.4, 0.9)

    def level(t: float) -> float:
        epoch, phase = divmod(t / period, 1.0)
        return low + kept * epoch + (working * min(1.0, phase * 8) if phase < busy else 0.0)

    return Shape(period * (total + 3), level)


def retreating_leak(rng: random.Random) -> Shape:
    """A leak from which a collection now and then takes back a part of what came."""
    low = start(rng, 0.5)
    length = seconds(rng, 300.0, 7200.0)
    now = low
    back = rng.uniform(0.0, 0.4)
    every = rng.uniform(0.02, 0.1)
    last, mark = 0.0, low

    def level(t: float) -> float:
        nonlocal now, last, mark
        now += (t - last) * (1 - low) / length
        last = t
        if now - mark > every * (1 - low):
            now -= back * (now - mark)
            mark = now
        return now

    return Shape(length * 3, level)


GROWING: dict[str, Family] = {
    "balloon": balloon,
    "ramp": ramp,
    "leak": leak,
    "staircase": staircase,
    "rising_sawtooth": rising_sawtooth,
    "acceleration": acceleration,
    "pauses": pauses,
    "load_then_leak": load_then_leak,
    "peaks_then_leak": peaks_then_leak,
    "random_growth": random_growth,
    "epochs": epochs,
    "retreating_leak": retreating_leak,
}
