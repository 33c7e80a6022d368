"""What Jupyter leaves behind around an end: words on iopub, files, its server, the next process.

The numbers were measured on some 150 ends of real kernels under jupyter_server 2.14 and 2.21.
"""

import signal
from math import inf

from jupyter_kernel_exporter.deaths.ended import exited, may_be_asked_for
from jupyter_kernel_exporter.deaths.record import Evidence, ShutdownReply
from jupyter_kernel_exporter.deaths.truth import (
    GRACE_SECONDS,
    LIKELY,
    NO,
    NOT_YET,
    UNASKED,
    YES,
    Truth,
    negate,
    presume_not,
    said,
    until,
)

SETTLED_SECONDS = 0.1
"""A server that is gone was gone before the kernel noticed; so much for the clocks' differences."""
REAPED_SECONDS = 0.20
"""A server that is waiting for an end fetches the status within 0.19 s; it looks each 0.1 s."""
RESTARTED_SECONDS = 0.30
"""A restart that was asked for starts the next process within 0.12 s, on two busy cores."""
HURRIED_SECONDS = 1.0
"""The same on a machine that is overloaded. No person sees an end and restarts so soon."""
DELETED_SECONDS = 1.0
"""A shutdown deletes the connection file 0.01 to 0.11 s after the end; later on a machine that is
overloaded."""
SERVER_SECONDS = 0.45
"""A server that is stopped with its kernels goes so soon after them, and so does its file."""
REPLACED_SECONDS = 0.60
"""The same restart with some patience, where the request itself may have been missed."""
PATIENT_SECONDS = 2.0
"""And with more, where it was seen. A shutdown need not wait for it: there the file goes."""
SERVER_EXIT_SECONDS = 1.0
"""A server that stops ends soon after its last kernel."""
PHASE_SECONDS = (-0.015, 0.06)
"""A restarter's new process starts 0.01 to 0.04 s after the moment at which the restarter looks."""
LATE_PHASE_SECONDS = 1.0
"""So late a restarter may be whose server, or machine, is overloaded."""

TOGETHER_SECONDS = -2.0
"""Killed with its server: in the same moment, as far as two signals can be."""
ESCALATION_SECONDS = -6.0
"""A server that stops asks, sends SIGTERM after 2.5 s and SIGKILL after 5 s."""
STOP_SECONDS = -100.0
"""systemd sends SIGKILL 90 s after SIGTERM (DefaultTimeoutStopSec), kubelet after 30 s."""
ORPHAN_SECONDS = -10.0
"""ipykernel looks for its parent each second, if the cell that runs lets it."""


def announced(evidence: Evidence, reply: ShutdownReply) -> Truth:
    """The kernel itself said that it ends on request."""
    if evidence.shutdown_reply is None:
        return _unheard(evidence)
    return said(evidence.shutdown_reply is reply)


def request_seen(evidence: Evidence) -> Truth:
    """The kernel began to work on a request to end; it did not come to say more."""
    if {signal.SIGKILL, signal.SIGTERM} <= (evidence.pending_signals or frozenset()):
        return LIKELY  # only a server that wants to end a stopped kernel sends both
    if evidence.shutdown_request_seen is None:
        return _unheard(evidence)
    return said(evidence.shutdown_request_seen)


def _unheard(evidence: Evidence) -> Truth:
    """A request that nobody could hear would have left traces, or a clean exit."""
    traces = max(exited(evidence, 0), deleted(evidence), replaced(evidence, REPLACED_SECONDS))
    return NO if traces is NO else UNASKED


def deleted(evidence: Evidence) -> Truth:
    """Its connection file was deleted, as a shutdown does."""
    return _unless_replaced(
        evidence, until(evidence, evidence.file_deleted_seconds, DELETED_SECONDS)
    )


def replaced(evidence: Evidence, seconds: float) -> Truth:
    """Another process took its place so soon. Whose file is deleted is not replaced."""
    truth = until(evidence, evidence.successor_seconds, seconds)
    gone = evidence.file_deleted_seconds
    return NO if truth is NOT_YET and gone is not None and gone < inf else truth


def _unless_replaced(evidence: Evidence, truth: Truth) -> Truth:
    """Who has been given a next process is not being shut down: no need to wait for that."""
    came = evidence.successor_seconds is not None and evidence.successor_seconds < inf
    return NO if truth is NOT_YET and came else truth


def on_phase(phase_seconds: float, late_seconds: float = PHASE_SECONDS[1]) -> bool:
    """Whether a process started when the restarter looks, or at most so late."""
    return PHASE_SECONDS[0] <= phase_seconds <= late_seconds


def replaced_on_request(evidence: Evidence) -> Truth:
    """The next process came at once, and not when the restarter looks."""
    truth = replaced(evidence, HURRIED_SECONDS)
    if truth is not YES:
        return truth
    phase = evidence.phase_seconds
    # Of an end that only a scan has found nobody knows how long before the scan it was.
    exact = evidence.lag_seconds < RESTARTED_SECONDS
    if exact and replaced(evidence, RESTARTED_SECONDS) is YES:
        # One request in forty happens to fall on the restarter's moment.
        return UNASKED if phase is None or on_phase(phase) else LIKELY
    if phase is None or on_phase(phase, LATE_PHASE_SECONDS):
        return NO if exact else UNASKED
    return LIKELY


def replaced_after_request(evidence: Evidence) -> Truth:
    """Where a request was seen, the next process may take its time, but for the restarter's."""
    truth = replaced(evidence, PATIENT_SECONDS)
    if truth is not YES or replaced(evidence, REPLACED_SECONDS) is YES:
        return truth
    phase = evidence.phase_seconds
    return NO if phase is None or on_phase(phase, LATE_PHASE_SECONDS) else LIKELY


def file_stays(evidence: Evidence) -> Truth:
    """Nobody shut it down. But who runs a notebook cleans up after a failed start as well."""
    truth = presume_not(deleted(evidence))
    return LIKELY if truth is NO else truth


def awaited(evidence: Evidence) -> Truth:
    """Its status was fetched so soon that somebody must have been waiting for it."""
    return until(evidence, evidence.reaped_seconds, REAPED_SECONDS)


def nobody_asked(evidence: Evidence) -> Truth:
    """What a request leaves behind is not there, or the next process came too late for one."""
    untouched = min(negate(deleted(evidence)), negate(replaced_on_request(evidence)))
    return max(untouched, _replaced_later(evidence))


def _replaced_later(evidence: Evidence) -> Truth:
    gap, phase = evidence.successor_seconds, evidence.phase_seconds
    in_time = until(evidence, gap, evidence.period_seconds + GRACE_SECONDS)
    if in_time is not YES or replaced(evidence, RESTARTED_SECONDS) is NO:
        return in_time
    return UNASKED if phase is None else LIKELY if on_phase(phase) else NO


def culled(evidence: Evidence) -> Truth:
    """The log of its server says so. A cull is a shutdown, so without one it is none."""
    heard = max(announced(evidence, ShutdownReply.SHUTDOWN), request_seen(evidence))
    may_be_asked = may_be_asked_for(evidence)
    if evidence.cull_logged is not None:
        return min(said(evidence.cull_logged), max(heard, may_be_asked))
    elsewise = max(
        replaced(evidence, REPLACED_SECONDS),
        server_stopping(evidence, SERVER_SECONDS),
        server_lost(evidence),
    )
    return min(UNASKED, max(heard, min(may_be_asked, deleted(evidence))), negate(elsewise))


def server_stopping(evidence: Evidence, seconds: float = 0.0) -> Truth:
    """The server had deleted its own file: the first thing it does when it is asked to stop."""
    gone = evidence.server_file_deleted_seconds
    if gone is None:
        # A server that stops deletes the files of its kernels as well.
        return NO if deleted(evidence) is NO else UNASKED
    if STOP_SECONDS <= gone < ESCALATION_SECONDS:
        return LIKELY
    return _unless_replaced(evidence, until(evidence, gone, seconds, ESCALATION_SECONDS))


def server_lost(evidence: Evidence) -> Truth:
    """The server was gone before the kernel."""
    died = evidence.server_died_seconds
    if died is None:
        return min(said(evidence.parent_changed), LIKELY)
    if died < ORPHAN_SECONDS:
        return LIKELY
    return _unless_replaced(evidence, until(evidence, died, SETTLED_SECONDS))


def server_died_too(evidence: Evidence, seconds: float = SERVER_SECONDS) -> Truth:
    """The server ended in the same moment, or a little before."""
    died = evidence.server_died_seconds
    if died is not None and STOP_SECONDS <= died < TOGETHER_SECONDS:
        return LIKELY
    return _unless_replaced(evidence, until(evidence, died, seconds, TOGETHER_SECONDS))
