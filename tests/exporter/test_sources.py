"""The boundary around everything that is read from outside."""

import logging
import threading

import pytest

from jupyter_kernel_exporter.model import SourceStatus
from jupyter_kernel_exporter.sources import Sources, Unavailable


def clock(step: float = 0.5) -> "object":
    """A clock that goes on by ``step`` at each look."""
    now = [0.0]

    def tell() -> float:
        now[0] += step
        return now[0]

    return tell


def status_of(sources: Sources, name: str) -> SourceStatus:
    """Close the tick and pick one source."""
    return next(status for status in sources.end() if status.name == name)


def fail(error: Exception) -> None:
    """Raise what is given."""
    raise error


def test_gives_what_the_action_gives_and_times_it() -> None:
    """A source that works is up, and its durations add up over a tick."""
    sources = Sources(["proc"], clock=clock())  # type: ignore[arg-type]
    sources.begin()
    assert sources.run("proc", max, 3, 4) == 4
    assert sources.run("proc", max, 5, 4) == 5
    assert status_of(sources, "proc") == SourceStatus("proc", True, 1.0, "")


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (Unavailable("needs CAP_SYS_PTRACE"), "needs CAP_SYS_PTRACE"),
        (ValueError("no number"), "ValueError: no number"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_a_failure_costs_that_source_only(error: Exception, problem: str) -> None:
    """What goes wrong is shown for its source and does not reach the caller."""
    sources = Sources(["bad", "good"])
    sources.begin()
    assert sources.run("bad", fail, error) is None
    assert sources.run("good", max, 1, 2) == 2
    bad, good = sources.end()
    assert (bad.up, bad.problem) == (False, problem)
    assert good.up


def test_what_is_not_ours_to_catch_goes_through() -> None:
    """Ctrl-C ends the daemon, not one source."""
    sources = Sources(["proc"])
    with pytest.raises(KeyboardInterrupt):
        sources.run("proc", fail, KeyboardInterrupt())  # type: ignore[arg-type]


def test_a_lasting_problem_is_logged_once_and_its_end_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line when a source goes, one when it is back, none in between."""
    caplog.set_level(logging.INFO)
    sources = Sources(["io"])
    for problem in ("denied", "denied", "denied", "", ""):
        sources.begin()
        if problem:
            sources.report("io", problem)
        else:
            sources.run("io", int)
        sources.end()
    assert [record.getMessage() for record in caplog.records] == [
        "source gives less",
        "source is back",
    ]


def test_a_source_that_is_not_asked_keeps_its_state() -> None:
    """PSS is read once a minute: in between the last look counts."""
    sources = Sources(["pss"])
    sources.begin()
    sources.run("pss", fail, Unavailable("no"))
    sources.end()
    sources.begin()
    assert not status_of(sources, "pss").up


def test_reports_of_a_source_that_is_switched_off_are_dropped() -> None:
    """Rooms need not know what is switched on."""
    sources = Sources(["proc"])
    sources.report("io", "denied")
    assert [status.name for status in sources.end()] == ["proc"]
    assert not sources.enabled("io")


def test_a_stuck_action_holds_nobody_up_and_is_not_asked_again() -> None:
    """A dead NFS server costs one deadline; the source is down until the call has come back."""
    sources = Sources(["runtime_dir"])
    go_on = threading.Event()
    calls = []

    def stuck() -> str:
        calls.append(1)
        go_on.wait()
        return "late"

    sources.begin()
    assert sources.run_within(0.01, "runtime_dir", stuck) is None
    assert status_of(sources, "runtime_dir").problem == "no answer within 0.01 s"
    sources.begin()
    assert sources.run_within(0.01, "runtime_dir", stuck) is None
    assert "still stuck" in status_of(sources, "runtime_dir").problem
    assert len(calls) == 1

    go_on.set()
    while sources.run_within(5.0, "runtime_dir", str) is None:  # until the late one is through
        pass
    sources.begin()
    assert sources.run_within(5.0, "runtime_dir", lambda: "fresh") == "fresh"
    assert status_of(sources, "runtime_dir").up


def test_a_failure_in_the_sources_own_thread_is_reported() -> None:
    """It makes no difference in which thread an action fails."""
    sources = Sources(["nvml"])
    sources.begin()
    assert sources.run_within(5.0, "nvml", fail, Unavailable("no driver")) is None
    assert status_of(sources, "nvml").problem == "no driver"
