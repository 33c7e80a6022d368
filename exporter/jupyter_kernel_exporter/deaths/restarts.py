"""A new process for the same kernel: started by a person, or by Jupyter's restarter.

The restarter (jupyter_client, ``restarter.py`` and ``ioloop/restarter.py``) looks each
``time_to_dead`` seconds, 3 by default, whether its kernel is alive. It begins to count when it
starts the process, so its own restarts come a whole number of periods after the start of the
process before (all of 70 that were measured, within 0.01 to 0.04 s), however long that one lived,
and a person's come at any time. It gives up when a kernel has died 6 times without having been
seen alive 10 s after it was found dead.

Pure: what is learnt is handed in and given back.
"""

from dataclasses import dataclass, replace
from math import ceil, inf

from jupyter_kernel_exporter.deaths.record import (
    RESTARTER_PERIOD_SECONDS,
    Evidence,
    Reason,
    RestartCause,
    Verdict,
)
from jupyter_kernel_exporter.deaths.traces import LATE_PHASE_SECONDS, on_phase
from jupyter_kernel_exporter.deaths.truth import look_deadline

RESTART_LIMIT = 5
"""Automatic restarts in a row (KernelRestarter.restart_limit)."""
STABLE_SECONDS = 10.0
"""How long a restarted kernel must live to count as started (stable_start_time)."""
OVERHEAD_SECONDS = 0.02
"""From the restarter's look to the start of the new process, about."""
STEP_SECONDS = 0.1
"""People set periods in round numbers. Without rounding, the error of what is measured would grow
with every period that a kernel lives."""

ASKED_FOR = frozenset(
    {
        Reason.RESTART_REQUESTED,
        Reason.SHUTDOWN_REQUESTED,
        Reason.CULLED,
        Reason.SERVER_SHUTDOWN,
        Reason.SERVER_DIED,
    }
)
"""Ends that no restarter looks after."""


@dataclass(frozen=True, slots=True)
class Restarter:
    """What is known of the restarter of one Jupyter server."""

    period_seconds: float = RESTARTER_PERIOD_SECONDS
    candidate_seconds: float | None = None
    """A period seen once that is not the one above. Seen twice in a row, it takes its place."""
    candidate_at: float = -inf
    """When the process began that was started after it."""


def phase_seconds(interval_seconds: float, period_seconds: float) -> float:
    """How far a start is off the nearest moment at which the restarter looks; negative: before it.

    ``interval_seconds`` is from the start of the process before to the start of this one.
    """
    # The first look is one period after the start, not at it.
    looks = max(1, round(interval_seconds / period_seconds))
    return interval_seconds - looks * period_seconds


def restart_cause(verdict: Verdict, phase: float | None) -> RestartCause:
    """Who started the next process, after an end with this verdict.

    A crash and a restart on request go together where a person was quicker than the restarter.
    Where the phase is unknown it was the restarter, who comes after each end that nobody asked for,
    and it mostly was where he would be late.
    """
    if verdict.reason is Reason.RESTART_REQUESTED:
        return RestartCause.REQUESTED
    if phase is None or on_phase(phase, LATE_PHASE_SECONDS):
        return RestartCause.AUTOMATIC
    return RestartCause.REQUESTED


def learn(
    restarter: Restarter,
    verdict: Verdict,
    age_seconds: float,
    interval_seconds: float,
    started_at: float,
) -> Restarter:
    """Learn the period from a process that lived for ``age_seconds`` and was replaced.

    Only one that died early tells: had the restarter looked twice until the next process came, it
    would have looked the first time in the middle of the interval, after the end. So failed starts
    and crashes in a loop teach it, and two in a row must agree, for a person may have been quicker.
    They must not have begun together (``started_at``, seconds of any clock): a server that is held
    up for half a second restarts all of its kernels late by the same.
    """
    if age_seconds >= interval_seconds / 2 or verdict.reason in ASKED_FOR:
        return restarter
    steps = round((interval_seconds - OVERHEAD_SECONDS) / STEP_SECONDS)
    period = round(steps * STEP_SECONDS, 3)
    if period <= 0 or not on_phase(interval_seconds - period):
        return replace(restarter, candidate_seconds=None)
    if period == restarter.period_seconds:
        return Restarter(period)
    if period != restarter.candidate_seconds:
        return Restarter(restarter.period_seconds, period, started_at)
    together = started_at - restarter.candidate_at < period / 2
    return restarter if together else Restarter(period)


def restarts_in_a_row(before: int, age_seconds: float, period_seconds: float) -> int:
    """How many automatic restarts in a row lie behind a process that has just ended.

    ``before`` is their number when it was started: that of the process before it, and one more if
    the restart was automatic. It is forgotten at the first look that finds the process stable.
    """
    stable = ceil(STABLE_SECONDS / period_seconds) * period_seconds
    return before if age_seconds < stable else 0


def gave_up(in_a_row: int, verdict: Verdict, evidence: Evidence) -> bool | None:
    """Whether the restarter has given up on a kernel; ``None`` if it cannot be said, or not yet.

    The kernel's connection file stays for ever then, and nobody is told but the log.
    """
    if in_a_row < RESTART_LIMIT or verdict.reason in ASKED_FOR:
        return False
    if evidence.successor_seconds is not None and evidence.successor_seconds < inf:
        return False
    waiting = evidence.observed_seconds < look_deadline(evidence)
    return None if waiting or evidence.successor_seconds is None else True
