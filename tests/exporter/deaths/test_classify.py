"""Every kind of end that was seen on real kernels gets its reason, and never a bolder one.

``tests/fixtures/decisions.txt`` holds what the table of rules says about a product of facts, so
that a change of it shows as a diff. After one that is meant, write it anew and read the diff::

    PYTHONPATH=exporter:tests python tests/exporter/deaths/test_classify.py --update
"""

import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.deaths.classify import RULES, classify, next_look
from jupyter_kernel_exporter.deaths.reasons import MEANINGS
from jupyter_kernel_exporter.deaths.record import (
    Evidence,
    OomRise,
    Reason,
    ShutdownReply,
    Verdict,
)
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import Scope
from support.ends import (
    ALL_ASKED,
    RIGHTS,
    SOURCES,
    automatic,
    cleaned,
    dies,
    exits,
    first_verdict,
    requested,
    said,
    stopped,
    verdict_on,
    victim,
    without,
)

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/fixtures/decisions.txt"
RESTART, SHUTDOWN = said(ShutdownReply.RESTART), said(ShutdownReply.SHUTDOWN)
ASKED = {"shutdown_request_seen": True}
OTHERS = {"cgroup_oom": OomRise(1, others=1), "host_oom": OomRise(1, others=1)}
WRAPPED: dict[str, Any] = {"status_is_wrappers": True}
YOUNG: dict[str, Any] = {"ready": False, "age_seconds": 0.05}
LOST: dict[str, Any] = {"server_died_seconds": -0.5, "parent_changed": True, "reaped_seconds": 1.5}
TOGETHER: dict[str, Any] = {"server_died_seconds": -0.01, "reaped_seconds": 0.02}
ESCALATED = {"pending_signals": frozenset({9, 15})}

# The end; its status; what else is seen of it; and the reason for root, for one without kmsg, for
# one without iopub, for another user, who has neither and sees no files. "!": certain, "?": not.
CASES: list[tuple[str, WaitStatus | None, dict[str, Any], str]] = [
    # Asked for through Jupyter
    ("restart, idle", exits(0), RESTART | requested(), "restart_requested !!??"),
    (
        "restart, of a kernel that is silent on iopub (IRkernel, xeus)",
        exits(0),
        requested(),
        "restart_requested ????",
    ),
    ("restart, SIGTERM after 2.5 s", dies(15), RESTART | requested(), "restart_requested !!??"),
    ("restart, SIGKILL after 5 s", dies(9), RESTART | requested(), "restart_requested !!??"),
    (
        "restart, a crash on the way out",
        dies(11),
        RESTART | requested(),
        "restart_requested! restart_requested! segfault? segfault?",
    ),
    (
        "restart, children that stay: only the request is seen",
        dies(15),
        ASKED | requested(),
        "restart_requested !!??",
    ),
    ("restart, the GIL is held", dies(15), requested(), "restart_requested ????"),
    (
        "restart, the GIL is held, on the restarter's moment by chance",
        dies(15),
        requested(phase=0.03),
        "terminated ????",
    ),
    (
        "restart of a stopped kernel",
        dies(9),
        ESCALATED | requested(phase=0.03),
        "restart_requested ????",
    ),
    (
        "restart during the start, or two at once",
        dies(2),
        YOUNG | {"age_seconds": 0.1} | requested(0.047, -2.85),
        "restart_requested ????",
    ),
    ("restart of a JVM", exits(143), requested(), "restart_requested ????"),
    ("delete", exits(0), SHUTDOWN | cleaned(), "shutdown_requested !!??"),
    ("delete, silent kernel", exits(0), cleaned(), "shutdown_requested ????"),
    ("delete, SIGTERM after 2.5 s", dies(15), SHUTDOWN | cleaned(), "shutdown_requested !!??"),
    ("delete, SIGKILL after 5 s", dies(9), SHUTDOWN | cleaned(), "shutdown_requested !!??"),
    ("delete, children that stay", dies(15), ASKED | cleaned(), "shutdown_requested !!??"),
    ("delete, the GIL is held", dies(15), cleaned(), "shutdown_requested ????"),
    ("delete of a stopped kernel", dies(9), ESCALATED | cleaned(), "shutdown_requested ????"),
    (
        "delete, the server was slow to fetch the status",
        dies(15),
        cleaned(reaped=0.25),
        "shutdown_requested? shutdown_requested? shutdown_requested? unknown?",
    ),
    ("cull, which looks like a delete", exits(0), SHUTDOWN | cleaned(), "shutdown_requested !!??"),
    (
        "another client asks it to end, and the restarter comes",
        exits(0),
        SHUTDOWN | automatic(),
        "shutdown_requested! shutdown_requested! exit_clean? exit_clean?",
    ),
    # Its server
    ("server stopped, kernel idle", exits(0), SHUTDOWN | stopped(), "server_shutdown !!??"),
    ("server stopped, kernel busy", dies(15), SHUTDOWN | stopped(-2.5), "server_shutdown !!??"),
    ("server stopped, children that stay", dies(15), ASKED | stopped(-2.5), "server_shutdown !!??"),
    ("server stopped, silent kernel", exits(0), stopped(), "server_shutdown !!??"),
    (
        "server stopped, it lives on for SIGKILL from systemd",
        dies(9),
        stopped(-90.0) | {"server_died_seconds": -89.0},
        "server_shutdown? server_shutdown? server_shutdown? server_died?",
    ),
    ("SIGTERM to server and kernels at once", dies(15), stopped(-0.01), "server_shutdown !!??"),
    (
        "SIGTERM to server and kernels at once, the kernel is quicker",
        dies(15),
        stopped(0.02),
        "server_shutdown !!??",
    ),
    ("server killed", exits(1), LOST, "server_died !!!?"),
    ("console killed", exits(1), LOST, "server_died !!!?"),
    (
        "server killed long ago, the kernel notices late",
        exits(1),
        LOST | {"server_died_seconds": -60.0},
        "server_died ????",
    ),
    (
        "server cannot be seen, but the kernel's parent is another one",
        exits(1),
        {"server_died_seconds": None, "parent_changed": True},
        "server_died ????",
    ),
    ("SIGKILL to all at once", dies(9), TOGETHER, "server_died !!!?"),
    (
        "SIGKILL to an orphan",
        dies(9),
        LOST | {"server_died_seconds": -3600.0},
        "killed! killed! killed! unknown?",
    ),
    (
        "SIGHUP to all at once",
        dies(1),
        TOGETHER,
        "server_died! server_died! server_died! terminated?",
    ),
    # By somebody else
    ("kill -9", dies(9), {"pending_signals": frozenset({9})} | automatic(), "killed !!!?"),
    ("kill -9, the restarter comes at once", dies(9), automatic(0.1), "killed ????"),
    (
        "kill -9, the restarter comes at once and writes another file (cache_ports off)",
        dies(9),
        {"file_deleted_seconds": 0.2} | automatic(0.22),
        "killed ????",
    ),
    ("kill -9, then a restart by a person", dies(9), requested(1.4), "killed !!!?"),
    (
        "kill -9, autorestart off",
        dies(9),
        {"reaped_seconds": inf},
        "killed! killed! killed! unknown?",
    ),
    ("SIGTERM", dies(15), automatic(), "terminated !!!?"),
    ("SIGHUP", dies(1), automatic(), "terminated !!!?"),
    ("a real-time signal", dies(64), automatic(), "terminated !!!?"),
    (
        "systemd-oomd or cgroup.kill: SIGKILL to its cgroup, but not to its server",
        dies(9),
        automatic(),
        "killed !!!?",
    ),
    ("earlyoom: SIGTERM", dies(15), automatic(), "terminated !!!?"),
    # Memory
    (
        "OOM in its cgroup",
        None,
        victim() | automatic(),
        "oom_cgroup! oom_suspected? oom_cgroup! oom_suspected?",
    ),
    (
        "OOM of the host",
        None,
        victim(Scope.HOST) | automatic(),
        "oom_host! oom_suspected? oom_host! oom_suspected?",
    ),
    (
        "OOM and its last restart",
        None,
        {"reaped_seconds": 1.2} | victim(),
        "oom_cgroup! oom_suspected? oom_cgroup! oom_suspected?",
    ),
    (
        "OOM of a cgroup with its server (memory.oom.group)",
        None,
        victim() | TOGETHER,
        "oom_cgroup! server_died? oom_cgroup! server_died?",
    ),
    (
        "OOM on the way out",
        None,
        victim() | RESTART | requested(),
        "oom_cgroup! restart_requested? oom_cgroup! restart_requested?",
    ),
    (
        "OOM of a neighbour in the same second, kill -9 of this one",
        dies(9),
        OTHERS | automatic(),
        "killed! oom_suspected? killed! oom_suspected?",
    ),
    (
        "OOM of a neighbour in the same second, a crash of this one",
        dies(11),
        OTHERS | automatic(),
        "segfault !!!?",
    ),
    (
        "OOM of which linux' log names nobody",
        dies(9),
        {"cgroup_oom": OomRise(2, others=1)} | automatic(),
        "oom_suspected ????",
    ),
    (
        "OOM of a wrapper's child",
        None,
        victim() | {"status": exits(0)} | WRAPPED | automatic(),
        "oom_cgroup! unknown? oom_cgroup! unknown?",
    ),
    (
        "SIGKILL, no OOM counter can be read",
        dies(9),
        {"cgroup_oom": None, "host_oom": None} | automatic(),
        "killed! unknown? killed! unknown?",
    ),
    # Crashes
    ("SIGSEGV", dies(11), automatic(), "segfault !!!?"),
    ("SIGBUS", dies(7), automatic(), "segfault !!!?"),
    ("SIGSEGV, then a restart by a person", dies(11), requested(0.4), "segfault !!??"),
    ("SIGSEGV for the sixth time", dies(11), {"reaped_seconds": 1.2}, "segfault !!!?"),
    ("SIGSEGV during the start", dies(11), YOUNG | automatic(2.9), "segfault !!!?"),
    ("SIGSEGV of xeus, which has a handler", exits(1), automatic(), "exit_error !!!?"),
    ("SIGABRT", dies(6), automatic(), "abort !!!?"),
    ("SIGFPE", dies(8), automatic(), "fatal_signal !!!?"),
    ("SIGXCPU", dies(24), automatic(), "fatal_signal !!!?"),
    (
        "SIGKILL by the hard RLIMIT_CPU",
        dies(9),
        {"cpu_limit_reached": True} | automatic(),
        "fatal_signal ????",
    ),
    (
        "SIGKILL by the hard RLIMIT_CPU, while linux kills for memory",
        dies(9),
        {"cpu_limit_reached": True, "cgroup_oom": OomRise(1)} | automatic(),
        "fatal_signal ????",
    ),
    # Exits
    (
        "failed start",
        exits(1),
        YOUNG | automatic(2.95),
        "startup_failed! startup_failed! startup_failed! exit_error?",
    ),
    (
        "failed start, for the last time",
        exits(1),
        YOUNG | {"reaped_seconds": 2.95},
        "startup_failed! startup_failed! startup_failed! exit_error?",
    ),
    (
        "failed start after 40 s on a slow disk",
        exits(1),
        YOUNG | {"age_seconds": 40.0} | automatic(),
        "startup_failed! startup_failed! startup_failed! exit_error?",
    ),
    (
        "failed start under nbclient, which cleans up",
        exits(1),
        YOUNG | cleaned(0.3, 0.3),
        "startup_failed? startup_failed? startup_failed? exit_error?",
    ),
    (
        "failed start with exit 0",
        exits(0),
        YOUNG | automatic(2.95),
        "startup_failed! startup_failed! startup_failed? exit_clean?",
    ),
    ("exit() in a cell", exits(0), {"exit_cell": True} | automatic(), "exit_clean !!??"),
    (
        "exit() in a cell, nothing else can be seen",
        exits(0),
        {"exit_cell": True, "file_deleted_seconds": None, "successor_seconds": None},
        "exit_clean? exit_clean? unknown? unknown?",
    ),
    ("os._exit(0), or a handler of SIGTERM that does it", exits(0), automatic(), "exit_clean !!??"),
    ("os._exit(1)", exits(1), automatic(), "exit_error !!!?"),
    ("os._exit(137), which is no SIGKILL", exits(137), automatic(), "exit_error !!!?"),
    # Wrappers
    (
        "wrapper with exit 0 whatever happens, the child not seen",
        exits(0),
        WRAPPED | automatic(),
        "unknown ????",
    ),
    ("wrapper with exit 139", exits(139), WRAPPED | automatic(), "segfault ????"),
    ("wrapper with exit 137", exits(137), WRAPPED | automatic(), "killed ????"),
    ("wrapper with exit 3", exits(3), WRAPPED | automatic(), "exit_error ????"),
    (
        "wrapper killed, the kernel follows within a second",
        dies(9),
        WRAPPED | automatic(),
        "killed ????",
    ),
    (
        "wrapper with SIGINT on a clean restart, the child seen",
        exits(0),
        {"wrapper_status": dies(2)} | RESTART | requested(),
        "restart_requested !!??",
    ),
    # No status
    (
        "masked status of a process that had been sent SIGKILL",
        None,
        {"pending_signals": frozenset({9})} | automatic(),
        "killed ????",
    ),
    (
        "masked status of a process that had been sent SIGTERM",
        None,
        {"pending_signals": frozenset({15})} | automatic(),
        "terminated ????",
    ),
    ("masked status: 0 is not exit 0", None, automatic(), "unknown ????"),
    (
        "nobody saw it end, but the file is gone",
        None,
        cleaned(),
        "shutdown_requested? shutdown_requested? shutdown_requested? unknown?",
    ),
    (
        "nobody saw it end, but linux names it",
        None,
        victim() | {"status": None},
        "oom_cgroup! unknown? oom_cgroup! unknown?",
    ),
]

WITH_LOG: list[tuple[str, WaitStatus | None, dict[str, Any], str]] = [
    ("cull", exits(0), SHUTDOWN | cleaned(), "culled!"),
    ("cull, silent kernel", exits(0), cleaned(), "culled!"),
    ("cull, nobody could read the status", None, cleaned(), "culled?"),
]
"""The log of the server says that it was culled."""


def shown(verdict: Verdict | None) -> str:
    """As the tables have it."""
    return "-" if verdict is None else verdict.reason + ("!" if verdict.certain else "?")


def expectations(text: str) -> list[str]:
    """``segfault !!!?`` or four whole words."""
    words = text.split()
    return [words[0] + mark for mark in words[1]] if len(words) == 2 else words


def all_cases() -> Iterator[tuple[str, Evidence, str]]:
    """Each case as each of the four see it."""
    for name, status, facts, expected in CASES:
        end = replace(ALL_ASKED, **{"status": status} | facts)
        for rights, word in zip(RIGHTS, expectations(expected), strict=True):
            yield f"{name}, {rights}", without(end, RIGHTS[rights]), word
    for name, status, facts, word in WITH_LOG:
        yield name, replace(ALL_ASKED, cull_logged=True, **{"status": status} | facts), word


SEEN = {name: evidence for name, evidence, _ in all_cases()}


@pytest.mark.parametrize(
    ("evidence", "expected"), [pytest.param(e, x, id=name) for name, e, x in all_cases()]
)
def test_case(evidence: Evidence, expected: str) -> None:
    """Each end has the reason that it really had, or an honest weaker one."""
    assert shown(classify(evidence)) == expected


EDGES: list[tuple[WaitStatus, dict[str, Any], str]] = [
    (dies(15), requested(0.30), "restart_requested?"),
    (dies(15), requested(0.31, phase=1.2), "restart_requested?"),
    (dies(15), requested(0.30, phase=0.3), "restart_requested?"),
    (dies(15), requested(0.31, phase=0.3), "terminated!"),
    (dies(15), requested(0.31, phase=1.01), "restart_requested?"),
    (dies(15), requested(1.0, phase=1.2), "restart_requested?"),
    (dies(15), requested(1.01, phase=1.2), "terminated!"),
    (dies(15), requested(phase=-0.016), "restart_requested?"),
    (dies(15), requested(phase=-0.015), "terminated?"),
    (dies(15), requested(phase=0.06), "terminated?"),
    (dies(15), requested(phase=0.061), "restart_requested?"),
    (dies(15), cleaned(1.00), "shutdown_requested?"),
    (dies(15), cleaned(1.01), "terminated!"),
    (dies(15), ASKED | requested(0.60), "restart_requested!"),
    (dies(15), ASKED | requested(0.61, phase=1.2), "restart_requested?"),
    (dies(15), ASKED | requested(0.61, phase=0.3), "shutdown_requested?"),
    (dies(15), ASKED | requested(2.01), "shutdown_requested?"),
    (exits(1), YOUNG | requested(), "restart_requested?"),
    (exits(1), YOUNG | cleaned(), "startup_failed?"),
    (dies(15), {"server_file_deleted_seconds": 0.45}, "server_shutdown!"),
    (dies(15), {"server_file_deleted_seconds": 0.46}, "terminated!"),
    (dies(15), {"server_file_deleted_seconds": -6.0}, "server_shutdown!"),
    (dies(15), {"server_file_deleted_seconds": -6.1}, "server_shutdown?"),
    (dies(15), {"server_file_deleted_seconds": -100.1}, "terminated!"),
    (dies(9), {"server_died_seconds": 0.45}, "server_died!"),
    (dies(9), {"server_died_seconds": 0.46}, "killed!"),
    (dies(9), {"server_died_seconds": -2.0}, "server_died!"),
    (dies(9), {"server_died_seconds": -2.1}, "server_died?"),
    (dies(9), {"server_died_seconds": -100.1}, "killed!"),
    (exits(1), {"server_died_seconds": 0.10}, "server_died!"),
    (exits(1), {"server_died_seconds": 0.11}, "exit_error!"),
    (exits(1), {"server_died_seconds": -10.0}, "server_died!"),
    (exits(1), {"server_died_seconds": -10.1}, "server_died?"),
    (exits(0), {"file_deleted_seconds": None, "reaped_seconds": 0.20}, "shutdown_requested?"),
    (exits(0), {"file_deleted_seconds": None, "reaped_seconds": 0.21}, "unknown?"),
    (exits(0), {"file_deleted_seconds": None, "successor_seconds": 4.0}, "exit_clean?"),
    (exits(0), {"file_deleted_seconds": None, "successor_seconds": 4.1}, "unknown?"),
]


@pytest.mark.parametrize(("status", "facts", "expected"), EDGES)
def test_edge(status: WaitStatus, facts: dict[str, Any], expected: str) -> None:
    """Each of the measured limits is where it is said to be."""
    evidence = replace(ALL_ASKED, cull_logged=None, **{"status": status} | facts)
    assert shown(classify(evidence)) == expected


def test_cases_reach_every_rule_and_reason() -> None:
    """No rule is dead or hidden behind another one, no reason is out of reach."""
    verdicts = [classify(evidence) for _, evidence, _ in all_cases()]
    assert {v.rule for v in verdicts if v} == {rule.name for rule in RULES}
    assert {v.reason for v in verdicts if v} == set(Reason)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_sentences() -> None:
    """Every verdict bears one whole sentence without holes, and no rule was forgotten in it."""
    for name, evidence, _ in all_cases():
        verdict = classify(evidence)
        assert verdict is not None
        assert not set("{}?\n") & set(verdict.because), name


def test_sentence_names_the_cgroup() -> None:
    """Whose limit it was is said, also if somebody gave it a name to confuse people."""
    evidence = replace(ALL_ASKED, **victim(path="/kubepods/{status}\nroot: all is well"))
    verdict = classify(evidence)
    assert verdict is not None
    assert "'/kubepods/{status}\\nroot: all is well'" in verdict.because


# Time --------------------------------------------------------------------------------------------

# The end, and the second from which on it has a verdict, with 0.05 s in which news comes.
TIMES = [
    ("SIGSEGV, root", 0.0),
    ("SIGABRT, root", 0.0),
    ("OOM in its cgroup, root", 0.0),
    ("restart, idle, root", 0.0),
    ("server stopped, kernel idle, root", 0.0),
    ("server killed, root", 0.0),
    ("delete, root", 0.05),  # the server's file could still be found deleted
    ("failed start, root", 1.05),  # a person may be in a hurry
    ("restart, the GIL is held, root", 0.08),
    ("delete, silent kernel, root", 0.5),
    ("delete, children that stay, root", 0.05),
    ("kill -9, root", 1.05),
    ("kill -9, no kmsg", 1.05),
    ("kill -9, other user", 1.2),
    ("kill -9, the restarter comes at once, root", 0.1),
    ("kill -9, autorestart off, root", 1.05),
    ("kill -9, autorestart off, other user", 4.05),
    ("os._exit(0), or a handler of SIGTERM that does it, root", 1.05),
    ("os._exit(1), root", 1.05),
    ("delete, other user", 1.05),
    ("SIGTERM to server and kernels at once, the kernel is quicker, root", 0.02),
    ("SIGKILL to all at once, root", 0.5),
]


@pytest.mark.parametrize(("name", "due"), TIMES)
def test_time_of_verdict(name: str, due: float) -> None:
    """A verdict waits for what may still come and would change it, and for nothing else."""
    seconds, _ = first_verdict(SEEN[name])
    assert seconds == pytest.approx(due)


def test_next_look_at_once() -> None:
    """What has a verdict need not be looked at later."""
    evidence = replace(ALL_ASKED, status=dies(11), observed_seconds=0.2)
    assert next_look(evidence) == 0.2


def test_lag_is_waited_for() -> None:
    """Where a directory is read only each second, its news are waited for so much longer."""
    evidence = replace(ALL_ASKED, status=dies(9), observed_seconds=0.6, lag_seconds=1.0)
    assert classify(evidence) is None
    assert next_look(evidence) == pytest.approx(2.0)


def test_learnt_period_is_waited_for() -> None:
    """Where only the next process can tell, this server's restarter is given its time."""
    evidence = without(replace(ALL_ASKED, status=dies(9), period_seconds=10.0), ["file"])
    evidence = replace(evidence, observed_seconds=5.0)
    assert classify(evidence) is None
    assert next_look(evidence) == pytest.approx(11.05)


def test_pending_status_is_waited_for() -> None:
    """A status that comes with the reap is waited for, but not for ever: zombies can stay."""
    evidence = replace(ALL_ASKED, status_pending=True, pending_signals=frozenset({9}))
    assert classify(replace(evidence, observed_seconds=1.0)) is None
    assert next_look(replace(evidence, observed_seconds=1.0)) == pytest.approx(4.05)
    assert shown(classify(evidence)) == "killed?"
    heard = replace(evidence, observed_seconds=0.0, **RESTART)
    assert shown(classify(heard)) == "restart_requested!", "said by itself: no status is needed"


# The whole table ---------------------------------------------------------------------------------

KILLS: dict[str, dict[str, Any]] = {
    "SIGKILL": {"status": dies(9)},
    "SIGKILL, CPU time used up": {"status": dies(9), "cpu_limit_reached": True},
    "SIGKILL, log names it": victim(),
    "SIGKILL, log names it, host": victim(Scope.HOST),
    "SIGKILL, no log, counter rose": {
        "status": dies(9),
        "oom_records": None,
        "cgroup_oom": OomRise(1),
    },
}
ENDS: dict[str, dict[str, Any]] = {
    "exit 0": {"status": exits(0)},
    "exit 0, exit() in a cell": {"status": exits(0), "exit_cell": True},
    "exit 0, never ready": {"status": exits(0), "ready": False},
    "exit 1": {"status": exits(1)},
    "exit 1, never ready": {"status": exits(1), "ready": False},
    "exit 3": {"status": exits(3)},
    **KILLS,
    "SIGTERM": {"status": dies(15)},
    "SIGHUP": {"status": dies(1)},
    "SIGSEGV": {"status": dies(11)},
    "no status": {},
}
HEARD: dict[str, dict[str, Any]] = {
    "could not listen": dict.fromkeys(SOURCES["iopub"]),
    "heard nothing": {},
    "heard a request": ASKED,
    "heard restart": RESTART,
    "heard shutdown": SHUTDOWN,
}
AFTER: dict[str, dict[str, Any]] = {
    "nobody could look": {
        field: None
        for source in ("file", "server_file", "server", "parent", "successor", "reap")
        for field in SOURCES[source]
    },
    "nothing happens": {},
    "automatic restart": automatic(),
    "quick restart": requested(),
    "file deleted": cleaned(),
    "server stopped": stopped(),
    "server killed": TOGETHER,
}


def render() -> str:
    """The golden file: what the rules say about each end, and when."""
    lines = []
    for after, heard in product(AFTER, HEARD):
        lines += ["", f"## {after}, {heard}"]
        for end, status in ENDS.items():
            facts = {"cull_logged": None} | HEARD[heard] | AFTER[after] | status
            verdict = verdict_on(replace(ALL_ASKED, **facts))
            lines.append(f"{end:31}{shown(verdict):21}{verdict.rule}")
    return "\n".join(["# made by test_classify.py; ! is certain, ? is not", *lines, ""])


def test_golden() -> None:
    """The table of rules says what it said when it was last looked at."""
    assert render() == GOLDEN.read_text(encoding="utf-8")


def test_every_reason_is_explained() -> None:
    """Each reason has a line of meaning and a line of advice, and the docs have them all."""
    assert set(MEANINGS) == set(Reason)
    for line in (line for meaning in MEANINGS.values() for line in meaning):
        assert line.endswith(".")
        assert "\n" not in line
    page = runpy.run_path(str(ROOT / "tools/reasons.py"))["render"]()
    assert (ROOT / "docs/reasons.md").read_text(encoding="utf-8") == page


if __name__ == "__main__":
    assert sys.argv[1:] == ["--update"], __doc__
    GOLDEN.write_text(render(), encoding="utf-8")
