"""How a kernel's process ended, and whether that was for memory: what linux itself says."""

import signal
from collections.abc import Callable

from jupyter_kernel_exporter.deaths.record import Evidence, OomRise
from jupyter_kernel_exporter.deaths.truth import (
    LIKELY,
    NO,
    NOT_YET,
    UNASKED,
    YES,
    Truth,
    look_deadline,
    said,
)
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import Scope

CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT})
FATAL = frozenset(
    {
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGPIPE,
        signal.SIGALRM,
        signal.SIGVTALRM,
        signal.SIGPROF,
    }
)
"""Signals that linux sends to a process for what the process itself did, or let run out."""
JUPYTERS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGKILL})
"""What a Jupyter server sends to a kernel that it wants to end."""
STOPPING = JUPYTERS | {signal.SIGHUP}
"""What reaches a kernel when everything around it is stopped."""


def ended(evidence: Evidence, test: Callable[[WaitStatus], bool]) -> Truth:
    """Whether the kernel's wait status is of that kind."""
    status = evidence.status
    if status is None:
        if evidence.status_pending and evidence.observed_seconds < look_deadline(evidence):
            return NOT_YET
        # Everybody may see that a zombie had been sent a signal; whether it died of it is a guess.
        pending = evidence.pending_signals or ()
        sent = next((s for s in (signal.SIGKILL, signal.SIGTERM) if s in pending), None)
        return LIKELY if sent and test(WaitStatus(None, sent)) else UNASKED
    if not evidence.status_is_wrappers:
        return YES if test(status) else NO
    if status.code == 0:
        return UNASKED  # as a shell ends whose last command was another one
    if status.code is not None and 128 < status.code < 128 + signal.NSIG:
        status = WaitStatus(None, status.code - 128)
    return LIKELY if test(status) else UNASKED


def died_of(evidence: Evidence, *signals: int) -> Truth:
    """Whether it was one of these signals."""
    return ended(evidence, lambda status: status.signal in signals)


def exited(evidence: Evidence, *codes: int) -> Truth:
    """Whether it exited with one of these codes."""
    return ended(evidence, lambda status: status.code in codes)


def exited_with_error(evidence: Evidence) -> Truth:
    """Whether it exited with a code above 0."""
    return ended(evidence, lambda status: bool(status.code))


def died_of_another_signal(evidence: Evidence) -> Truth:
    """A polite one that no Jupyter server sends to end a kernel: SIGHUP, SIGQUIT, SIGUSR1 ..."""
    known_ones = CRASHES | FATAL | JUPYTERS
    return ended(evidence, lambda s: s.signal is not None and s.signal not in known_ones)


def ended_as_jupyter_ends_it(evidence: Evidence) -> Truth:
    """An end as a request brings it about; a JVM says 128 + n where others die of signal n."""
    codes = {0, *(128 + s for s in JUPYTERS)}
    return ended(evidence, lambda status: status.code in codes or status.signal in JUPYTERS)


def may_be_asked_for(evidence: Evidence) -> Truth:
    """Any end but by a signal that has nothing to do with Jupyter; an unknown one, too."""
    truth = ended(evidence, lambda s: s.code is not None or s.signal in STOPPING)
    return LIKELY if truth is UNASKED else truth


def never_ready(evidence: Evidence) -> Truth:
    """Nobody ever saw it answer."""
    return UNASKED if evidence.ready is None else said(not evidence.ready)


def named_as_victim(evidence: Evidence, scope: Scope) -> Truth:
    """Linux' log names it as a victim, of a cgroup's limit or of the machine's."""
    killed = died_of(evidence, signal.SIGKILL)
    if killed is NO:
        return NO
    if evidence.oom_records:
        return said(scope in {record.scope for record in evidence.oom_records})
    rise = _oom_rise(evidence)
    if evidence.oom_records is not None or (rise is not None and not rise.kills):
        return NO
    return min(UNASKED, killed)


def killed_while_memory_ran_out(evidence: Evidence) -> Truth:
    """An OOM counter rose by more than the kills that are known to be others'."""
    rise = _oom_rise(evidence)
    if rise is None:
        return NO if evidence.oom_records is not None else UNASKED
    return LIKELY if rise.kills > rise.others else NO


def _oom_rise(evidence: Evidence) -> OomRise | None:
    """Of the counter that says most: the cgroup's has all victims in it, the host's all others'."""
    return evidence.host_oom if evidence.cgroup_oom is None else evidence.cgroup_oom
