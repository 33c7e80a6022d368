"""Who started the next process, how often the restarter looks, and when it gives up."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_kernel_exporter.deaths.record import (
    Evidence,
    Reason,
    RestartCause,
    ShutdownReply,
    Verdict,
)
from jupyter_kernel_exporter.deaths.restarts import (
    Restarter,
    gave_up,
    learn,
    phase_seconds,
    restart_cause,
    restarts_in_a_row,
)
from support.ends import ALL_ASKED, automatic, cleaned, dies, exits, requested, said, verdict_on

AUTOMATIC, REQUESTED = RestartCause.AUTOMATIC, RestartCause.REQUESTED
ANNOUNCED = said(ShutdownReply.RESTART)
YOUNG = {"ready": False, "age_seconds": 0.05}


def end(**facts: object) -> Evidence:
    """An end about which everything was asked."""
    return replace(ALL_ASKED, **facts)  # type: ignore[arg-type]


def verdict(reason: Reason) -> Verdict:
    """Any verdict with this reason."""
    return Verdict(reason, True, "for a test", "test")


FAILED, CRASHED = verdict(Reason.STARTUP_FAILED), verdict(Reason.SEGFAULT)


@pytest.mark.parametrize(
    ("interval", "period", "expected"),
    [
        pytest.param(3.02, 3.0, 0.02, id="failed start"),
        pytest.param(474.03, 3.0, 0.03, id="a kernel that had lived for 474 s"),
        pytest.param(2.99, 3.0, -0.01, id="a little early"),
        pytest.param(4.4, 3.0, 1.4, id="a person"),
        pytest.param(4.6, 3.0, -1.4, id="a person, nearer to the next look"),
        pytest.param(0.05, 3.0, -2.95, id="two at once: there is no look at the start itself"),
        pytest.param(1.02, 0.5, 0.02, id="changed time_to_dead"),
    ],
)
def test_phase(interval: float, period: float, expected: float) -> None:
    """A start is measured against the nearest look since the start before it."""
    assert phase_seconds(interval, period) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param(end(status=dies(11), **automatic()), AUTOMATIC, id="crash"),
        pytest.param(end(status=dies(11), **automatic(0.1)), AUTOMATIC, id="crash, quick"),
        pytest.param(end(status=dies(11), **requested(0.4)), REQUESTED, id="crash, then a person"),
        pytest.param(
            end(status=exits(1), **YOUNG, **automatic(2.95)), AUTOMATIC, id="failed start"
        ),
        pytest.param(end(status=exits(0), **ANNOUNCED, **requested()), REQUESTED, id="announced"),
        pytest.param(
            end(status=exits(0), **ANNOUNCED, **automatic(0.08)),
            REQUESTED,
            id="announced, on the restarter's moment by chance",
        ),
        pytest.param(end(status=exits(0), **requested()), REQUESTED, id="silent kernel"),
        pytest.param(end(status=dies(15), **requested()), REQUESTED, id="the GIL is held"),
        pytest.param(end(status=dies(15), **automatic()), AUTOMATIC, id="SIGTERM by somebody"),
        pytest.param(end(**automatic()), AUTOMATIC, id="between two scans: nothing but a new pid"),
        pytest.param(end(**requested(1.2)), REQUESTED, id="between two scans, by a person"),
        pytest.param(
            end(status=dies(9), successor_seconds=1.2), AUTOMATIC, id="start before it unknown"
        ),
        pytest.param(
            end(status=exits(0), **ANNOUNCED, successor_seconds=0.1),
            REQUESTED,
            id="announced, start before it unknown",
        ),
    ],
)
def test_restart_cause(evidence: Evidence, expected: RestartCause) -> None:
    """The verdict on the end and the moment of the start tell who it was."""
    assert restart_cause(verdict_on(evidence), evidence.phase_seconds) is expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        pytest.param([], 3.0, id="nothing seen"),
        pytest.param([(FAILED, 0.05, 3.01), (FAILED, 0.05, 3.02)], 3.0, id="the default"),
        pytest.param([(FAILED, 0.05, 1.02)], 3.0, id="once is not enough"),
        pytest.param([(FAILED, 0.05, 1.02), (FAILED, 0.05, 1.01)], 1.0, id="failed starts"),
        pytest.param([(CRASHED, 0.2, 10.03), (CRASHED, 3.0, 10.02)], 10.0, id="a crash loop"),
        pytest.param(
            [(FAILED, 0.05, 1.02), (FAILED, 0.05, 0.43), (FAILED, 0.05, 1.02)],
            3.0,
            id="two that do not agree, and a third",
        ),
        pytest.param(
            [(FAILED, 0.05, 1.02), (FAILED, 0.05, 3.02), (FAILED, 0.05, 1.02)],
            3.0,
            id="the known one in between",
        ),
        pytest.param(
            [(FAILED, 0.9, 1.02), (FAILED, 0.9, 1.02)],
            3.0,
            id="died late in the interval: it may have been two periods of 0.5 s",
        ),
        pytest.param(
            [(verdict(Reason.RESTART_REQUESTED), 0.1, 1.02)] * 3,
            3.0,
            id="a person's restarts teach nothing",
        ),
        pytest.param([(FAILED, 0.0, 0.03)] * 3, 3.0, id="no period at all"),
        pytest.param([(FAILED, 0.05, 1.08)] * 3, 3.0, id="before a round number"),
        pytest.param(
            [(FAILED, 0.05, 1.02)] * 2 + [(FAILED, 0.05, 3.01)] * 2, 3.0, id="set back again"
        ),
    ],
)
def test_learn(ends: list[tuple[Verdict, float, float]], expected: float) -> None:
    """The period is learnt from early ends that agree, and only from those."""
    restarter = Restarter()
    at = 0.0
    for reason, age, interval in ends:
        at += interval
        restarter = learn(restarter, reason, age, interval, at)
    assert restarter.period_seconds == expected


def test_a_server_that_was_held_up_teaches_nothing() -> None:
    """It restarts ten kernels within a moment, all of them late by the same 0.6 s."""
    restarter = Restarter()
    for kernel in range(10):
        restarter = learn(restarter, FAILED, 0.05, 3.62, 100.0 + kernel * 0.1)
    assert restarter.period_seconds == 3.0
    restarter = learn(restarter, FAILED, 0.05, 3.62, 103.62)
    assert restarter.period_seconds == 3.6, "it goes on so"


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(
    st.integers(2, 300).map(lambda tenths: tenths / 10),
    st.floats(0.01, 0.04),
    st.floats(0.01, 0.04),
    st.floats(0.0, 0.49),
)
def test_learns_any_period(period: float, first: float, second: float, lived: float) -> None:
    """Any period in tenths of seconds is learnt from two failed starts, and is exact."""
    restarter, at = Restarter(), 0.0
    for overhead in (first, second):
        interval = round(period + overhead, 2)
        at += interval
        restarter = learn(restarter, FAILED, lived * interval, interval, at)
    assert restarter.period_seconds == pytest.approx(period)
    assert phase_seconds(period * 158 + 0.02, restarter.period_seconds) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("before", "age", "period", "expected"),
    [
        pytest.param(0, 0.05, 3.0, 0, id="first start"),
        pytest.param(4, 0.05, 3.0, 4, id="dies at once"),
        pytest.param(4, 11.9, 3.0, 4, id="before the look that would call it stable"),
        pytest.param(4, 12.1, 3.0, 0, id="after it"),
        pytest.param(4, 9.9, 5.0, 4, id="another period: before the look at 10 s"),
        pytest.param(4, 10.1, 5.0, 0, id="another period: after it"),
    ],
)
def test_restarts_in_a_row(before: int, age: float, period: float, expected: int) -> None:
    """A kernel that was seen alive long enough starts afresh."""
    assert restarts_in_a_row(before, age, period) == expected


@pytest.mark.parametrize(
    ("in_a_row", "evidence", "expected"),
    [
        pytest.param(5, end(status=dies(11)), True, id="the sixth end"),
        pytest.param(5, end(status=dies(11), observed_seconds=3.9), None, id="too early to say"),
        pytest.param(5, end(status=dies(11), **automatic()), False, id="it went on"),
        pytest.param(4, end(status=dies(11)), False, id="the fifth end: autorestart is off"),
        pytest.param(5, end(status=exits(0), **cleaned()), False, id="deleted instead"),
        pytest.param(5, end(status=dies(11), successor_seconds=None), None, id="nobody could look"),
        pytest.param(
            5,
            end(status=dies(11), observed_seconds=5.0, period_seconds=10.0),
            None,
            id="a slow restarter",
        ),
    ],
)
def test_gave_up(in_a_row: int, evidence: Evidence, expected: bool | None) -> None:
    """After five restarts in a row and the time for a sixth there will be none."""
    assert gave_up(in_a_row, verdict_on(replace(evidence, observed_seconds=inf)), evidence) is (
        expected
    )


def test_story_of_a_broken_environment() -> None:
    """Six failed starts, 3 s apart: five automatic restarts, and then the restarter gives up."""
    in_a_row, causes, restarter = 0, [], Restarter()
    for start in range(6):
        last = start == 5
        facts = automatic(2.95, phase_seconds(3.01, restarter.period_seconds))
        evidence = end(status=exits(1), **YOUNG, **({} if last else facts))
        reason = verdict_on(evidence)
        assert reason.reason is Reason.STARTUP_FAILED
        in_a_row = restarts_in_a_row(in_a_row, 0.05, restarter.period_seconds)
        assert gave_up(in_a_row, reason, evidence) is last
        if not last:
            causes.append(restart_cause(reason, evidence.phase_seconds))
            in_a_row += 1
            restarter = learn(restarter, reason, 0.05, 3.01, 3.01 * start)
    assert causes == [AUTOMATIC] * 5
    assert restarter == Restarter(3.0)
