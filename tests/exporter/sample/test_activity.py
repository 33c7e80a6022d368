"""Busy or idle, judged from CPU time."""

from typing import NamedTuple

import pytest

from jupyter_kernel_exporter.model import Said, State
from jupyter_kernel_exporter.sample.activity import Activity


class At(NamedTuple):
    """A moment."""

    now: float
    monotonic: float


def test_unknown_until_there_is_a_difference_to_judge() -> None:
    """One look says nothing."""
    activity = Activity(started_at=50.0)
    activity.update(True, 3.0, 0, At(100.0, 0.0))
    assert (activity.state, activity.last_at, activity.busy_seconds) == (State.UNKNOWN, 50.0, 0.0)


def test_busy_and_idle_by_turns() -> None:
    """Busy time and the last activity are those of the looks that found it busy."""
    activity = Activity(started_at=50.0)
    states = []
    for second, cpu in enumerate([0.0, 1.0, 1.5, 1.505, 1.51]):
        activity.update(None, cpu, 0, At(100.0 + second, float(second)))
        states.append(activity.state)
    assert states[1:] == [State.BUSY, State.BUSY, State.IDLE, State.IDLE]
    assert (activity.last_at, activity.busy_seconds) == (102.0, 2.0)


def test_a_leak_that_costs_no_cpu_is_no_idleness() -> None:
    """Each second a megabyte or so is kept; a few pages more or less are not work."""
    activity = Activity(started_at=50.0)
    states = []
    for second, memory in enumerate([0, 1_500_000, 3_000_000, 3_100_000, 3_000_000]):
        activity.update(True, 0.0, memory, At(100.0 + second, float(second)))
        states.append(activity.state)
    assert states[1:] == [State.BUSY, State.BUSY, State.IDLE, State.IDLE]
    assert (activity.last_at, activity.busy_seconds) == (102.0, 2.0)


def test_a_rest_is_not_judged_together_with_the_work_after_it() -> None:
    """Who takes one of two CPUs after a minute of rest is busy now, and was not for that minute."""
    activity = Activity(started_at=50.0)
    activity.update(True, 3.0, 0, At(100.0, 0.0))
    activity.rested(until=59.0)
    activity.update(True, 4.0, 0, At(160.0, 60.0))
    assert (activity.state, activity.last_at) == (State.BUSY, 160.0)
    assert activity.busy_seconds == pytest.approx(1.0)


def test_short_intervals_are_judged_together() -> None:
    """Twenty looks a second would see nothing but clock ticks."""
    activity = Activity(started_at=0.0)
    for look in range(41):
        activity.update(True, 0.01 * (look // 4), 0, At(look * 0.05, look * 0.05))
    assert activity.state is State.IDLE
    assert activity.busy_seconds == 0.0


@pytest.mark.parametrize(
    ("ready", "state"), [(False, State.STARTING), (True, State.BUSY), (None, State.BUSY)]
)
def test_starting_is_what_has_no_open_port_yet(ready: bool | None, state: State) -> None:
    """However much CPU the imports take."""
    activity = Activity(started_at=0.0)
    activity.update(ready, 0.0, 0, At(0.0, 0.0))
    activity.update(ready, 1.0, 0, At(1.0, 1.0))
    assert activity.state is state


@pytest.mark.parametrize(
    ("ready", "state"), [(False, State.STARTING), (None, State.STARTING), (True, State.IDLE)]
)
def test_who_says_that_it_starts_says_no_more(ready: bool | None, state: State) -> None:
    """A kernel that nobody has asked for anything is idle as soon as its ports are open."""
    activity = Activity(started_at=0.0)
    said = Said(State.STARTING, 0.0, None, 0, 0)
    activity.update(ready, 0.5, 0, At(1.0, 1.0), said)
    assert activity.state is state


def test_a_clock_step_moves_no_busy_time() -> None:
    """Somebody sets the clock back an hour."""
    activity = Activity(started_at=0.0)
    activity.update(True, 0.0, 0, At(5000.0, 0.0))
    activity.update(True, 1.0, 0, At(1401.0, 1.0))
    assert activity.busy_seconds == 1.0
    assert activity.last_at == 1401.0
