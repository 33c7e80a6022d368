"""Answers that are more than yes and no, for facts about an end arrive one after another.

The status of a zombie is there at once, a file is deleted 0.1 s later, the next process starts up
to 3 s later, and another user's files are never seen. ``min`` of several answers is their "and",
``max`` their "or".
"""

from enum import IntEnum
from math import inf

from jupyter_kernel_exporter.deaths.record import Evidence

GRACE_SECONDS = 1.0
"""What a restarter may be late on a busy machine."""


class Truth(IntEnum):
    """An answer, from the weakest to the strongest."""

    NO = 0
    UNASKED = 1
    """Nobody could be asked, or what is known allows both."""
    NOT_YET = 2
    """Not so as yet; it may still become so."""
    LIKELY = 3
    """By circumstances, which also chance can bring about."""
    YES = 4


NO, UNASKED, NOT_YET, LIKELY, YES = Truth


def negate(truth: Truth) -> Truth:
    """What is likely is not unlikely, yet not ruled out."""
    return {YES: NO, NO: YES, LIKELY: UNASKED}.get(truth, truth)


def presume_not(truth: Truth) -> Truth:
    """The same, where what nobody can tell is likely not so."""
    return LIKELY if truth is UNASKED else negate(truth)


def known(value: object) -> Truth:
    """Whether something could be asked at all."""
    return NO if value is None else YES


def said(value: bool | None) -> Truth:
    """A fact that is there from the beginning."""
    return UNASKED if value is None else YES if value else NO


def deadline(evidence: Evidence, seconds: float) -> float:
    """When we must know of what happened within ``seconds`` of the end."""
    return seconds + evidence.lag_seconds


def until(evidence: Evidence, happened: float | None, seconds: float, since: float = -inf) -> Truth:
    """Whether something happened between ``since`` and ``seconds`` after the end."""
    if happened is None:
        return UNASKED
    if since <= happened <= seconds:
        return YES
    waiting = happened == inf and evidence.observed_seconds < deadline(evidence, seconds)
    return NOT_YET if waiting else NO


def look_deadline(evidence: Evidence) -> float:
    """When we must know of what the restarter does, or finds out, when it looks the next time."""
    return deadline(evidence, evidence.period_seconds + GRACE_SECONDS)
