"""Ends of kernels for tests: what is seen of each, by root and by those who may see less."""

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import Any

from jupyter_kernel_exporter.deaths.classify import classify, next_look
from jupyter_kernel_exporter.deaths.record import (
    Evidence,
    OomRecord,
    OomRise,
    ShutdownReply,
    Verdict,
)
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId, Scope

ALL_ASKED = Evidence(
    process=ProcessId(4711, 98765),
    ended_at=1_700_000_000.0,
    pending_signals=frozenset(),
    reaped_seconds=1.2,
    age_seconds=600.0,
    ready=True,
    cpu_limit_reached=False,
    oom_records=(),
    cgroup_oom=OomRise(0),
    host_oom=OomRise(0),
    shutdown_reply=ShutdownReply.NONE,
    shutdown_request_seen=False,
    exit_cell=False,
    file_deleted_seconds=inf,
    server_file_deleted_seconds=inf,
    server_died_seconds=inf,
    parent_changed=False,
    cull_logged=False,
    successor_seconds=inf,
)
"""Every source was there, and there was nothing to be seen: no status either."""

SOURCES: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "pending": ("pending_signals",),
    "reap": ("reaped_seconds",),
    "ready": ("ready",),
    "cpu": ("cpu_limit_reached",),
    "kmsg": ("oom_records",),
    "cgroup": ("cgroup_oom",),
    "vmstat": ("host_oom",),
    "iopub": ("shutdown_reply", "shutdown_request_seen", "exit_cell"),
    "file": ("file_deleted_seconds",),
    "server_file": ("server_file_deleted_seconds",),
    "server": ("server_died_seconds",),
    "parent": ("parent_changed",),
    "log": ("cull_logged",),
    "successor": ("successor_seconds", "phase_seconds"),
    "phase": ("phase_seconds",),
}
"""The facts that go when a source does."""

RIGHTS: dict[str, tuple[str, ...]] = {
    "root": ("log",),
    "no kmsg": ("log", "kmsg"),
    "no iopub": ("log", "iopub"),
    "other user": ("log", "kmsg", "iopub", "file", "server_file", "ready"),
}
"""What those who watch cannot see. Nobody reads the servers' logs."""


def exits(code: int) -> WaitStatus:
    """``exit CODE``."""
    return WaitStatus(code, None)


def dies(number: int) -> WaitStatus:
    """By a signal."""
    return WaitStatus(None, number)


def victim(scope: Scope = Scope.CGROUP, path: str = "/user.slice") -> dict[str, Any]:
    """Linux killed it for memory, and everybody who was asked says so."""
    return {
        "status": dies(9),
        "oom_records": (OomRecord(scope, path if scope is Scope.CGROUP else ""),),
        "cgroup_oom": OomRise(1),
        "host_oom": OomRise(1),
    }


def automatic(gap: float = 1.2, phase: float = 0.02) -> dict[str, Any]:
    """Jupyter's restarter started the next process."""
    return {"successor_seconds": gap, "phase_seconds": phase, "reaped_seconds": gap - 0.02}


def requested(gap: float = 0.08, phase: float = 1.2) -> dict[str, Any]:
    """A person had the next process started."""
    return automatic(gap, phase)


def cleaned(after: float = 0.05, reaped: float = 0.06) -> dict[str, Any]:
    """A server shut it down: the file is gone, and nothing follows."""
    return {"file_deleted_seconds": after, "reaped_seconds": reaped}


def stopped(before: float = -0.2) -> dict[str, Any]:
    """The server was stopped in an orderly way, and went some time after its kernels."""
    return {"server_file_deleted_seconds": before, "server_died_seconds": 0.4, **cleaned()}


def said(reply: ShutdownReply) -> dict[str, Any]:
    """The kernel announced its end."""
    return {"shutdown_reply": reply, "shutdown_request_seen": True}


def without(evidence: Evidence, missing: Iterable[str]) -> Evidence:
    """The same end, seen by somebody who has fewer sources."""
    missing = frozenset(missing)
    gone = {field: None for source in missing for field in SOURCES[source]}
    if "kmsg" in missing:  # it is what tells who the others were
        for field in ("cgroup_oom", "host_oom"):
            rise = getattr(evidence, field)
            gone.setdefault(field, rise and OomRise(rise.kills))  # type: ignore[arg-type]
    return replace(evidence, missing=missing, **gone)  # type: ignore[arg-type]


LATE = (
    "file_deleted_seconds",
    "server_file_deleted_seconds",
    "server_died_seconds",
    "successor_seconds",
    "reaped_seconds",
)


def as_of(evidence: Evidence, seconds: float) -> Evidence:
    """The same end as it looked ``seconds`` after it, to somebody who misses nothing."""
    future = [f for f in LATE if (getattr(evidence, f) or -inf) > seconds]
    changes: dict[str, Any] = dict.fromkeys(future, inf)
    if "successor_seconds" in future:
        changes["phase_seconds"] = None
    return replace(evidence, observed_seconds=seconds, **changes)


def late(evidence: Evidence) -> list[float]:
    """The moments at which something more is learnt about it."""
    times = (getattr(evidence, field) for field in LATE)
    return [seconds for seconds in times if seconds is not None and seconds != inf]


def first_verdict(evidence: Evidence) -> tuple[float, Verdict]:
    """When there is a verdict, looking at all news and when :func:`next_look` says; and which."""
    seconds = 0.0
    while (verdict := classify(as_of(evidence, seconds))) is None:
        look = next_look(as_of(evidence, seconds))
        assert look > seconds
        seconds = min([look, *(news for news in late(evidence) if news > seconds)])
    return seconds, verdict


def verdict_on(evidence: Evidence) -> Verdict:
    """The verdict of one who waits no longer."""
    verdict = classify(evidence)
    assert verdict is not None
    return verdict
