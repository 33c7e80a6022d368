"""Why a kernel ended: the one place that says so. Pure; same evidence, same verdict, for ever."""

import signal
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from jupyter_kernel_exporter.deaths import ended, traces
from jupyter_kernel_exporter.deaths.reasons import REFINES
from jupyter_kernel_exporter.deaths.record import Evidence, Reason, ShutdownReply, Verdict
from jupyter_kernel_exporter.deaths.truth import (
    GRACE_SECONDS,
    LIKELY,
    NOT_YET,
    UNASKED,
    YES,
    Truth,
    deadline,
    known,
    negate,
    presume_not,
    said,
)
from jupyter_kernel_exporter.model import Scope

R = Reason


class Rule(NamedTuple):
    """One way of knowing why a process ended."""

    name: str
    reason: Reason
    holds: Callable[[Evidence], Truth]
    because: str
    """A sentence, with {status}, {cgroup}, {gap} and {deleted} filled in from the evidence."""


# The order is the knowledge, and three principles make it:
#   direct evidence before circumstantial (a pid in linux' log, a message of the kernel itself,
#       then a wait status, then files that vanish and processes that come);
#   intended before accidental (a server that wants to end a kernel ends it with SIGKILL at last);
#   specific before general (a failed start is an exit with an error as well).
# A rule that may still come to hold holds up all rules below it.
RULES: tuple[Rule, ...] = (
    # Linux' log names it.
    Rule(
        "cgroup_victim",
        R.OOM_CGROUP,
        lambda e: ended.named_as_victim(e, Scope.CGROUP),
        "linux' OOM killer took it because {cgroup} had reached its memory limit",
    ),
    Rule(
        "host_victim",
        R.OOM_HOST,
        lambda e: ended.named_as_victim(e, Scope.HOST),
        "linux' OOM killer took it because the machine had run out of memory",
    ),
    # Jupyter's part in it was announced, by the kernel or by the server.
    Rule(
        "restart_announced",
        R.RESTART_REQUESTED,
        lambda e: traces.announced(e, ShutdownReply.RESTART),
        "it announced that it had been asked to restart, and ended with {status}",
    ),
    Rule(
        "stop_announced",
        R.SERVER_SHUTDOWN,
        lambda e: min(traces.announced(e, ShutdownReply.SHUTDOWN), traces.server_stopping(e)),
        "it announced its shutdown when its Jupyter server was being stopped",
    ),
    Rule(
        "cull_logged",
        R.CULLED,
        traces.culled,
        "the log of its Jupyter server says that the idle culler shut it down",
    ),
    Rule(
        "shutdown_announced",
        R.SHUTDOWN_REQUESTED,
        lambda e: traces.announced(e, ShutdownReply.SHUTDOWN),
        "it announced that it had been asked to shut down, and ended with {status}",
    ),
    Rule(
        "request_by_stopping_server",
        R.SERVER_SHUTDOWN,
        lambda e: min(traces.request_seen(e), traces.server_stopping(e)),
        "it had been asked to end when its Jupyter server was being stopped",
    ),
    Rule(
        "request_then_successor",
        R.RESTART_REQUESTED,
        lambda e: min(traces.request_seen(e), traces.replaced_after_request(e)),
        "it had been asked to end, and {gap} s after its end a new process took its place",
    ),
    Rule(
        "request_alone",
        R.SHUTDOWN_REQUESTED,
        lambda e: min(traces.request_seen(e), max(traces.deleted(e), LIKELY)),
        "it had been asked to end, and no new process was seen in its place",
    ),
    # The wait status says all there is to say.
    Rule(
        "segfault",
        R.SEGFAULT,
        lambda e: ended.died_of(e, signal.SIGSEGV, signal.SIGBUS),
        "it died of {status}: it touched memory that it must not touch",
    ),
    Rule(
        "abort",
        R.ABORT,
        lambda e: ended.died_of(e, signal.SIGABRT),
        "it died of {status}: it gave itself up",
    ),
    Rule(
        "fatal_signal",
        R.FATAL_SIGNAL,
        lambda e: ended.died_of(e, *ended.FATAL),
        "it died of {status}, which linux sends for what a process itself has done",
    ),
    # It went with its server, or never came to life.
    Rule(
        "orphan",
        R.SERVER_DIED,
        lambda e: min(ended.exited(e, 1), traces.server_lost(e)),
        "its Jupyter server was gone, and it ended with {status}, as a kernel does that notices",
    ),
    Rule(
        "failed_start",
        R.STARTUP_FAILED,
        lambda e: min(
            ended.exited_with_error(e),
            ended.never_ready(e),
            presume_not(traces.replaced_on_request(e)),
            traces.file_stays(e),
        ),
        "it ended with {status} before it had ever answered",
    ),
    Rule(
        "stopping_server",
        R.SERVER_SHUTDOWN,
        lambda e: min(ended.may_be_asked_for(e), traces.server_stopping(e, traces.SERVER_SECONDS)),
        "its Jupyter server was being stopped, and it ended with {status}",
    ),
    Rule(
        "killed_with_server",
        R.SERVER_DIED,
        lambda e: min(
            ended.died_of(e, *ended.STOPPING),
            max(known(e.server_file_deleted_seconds), ended.died_of(e, signal.SIGKILL), UNASKED),
            traces.server_died_too(e),
        ),
        "it ended with {status} together with its Jupyter server, which had not been stopped",
    ),
    Rule(
        "ended_with_server",
        R.SERVER_SHUTDOWN,
        lambda e: min(
            LIKELY,
            ended.ended_as_jupyter_ends_it(e),
            negate(known(e.server_file_deleted_seconds)),
            traces.server_died_too(e, traces.SERVER_EXIT_SECONDS),
        ),
        "it ended with {status} together with its Jupyter server",
    ),
    # Jupyter's part in it shows only in what followed.
    Rule(
        "quick_successor",
        R.RESTART_REQUESTED,
        lambda e: min(
            max(
                ended.ended_as_jupyter_ends_it(e),
                min(ended.exited_with_error(e), ended.never_ready(e)),
            ),
            traces.replaced_on_request(e),
        ),
        "{gap} s after its end a new process took its place, sooner than by itself",
    ),
    Rule(
        "file_deleted",
        R.SHUTDOWN_REQUESTED,
        lambda e: min(
            LIKELY,
            ended.may_be_asked_for(e),
            traces.deleted(e),
            negate(traces.replaced(e, traces.DELETED_SECONDS)),
        ),
        "its connection file was deleted {deleted} s after its end, as a shutdown does",
    ),
    Rule(
        "server_waited",
        R.SHUTDOWN_REQUESTED,
        lambda e: min(
            LIKELY,
            ended.ended_as_jupyter_ends_it(e),
            negate(known(e.file_deleted_seconds)),
            traces.awaited(e),
            negate(traces.replaced(e, traces.RESTARTED_SECONDS)),
        ),
        "its server was waiting for its end, and no new process took its place",
    ),
    # Nobody at Jupyter had a part in it.
    Rule(
        "cpu_limit",
        R.FATAL_SIGNAL,
        lambda e: min(LIKELY, ended.died_of(e, signal.SIGKILL), said(e.cpu_limit_reached)),
        "it died of {status} when it had used up the CPU time that RLIMIT_CPU allows",
    ),
    Rule(
        "killed_as_memory_ran_out",
        R.OOM_SUSPECTED,
        lambda e: min(ended.died_of(e, signal.SIGKILL), ended.killed_while_memory_ran_out(e)),
        "it died of {status} while linux killed for memory, and no record says whom",
    ),
    Rule(
        "killed",
        R.KILLED,
        lambda e: min(
            ended.died_of(e, signal.SIGKILL),
            negate(ended.killed_while_memory_ran_out(e)),
            traces.nobody_asked(e),
        ),
        "it died of {status}, and neither linux nor Jupyter has left a sign of having sent it",
    ),
    Rule(
        "terminated",
        R.TERMINATED,
        lambda e: min(ended.died_of(e, signal.SIGTERM, signal.SIGINT), traces.nobody_asked(e)),
        "it died of {status}, and Jupyter has left no sign of having sent it",
    ),
    Rule(
        "other_signal",
        R.TERMINATED,
        ended.died_of_another_signal,
        "it died of {status}, which Jupyter does not send",
    ),
    Rule(
        "clean_start_failure",
        R.STARTUP_FAILED,
        lambda e: min(ended.exited(e, 0), ended.never_ready(e), traces.nobody_asked(e)),
        "it ended with {status} before it had ever answered, and nobody had asked it to",
    ),
    Rule(
        "exit_cell",
        R.EXIT_CLEAN,
        lambda e: min(ended.exited(e, 0), said(e.exit_cell)),
        "a cell with exit() or quit() was the last that ran",
    ),
    Rule(
        "exit_clean",
        R.EXIT_CLEAN,
        lambda e: min(ended.exited(e, 0), traces.nobody_asked(e)),
        "it ended with {status}, and nobody had asked it to",
    ),
    Rule(
        "exit_error",
        R.EXIT_ERROR,
        ended.exited_with_error,
        "it ended by itself with {status}",
    ),
    Rule(
        "unknown",
        R.UNKNOWN,
        lambda _: LIKELY,
        "it ended with {status}, and nothing says why",
    ),
)


def classify(evidence: Evidence) -> Verdict | None:
    """The verdict of the first rule that holds; ``None``: too early to say, see :func:`next_look`.

    It is certain if the rule's own facts are, and all rules above are ruled out: none of them only
    for want of an answer. A rule above that would say the same, or the same more exactly, does not
    count.
    """
    open_reasons: set[Reason] = set()
    for rule in RULES:
        truth = rule.holds(evidence)
        if truth is NOT_YET:
            return None
        if truth in {LIKELY, YES}:
            certain = truth is YES and open_reasons <= REFINES[rule.reason] | {rule.reason}
            because = rule.because.format_map(_words(evidence))
            return Verdict(rule.reason, certain, because, rule.name)
        if truth is UNASKED:
            open_reasons.add(rule.reason)
    raise AssertionError("the last rule always holds")


def next_look(evidence: Evidence) -> float:
    """Seconds after the end at which a verdict is due, even if nothing new is learnt until then."""
    windows = (
        0.0,
        traces.SETTLED_SECONDS,
        traces.REAPED_SECONDS,
        traces.RESTARTED_SECONDS,
        traces.HURRIED_SECONDS,
        traces.SERVER_SECONDS,
        traces.DELETED_SECONDS,
        traces.REPLACED_SECONDS,
        traces.PATIENT_SECONDS,
        traces.SERVER_EXIT_SECONDS,
        evidence.period_seconds + GRACE_SECONDS,
    )
    looks = sorted({deadline(evidence, seconds) for seconds in windows})
    for look in (evidence.observed_seconds, *looks):
        later = replace(evidence, observed_seconds=max(look, evidence.observed_seconds))
        if classify(later) is not None:
            return later.observed_seconds
    return inf


def _words(evidence: Evidence) -> dict[str, object]:
    """What sentences are filled in with."""
    limit = evidence.oom_records[0].cgroup if evidence.oom_records else ""
    limit = limit if limit.isprintable() else ascii(limit)
    return {
        "status": evidence.status or "a status that nobody could read",
        "cgroup": f"the cgroup {limit}" if limit else "its cgroup",
        "gap": _seconds(evidence.successor_seconds),
        "deleted": _seconds(evidence.file_deleted_seconds),
    }


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None or seconds == inf else f"{seconds:.2f}"
