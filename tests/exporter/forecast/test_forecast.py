"""The forecast by itself: what it promises of any samples whatever."""

import copy
import math
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_kernel_exporter.forecast import MEMORY_SECONDS, MemoryForecast

MB = 1e6
GIB = 1024.0**3
Samples = Iterable[tuple[float, float]]


def fed(samples: Samples) -> MemoryForecast:
    """A forecast that has seen the samples."""
    forecast = MemoryForecast()
    for t, used in samples:
        forecast.observe(t, used)
    return forecast


def grows(rate: float, start: float = 100 * MB, rest: int = 60) -> Iterator[tuple[float, float]]:
    """A rest, then growth in bytes a second, for ever."""
    t = 0
    while True:
        yield float(t), start + max(0, t - rest) * rate
        t += 1


def leads(samples: Samples, limit: float) -> tuple[float, float]:
    """Seconds from the first word of an end within ten minutes to the end, and what was said."""
    forecast = MemoryForecast()
    first = math.inf
    said = math.inf
    for t, used in samples:
        forecast.observe(t, used)
        if used >= limit:
            return t - first, said
        if first == math.inf and forecast.seconds_to_exhaustion(limit) < 600:
            first, said = t, forecast.seconds_to_exhaustion(limit)
    raise AssertionError("the samples never reach the limit")


def test_knows_nothing_at_first() -> None:
    """No sample, no end."""
    assert MemoryForecast().seconds_to_exhaustion(GIB) == math.inf


@pytest.mark.parametrize("used", [GIB, 2 * GIB])
def test_is_over_at_the_limit(used: float) -> None:
    """At or above the limit there is no time left."""
    assert fed([(0.0, used)]).seconds_to_exhaustion(GIB) == 0.0


@pytest.mark.parametrize(
    ("rate", "limit", "lead", "off"),
    [
        pytest.param(60 * MB, GIB, 10.0, 0.1, id="balloon"),
        pytest.param(8 * MB, GIB, 75.0, 0.1, id="two minutes"),
        pytest.param(1 * MB, 2 * GIB, 240.0, 0.1, id="half an hour"),
        pytest.param(0.1 * MB, GIB, 590.0, 0.1, id="three hours"),
    ],
)
def test_sees_steady_growth(rate: float, limit: float, lead: float, off: float) -> None:
    """In time, and about right."""
    told, said = leads(grows(rate), limit)
    assert told >= lead
    assert said == pytest.approx(told, rel=off, abs=2.0)


def test_sees_a_balloon_within_five_seconds() -> None:
    """1 GiB at 60 MB/s is full after 16 s."""
    forecast = fed([])
    for t, used in grows(60 * MB, rest=60):
        forecast.observe(t, used)
        if t == 65:
            break
    assert forecast.seconds_to_exhaustion(GIB) < 15


@pytest.mark.parametrize("seconds", [5, 20, 60, 300])
def test_falls_silent_soon_after_growth_ends(seconds: int) -> None:
    """A read that fits is forgotten within seconds, however long it took."""
    end = 0.7 * GIB
    rate = (end - 100 * MB) / seconds
    forecast = MemoryForecast()
    for t, used in grows(rate):
        forecast.observe(t, min(used, end))
        if t >= 60 + seconds + 7:
            assert forecast.seconds_to_exhaustion(GIB) == math.inf, t
        if t > 2000:
            break


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("seconds", [20, 60, 120])
def test_falls_silent_though_use_is_never_quite_still(seconds: int, noise: float) -> None:
    """Noise makes new tops, and rests between them before the load, but no growth."""
    rng = random.Random(seconds)
    end = 0.7 * GIB
    told = []
    forecast = MemoryForecast()
    for t, used in grows((end - 100 * MB) / seconds):
        forecast.observe(t, min(used, end) + abs(rng.gauss(0.0, noise * GIB)))
        told.append(forecast.seconds_to_exhaustion(GIB))
        if t > 1000:
            break
    assert min(told[: 60 + seconds]) < 120
    assert min(told[60 + seconds + 15 :]) == math.inf


def test_has_no_fear_of_a_level_that_was_left_before() -> None:
    """The second rise of a sawtooth says nothing until it is above the first."""
    forecast = MemoryForecast()
    for t in range(2000):
        forecast.observe(t, (0.2 + 0.6 * (t % 100) / 100) * GIB)
        if t > 100:
            assert forecast.seconds_to_exhaustion(GIB) == math.inf, t


def test_a_level_is_not_remembered_for_ever() -> None:
    """A peak of the morning does not hide a leak of the evening."""
    peak = [(float(t), 0.97 * GIB if 100 < t < 130 else 0.1 * GIB) for t in range(200)]
    later = 2.5 * MEMORY_SECONDS
    leak = [(float(t), 0.1 * GIB) for t in range(200, int(later), 5)]
    leak += [(later + t, (0.1 + t / 4000) * GIB) for t in range(3400)]
    assert fed(peak + leak).seconds_to_exhaustion(GIB) == pytest.approx(200, rel=0.1)


def test_a_gap_is_no_rest() -> None:
    """A minute in which nobody looked does not end a leak."""
    samples = [(t, used) for t, used in bounded(grows(1 * MB), 1000) if not 900 <= t < 960]
    before = fed([s for s in samples if s[0] < 900]).seconds_to_exhaustion(1.04e9)
    after = fed([s for s in samples if s[0] <= 961]).seconds_to_exhaustion(1.04e9)
    assert before == pytest.approx(100, rel=0.1)
    assert after == pytest.approx(39, rel=0.1)


def bounded(samples: Samples, seconds: float) -> Iterator[tuple[float, float]]:
    """The samples of the first seconds."""
    for t, used in samples:
        if t >= seconds:
            return
        yield t, used


NONSENSE = [
    pytest.param([(math.nan, 1.0), (0.0, math.nan), (math.inf, 1.0)], id="not numbers"),
    pytest.param([(500.0, -1.0), (501.0, -math.inf), (502.0, math.inf)], id="no memory"),
    pytest.param([(1e300, 3.0), (-1e300, 3.0)], id="no time"),
]


def test_one_wrong_sample_does_not_undo_a_growth() -> None:
    """A moment at which nothing seems to be used."""
    leak = list(bounded(grows(8 * MB), 140))
    told = fed(leak).seconds_to_exhaustion(GIB)
    broken = [(t, u if t != 130.0 else 0.0) for t, u in leak]
    assert fed(broken).seconds_to_exhaustion(GIB) == pytest.approx(told, rel=0.1)


def test_it_is_the_peaks_that_reach_the_limit() -> None:
    """Once a minute 60 MB more are used for a second. Such a peak is too much from 610 s on."""
    peaks = [(t, u + 60 * MB * (t % 60 == 0)) for t, u in bounded(grows(1 * MB), 600)]
    assert fed(peaks).seconds_to_exhaustion(710 * MB) == pytest.approx(610 - 599, abs=10.0)


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_passed_over(nonsense: list[tuple[float, float]]) -> None:
    """Samples that say nothing change nothing."""
    start = list(bounded(grows(8 * MB), 120))
    rest = [(t, u) for t, u in bounded(grows(8 * MB), 140) if t >= 120]
    told = fed(start + rest).seconds_to_exhaustion(GIB)
    assert told < 120
    assert fed(start + nonsense + rest).seconds_to_exhaustion(GIB) == told


def test_a_clock_that_was_set_back_is_taken_as_it_is() -> None:
    """After a few samples from the past, growth is seen as before."""
    start = list(bounded(grows(8 * MB), 120))
    moved = [(t - 1e6, u) for t, u in bounded(grows(8 * MB), 150) if t >= 120]
    assert fed(start + moved).seconds_to_exhaustion(GIB) == pytest.approx(31, abs=5)


def test_a_clock_that_leaps_ahead_and_back_does_no_harm() -> None:
    """One time from the far future does not make deaf."""
    start = list(bounded(grows(1 * MB), 60))
    leaped = [(1e14, start[-1][1])]
    moved = [(t, u) for t, u in bounded(grows(60 * MB), 72) if t >= 60]
    assert fed(start + leaped + moved).seconds_to_exhaustion(GIB) < 15


def test_many_samples_a_second_are_as_good_as_one() -> None:
    """Ten a second, and each fifth second only."""
    often = [(t / 10, 100 * MB + max(0, t - 600) * 0.8 * MB) for t in range(1100)]
    rarely = list(bounded(grows(1 * MB), 1700))[::5]
    assert fed(often).seconds_to_exhaustion(GIB) == pytest.approx(72, rel=0.1)
    assert fed(rarely).seconds_to_exhaustion(1.9e9) == pytest.approx(160, rel=0.1)


@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=True),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=60,
    ),
    st.floats(allow_nan=True, allow_infinity=True),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_floats_are_survived(samples: list[tuple[float, float]], limit: float) -> None:
    """Whatever comes in, a number of seconds comes out."""
    assert fed(samples).seconds_to_exhaustion(limit) >= 0.0


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, -1.0, 3.0, 40.0, -30.0]), st.integers(1, 40)),
    min_size=1,
    max_size=12,
)


def walked(steps: list[tuple[float, int]], scale: float = 1.0) -> Iterator[tuple[float, float]]:
    """Stretches of steady growth or fall, MB a second each."""
    used, t = 100.0, 0.0
    for rate, seconds in steps:
        for _ in range(seconds):
            t += 1.0
            used = max(0.0, used + rate)
            yield t, used * scale


@given(STEPS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_larger_limit_is_never_sooner(steps: list[tuple[float, int]]) -> None:
    """At any moment, the more there is the longer it lasts."""
    forecast = MemoryForecast()
    for t, used in walked(steps):
        forecast.observe(t, used)
        told = [forecast.seconds_to_exhaustion(limit) for limit in (200, 300, 400, 900)]
        assert all(a <= b for a, b in pairwise(told))


@given(STEPS, st.sampled_from([2.0**-10, 2.0**6, 2.0**20]))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_small_kernel_is_like_a_large_one(steps: list[tuple[float, int]], scale: float) -> None:
    """Only the share of the limit counts, not the bytes."""
    small, large = MemoryForecast(), MemoryForecast()
    for (t, used), (_, scaled) in zip(walked(steps), walked(steps, scale), strict=True):
        small.observe(t, used)
        large.observe(t, scaled)
        told = small.seconds_to_exhaustion(400.0)
        assert large.seconds_to_exhaustion(400.0 * scale) == pytest.approx(told)


def test_memory_is_bounded() -> None:
    """Hours of the most restless kernel take no more than its first hour."""
    rng = random.Random(1)
    forecast = MemoryForecast()
    sizes = []
    for t in range(20_000):
        forecast.observe(t, (t % 7000) * 1e5 + rng.random() * 1e6)
        if t % 4000 == 3999:
            sizes.append(size_of(forecast))
    assert max(sizes) < 40_000
    assert sizes[-1] < 2 * sizes[0]


def size_of(forecast: MemoryForecast) -> int:
    """Bytes that a copy of it takes."""
    tracemalloc.start()
    try:
        twin = copy.deepcopy(forecast)
        taken = tracemalloc.get_traced_memory()[0]
        del twin
        return taken
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.gettrace() is not None, reason="traced code is slow")
@pytest.mark.parametrize(
    "used",
    [
        pytest.param(lambda _: 100 * MB, id="flat"),
        pytest.param(lambda t: 100 * MB + t * 10_000, id="leak"),
        pytest.param(lambda t: 100 * MB + t % 100 * MB, id="sawtooth"),
    ],
)
def test_costs_little(used: Callable[[int], float]) -> None:
    """Some microseconds of CPU a sample; the bound leaves room for a busy machine."""
    forecast = MemoryForecast()
    started = time.process_time()
    for t in range(3000):
        forecast.observe(t, used(t))
        forecast.seconds_to_exhaustion(GIB)
    assert (time.process_time() - started) / 3000 < 200e-6
