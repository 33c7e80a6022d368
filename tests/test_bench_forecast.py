"""What the forecast's benchmark calls caught, and what it compares with."""

import math
from array import array

import pytest

from bench_forecast import NearLimit, PredictLinear, Score
from forecast_judge import Span, Verdict, held, judge, seen, spans
from forecast_traces import Label, Trace


def trace(ends: float = 100.0, onset: float = 0.0, limit: float = 100.0) -> Trace:
    """One that grows from 0 to its limit, a sample a second."""
    times = array("d", range(int(ends)))
    used = array("d", (limit * t / ends for t in times))
    return Trace("line", Label.EXHAUSTING, limit, times, used, onset, ends)


@pytest.mark.parametrize(
    ("ends", "onset", "wanted"),
    [
        pytest.param(1000.0, 0.0, 60.0, id="a minute"),
        pytest.param(100.0, 0.0, 20.0, id="40 % of the second half"),
        pytest.param(100.0, 80.0, 8.0, id="began above half"),
    ],
)
def test_how_early_is_early_enough(ends: float, onset: float, wanted: float) -> None:
    """60 s, or 40 % of the time from half full to full."""
    assert trace(ends, onset).lead_wanted == pytest.approx(wanted)


INF = math.inf
VALUES = [(0.0, INF), (5.0, 9.0), (10.0, 9.0), (15.0, 9.0), (20.0, INF), (25.0, 9.0), (30.0, INF)]


def test_an_alert_fires_after_its_hold_and_until_the_first_better_value() -> None:
    """A value that is not there for as long as the hold causes nothing."""
    assert list(spans(VALUES, 40.0, 600.0, 10.0)) == [Span(15.0, 20.0)]
    assert list(spans(VALUES, 40.0, 600.0, 0.0)) == [Span(5.0, 20.0), Span(25.0, 30.0)]
    assert list(spans(VALUES[:4], 40.0, 600.0, 10.0)) == [Span(15.0, 40.0)]


@pytest.mark.parametrize(
    ("alarms", "lead"),
    [
        pytest.param([(30, 100)], 70.0, id="on to the end"),
        pytest.param([(30, 60), (70, 100)], 70.0, id="a short pause is none"),
        pytest.param([(5, 30), (95, 100)], 5.0, id="a long pause is one"),
        pytest.param([(5, 30)], 0.0, id="over long before the end"),
        pytest.param([], 0.0, id="never"),
    ],
)
def test_the_lead_is_that_of_the_last_alarm(alarms: list[tuple[int, int]], lead: float) -> None:
    """An alarm that was over a minute before the end helped nobody."""
    assert judge(trace(), (Span(a, b) for a, b in alarms)).lead == lead


def test_alarms_before_the_onset_do_not_count() -> None:
    """Only their part after it does."""
    verdict = judge(trace(onset=40.0), [Span(10.0, 20.0), Span(30.0, 50.0)])
    assert (verdict.alarm_seconds, verdict.alarms) == (10.0, 1)


def test_the_rule_is_later_than_the_page() -> None:
    """By the scrape and by ten seconds."""
    told = [INF] * 42 + [30.0] * 58
    assert seen(trace(), told, 600.0).lead == 58.0
    assert held(trace(), told, 600.0).lead == 45.0


def test_the_straight_line_of_prometheus() -> None:
    """Two samples of 15 s suffice for a line, and it goes on for ever."""
    line = PredictLinear()
    for t in range(60):
        line.observe(float(t), 10.0 * t)
    assert line.seconds_to_exhaustion(1000.0) == pytest.approx(41.0)
    assert PredictLinear().seconds_to_exhaustion(1000.0) == INF


def test_the_threshold() -> None:
    """Above 90 % is an end, below is none."""
    near = NearLimit()
    near.observe(0.0, 90.0)
    assert near.seconds_to_exhaustion(100.0) == INF
    near.observe(1.0, 91.0)
    assert near.seconds_to_exhaustion(100.0) == 0.0


def test_a_score_sums_up() -> None:
    """Shares and minutes of some verdicts."""
    verdicts = [Verdict(trace(), 30.0, 60.0, 1), Verdict(trace(), 10.0, 0.0, 0)]
    assert Score.of(verdicts) == Score(2, 1, 20.0, 1.0 / (200.0 / 3600.0), 1)
