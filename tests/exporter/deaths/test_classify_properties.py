"""What holds for every end: who sees less claims less, and memory is not blamed lightly."""

from dataclasses import replace
from math import inf
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jupyter_kernel_exporter.deaths.classify import classify, next_look
from jupyter_kernel_exporter.deaths.reasons import REFINES
from jupyter_kernel_exporter.deaths.record import (
    Evidence,
    OomRecord,
    OomRise,
    Reason,
    ShutdownReply,
    Verdict,
)
from jupyter_kernel_exporter.model import Scope
from support.ends import (
    ALL_ASKED,
    SOURCES,
    automatic,
    cleaned,
    dies,
    exits,
    first_verdict,
    requested,
    stopped,
    verdict_on,
    victim,
    without,
)

STATUSES = [exits(c) for c in (0, 1, 3, 143)] + [
    dies(s) for s in (1, 2, 6, 7, 8, 9, 11, 13, 15, 24, 64)
]


STORIES = ["restart", "shutdown", "cull", "stop", "orphan", "together", "widow", "alone"]
"""Asked for by a person, the culler or the server's stop; the server is lost just before, in the
same moment, or long ago; or nobody else has a part in it."""


def _seconds(first: float, last: float) -> st.SearchStrategy[float]:
    return st.floats(first, last).map(lambda s: round(s, 3))


@st.composite
def ends(draw: st.DrawFn) -> Evidence:
    """Any end that is consistent: what belongs together on real machines comes together.

    A restart on request has a quick successor and leaves the file; a shutdown deletes the file and
    has no successor; a server that stops deletes its own file first; linux names each victim, so
    where its log is read a counter does not rise without a name.
    """
    story = draw(st.sampled_from(STORIES))
    status = draw(st.sampled_from(STATUSES))
    heard, reply = draw(st.sampled_from(["reply", "seen", "nothing"])), ShutdownReply.SHUTDOWN
    phase = draw(_seconds(-1.5, 1.5))
    facts: dict[str, Any] = {}
    if story == "restart":
        facts, reply = requested(draw(_seconds(0.03, 0.25)), phase), ShutdownReply.RESTART
    elif story in {"shutdown", "cull"}:
        facts = cleaned(draw(_seconds(0.01, 0.4)), draw(_seconds(0.01, 0.4)))
        facts["cull_logged"] = story == "cull"
    elif story == "stop":
        facts = stopped(draw(_seconds(-5.5, -0.01)))
        facts["server_died_seconds"] = draw(st.just(inf) | _seconds(0.01, 5.0))
    else:
        heard = "nothing"
        if story == "orphan":
            status = exits(1)
            facts = {"server_died_seconds": draw(_seconds(-9.0, -0.05)), "parent_changed": True}
        elif story == "together":
            status = draw(st.sampled_from([dies(1), dies(9), dies(15)]))
            facts = {"server_died_seconds": draw(_seconds(-1.0, 0.4))}
        elif story == "widow":
            facts = {"server_died_seconds": draw(_seconds(-1000.0, -11.0)), "parent_changed": True}
        else:
            facts = draw(
                st.builds(automatic, _seconds(0.02, 3.0), _seconds(-0.015, 0.06))
                | st.builds(requested, _seconds(0.31, 100.0), st.just(phase))
                | st.builds(lambda s: {"reaped_seconds": s}, st.just(inf) | _seconds(0.01, 3.0))
            )
    if heard != "nothing":
        facts["shutdown_request_seen"] = True
        facts["shutdown_reply"] = reply if heard == "reply" else ShutdownReply.NONE
    oom = draw(st.sampled_from(["none", "none", "victim", "others", "unnamed"]))
    if oom == "victim" and story != "orphan":
        facts |= victim(draw(st.sampled_from([Scope.CGROUP, Scope.HOST])))
        status = facts["status"]
    elif oom != "none":
        rise = OomRise(1, others=oom == "others")
        facts |= {"cgroup_oom": rise, "host_oom": rise}
        facts |= {"oom_records": None} if oom == "unnamed" else {}
    facts |= {
        "status": status,
        "status_is_wrappers": draw(st.sampled_from([False] * 5 + [True])),
        "pending_signals": frozenset({status.signal} & {9, 15}),
        "ready": draw(st.booleans()),
        "exit_cell": draw(st.booleans()),
        "cpu_limit_reached": draw(st.booleans()),
    }
    return replace(ALL_ASKED, **facts)


MISSING = st.sets(st.sampled_from(sorted(SOURCES)))

MORE: dict[Reason, set[Reason]] = {
    Reason.EXIT_ERROR: {Reason.STARTUP_FAILED, Reason.SERVER_DIED},
    Reason.EXIT_CLEAN: {Reason.STARTUP_FAILED},
    Reason.TERMINATED: {Reason.SERVER_DIED, Reason.SERVER_SHUTDOWN},
    Reason.KILLED: {
        Reason.OOM_CGROUP,
        Reason.OOM_HOST,
        Reason.FATAL_SIGNAL,
        Reason.SERVER_DIED,
        Reason.SERVER_SHUTDOWN,
    },
    Reason.OOM_SUSPECTED: {Reason.OOM_CGROUP, Reason.OOM_HOST},
    Reason.SHUTDOWN_REQUESTED: {Reason.CULLED, Reason.SERVER_SHUTDOWN},
}
"""Which reasons say more than another one about the same end. Between a request and an end by
itself there is no such order: they deny each other, and neither says more."""


def level(verdict: Verdict) -> int:
    """How much is claimed: nothing, something, something for certain.

    ``oom_suspected`` is a hint where to look, and claims no more than ``unknown`` does: it is what
    ``killed`` falls back to where nobody can say whom linux has killed.
    """
    hint = verdict.reason in {Reason.UNKNOWN, Reason.OOM_SUSPECTED}
    return 0 if hint else 2 if verdict.certain else 1


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(ends(), MISSING, MISSING)
def test_less_evidence_never_says_more(end: Evidence, some: set[str], more: set[str]) -> None:
    """Who sees less claims less; and what is certain to them is so to those who see more."""
    fuller, poorer = verdict_on(without(end, some)), verdict_on(without(end, some | more))
    assert level(poorer) <= level(fuller)
    if level(poorer) == level(fuller):
        assert poorer.reason not in MORE.get(fuller.reason, set())
    if poorer.certain:
        assert fuller.reason in REFINES[poorer.reason] | {poorer.reason}


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(ends(), MISSING)
def test_first_verdict_is_the_last(end: Evidence, missing: set[str]) -> None:
    """What is said as soon as a verdict is due is what is said when all has come to light."""
    evidence = without(end, missing)
    _, first = first_verdict(evidence)
    last = verdict_on(evidence)
    assert first.reason == last.reason
    assert not first.certain or last.certain


def optional(*values: object) -> st.SearchStrategy[Any]:
    """One of them, or nobody could be asked."""
    return st.sampled_from([None, *values])


SECONDS = optional(inf, -200.0, -50.0, -4.0, -0.1, 0.0, 0.05, 0.2, 0.3, 0.44, 0.5, 1.2, 3.9, 50.0)
ANYTHING = st.builds(
    replace,
    st.just(ALL_ASKED),
    observed_seconds=st.sampled_from([0.0, 0.06, 0.2, 0.36, 0.51, 0.7, 1.06, 2.0, 4.06, inf]),
    status=optional(*STATUSES),
    status_pending=st.booleans(),
    status_is_wrappers=st.booleans(),
    pending_signals=optional(*(frozenset(s) for s in ((), (9,), (15,), (9, 15), (2,)))),
    reaped_seconds=SECONDS,
    ready=optional(True, False),
    cpu_limit_reached=optional(True, False),
    oom_records=optional((), (OomRecord(Scope.CGROUP, "/a"),), (OomRecord(Scope.HOST),)),
    cgroup_oom=optional(OomRise(0), OomRise(1), OomRise(1, 1), OomRise(2, 1)),
    host_oom=optional(OomRise(0), OomRise(1), OomRise(1, 1), OomRise(2, 1)),
    shutdown_reply=optional(*ShutdownReply),
    shutdown_request_seen=optional(True, False),
    exit_cell=optional(True, False),
    file_deleted_seconds=SECONDS,
    server_file_deleted_seconds=SECONDS,
    server_died_seconds=SECONDS,
    parent_changed=optional(True, False),
    cull_logged=optional(True, False),
    successor_seconds=SECONDS,
    phase_seconds=optional(-1.0, -0.015, 0.02, 0.06, 0.5),
)
"""Any combination of facts, however absurd."""


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(ANYTHING)
@example(replace(ALL_ASKED, status=dies(9), cgroup_oom=OomRise(1), oom_records=None))
def test_no_oom_without_oom_evidence(evidence: Evidence) -> None:
    """Memory is blamed on a record, or suspected on a counter, never on a SIGKILL alone."""
    verdict = verdict_on(replace(evidence, observed_seconds=inf))
    scopes = {record.scope for record in evidence.oom_records or ()}
    if verdict.reason is Reason.OOM_CGROUP:
        assert Scope.CGROUP in scopes
    if verdict.reason is Reason.OOM_HOST:
        assert Scope.HOST in scopes
    if verdict.reason is Reason.OOM_SUSPECTED:
        rises = [rise for rise in (evidence.cgroup_oom, evidence.host_oom) if rise]
        assert any(rise.kills > rise.others for rise in rises)
        assert not verdict.certain


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(ANYTHING)
def test_any_evidence(evidence: Evidence) -> None:
    """There is a verdict in the end, the same each time, and once certain it does not change."""
    last = verdict_on(replace(evidence, observed_seconds=inf))
    now = classify(evidence)
    assert now == classify(evidence)
    assert now is None or not now.certain or now == last
    look = next_look(evidence)
    assert look >= evidence.observed_seconds
    assert (look == evidence.observed_seconds) == (now is not None)
    assert classify(replace(evidence, observed_seconds=look)) is not None
    if last.reason is Reason.UNKNOWN:
        assert not last.certain
