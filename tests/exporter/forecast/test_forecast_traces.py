"""The forecast on labelled traces: made-up ones of every family, and those of real kernels."""

import math
from pathlib import Path

import pytest

from forecast_growing import GROWING
from forecast_judge import Verdict, forecasts, held, seen
from forecast_steady import BENIGN, STATIONARY
from forecast_traces import Label, Trace, draw, read_recorded
from jupyter_kernel_exporter.forecast import MemoryForecast

THRESHOLD = 600.0
SEEDS = range(3)
FALSE_MINUTES = 0.8
"""The most minutes of false alarm in an hour of benign traces."""
FIXTURES = Path(__file__).parents[2] / "fixtures" / "traces"
RECORDED = {path.stem: read_recorded(path) for path in sorted(FIXTURES.glob("*.csv"))}


def judged(trace: Trace) -> tuple[Verdict, Verdict]:
    """What the page shows at once, and what the alert rule makes of it."""
    told = forecasts(trace, MemoryForecast())
    return seen(trace, told, THRESHOLD), held(trace, told, THRESHOLD)


@pytest.mark.parametrize("family", GROWING)
def test_catches_what_ends_at_the_limit(family: str) -> None:
    """A minute before, or 40 % of the time from half full to full where that is less."""
    for seed in SEEDS:
        at_once, _ = judged(draw(family, Label.EXHAUSTING, GROWING[family], seed))
        assert at_once.caught, at_once.trace.name


def test_hardly_disturbs_those_that_do_no_harm() -> None:
    """Reads, releases, warm-ups: a first rise may look like the end, but not for long."""
    verdicts = [
        judged(draw(family, Label.BENIGN, BENIGN[family], seed))
        for family in BENIGN
        for seed in SEEDS
    ]
    for kind in zip(*verdicts, strict=True):
        minutes = sum(v.alarm_seconds for v in kind) / 60
        hours = sum(v.trace.ends - v.trace.onset for v in kind) / 3600
        assert minutes / hours < FALSE_MINUTES


@pytest.mark.parametrize("family", STATIONARY)
def test_leaves_the_stationary_alone(family: str) -> None:
    """No alert at all after the first rise."""
    for seed in SEEDS:
        _, after_hold = judged(draw(family, Label.STATIONARY, STATIONARY[family], seed))
        assert after_hold.alarms == 0, after_hold.trace.name


@pytest.mark.parametrize(
    "name", [name for name, trace in RECORDED.items() if trace.label is Label.EXHAUSTING]
)
def test_catches_real_kernels(name: str) -> None:
    """Also by the rule, which takes up to 15 s more."""
    at_once, after_hold = judged(RECORDED[name])
    assert at_once.caught
    assert after_hold.lead > 0


@pytest.mark.parametrize(
    "name", [name for name, trace in RECORDED.items() if trace.label is not Label.EXHAUSTING]
)
def test_raises_no_alert_on_real_work(name: str) -> None:
    """Reading, maths, training: what fits causes nothing."""
    _, after_hold = judged(RECORDED[name])
    assert after_hold.alarms == 0


def test_counts_no_page_cache() -> None:
    """The mapped file made the kernel's resident memory large, and what is counted stayed small."""
    lines = (FIXTURES / "memory_mapped.csv").read_text().splitlines()[2:]
    rows = [[float(cell) for cell in line.split(",")] for line in lines]
    assert max(resident for _, _, resident in rows) > 300 * 1024
    assert max(counted for _, counted, _ in rows) < 100 * 1024


@pytest.mark.parametrize("family", [*GROWING, *BENIGN, *STATIONARY])
def test_a_seed_is_a_trace(family: str) -> None:
    """Drawn twice, it is the same; it stays below its limit, and time goes forward."""
    families = {**GROWING, **BENIGN, **STATIONARY}
    label = Label.EXHAUSTING if family in GROWING else Label.BENIGN
    trace = draw(family, label, families[family], 11)
    assert draw(family, label, families[family], 11) == trace
    assert all(0 < used < trace.limit for used in trace.used)
    assert all(a < b for a, b in zip(trace.times, trace.times[1:], strict=False))
    assert 0 < trace.lead_wanted <= 60
    assert math.isfinite(trace.ends)
