"""The doctor as a command: its table, its report, its exit status."""

import json
from dataclasses import replace
from typing import Any

import pytest

from jupyter_kernel_exporter.cli import main
from jupyter_kernel_exporter.deaths.record import Reason, ShutdownReply
from jupyter_kernel_exporter.doctor import judge
from jupyter_kernel_exporter.doctor.probe import Examination, Finding, Probe, Seen, Works
from jupyter_kernel_exporter.doctor.report import WIDTH, as_json, as_text
from jupyter_kernel_exporter.doctor.table import NODE_PROBES, PROBES, STATE_DIR
from jupyter_kernel_exporter.linux.capabilities import CAPABILITIES
from jupyter_kernel_exporter.settings import ALWAYS_ON, SOURCES
from support.ends import (
    ALL_ASKED,
    automatic,
    cleaned,
    dies,
    exits,
    requested,
    said,
    stopped,
    verdict_on,
    victim,
    without,
)


def examination(works: Works, less: str = "", *, enabled: bool = True) -> Examination:
    """The same finding for everything."""
    return Examination(
        linux="6.18.0",
        uid=0,
        capabilities=frozenset({"CAP_KILL"}),
        kernels=3,
        tried_on=(),
        blind=works is Works.NO,
        findings=tuple(Finding(p, enabled, works, "it says so", less) for p in PROBES),
        node=tuple(Finding(p, True, works, "it says so", less) for p in NODE_PROBES),
    )


def test_every_source_is_looked_at_in_the_order_of_the_settings() -> None:
    """A new source needs a probe."""
    names = {ALWAYS_ON, *(source.name for source in SOURCES), STATE_DIR}
    assert {probe.source for probe in PROBES} == names
    assert len(PROBES) == len(names)
    assert PROBES[0].source == ALWAYS_ON


@pytest.mark.parametrize("probe", [*PROBES, *NODE_PROBES], ids=lambda probe: probe.source)
def test_every_probe_says_all_there_is_to_say(probe: Probe) -> None:
    """In sentences that are no longer than they must be; capabilities by their names."""
    for text in (probe.gives, probe.without, probe.remedy):
        assert 5 < len(text) < 300
        assert text.rstrip(".") == text
    assert set(probe.capabilities) <= CAPABILITIES.keys()
    assert all(name in probe.remedy for name in probe.capabilities)


@pytest.mark.parametrize("name", ["runtime_dir", "cgroup", "kmsg", "process_events", "iopub"])
def test_what_is_lost_is_said_in_the_words_of_the_reasons(name: str) -> None:
    """As they stand in the metric."""
    (without,) = (probe.without for probe in PROBES if probe.source == name)
    assert any(reason.value in without for reason in Reason)


@pytest.mark.parametrize(
    ("seen", "problem", "works"),
    [
        (Seen("fine"), "", Works.YES),
        (Seen("fine", "but"), "", Works.PARTLY),
        (Seen("none", absent=True), "", Works.NOT_HERE),
        (Seen("fine"), "it took too long", Works.NO),
        (None, "no right", Works.NO),
    ],
)
def test_judge(seen: Seen | None, problem: str, works: Works) -> None:
    """A problem outweighs whatever was seen."""
    assert judge(PROBES[0], True, seen, problem).works is works


def test_what_users_choose_cannot_steer_a_terminal() -> None:
    """A cgroup or a file may have any name."""
    found = judge(PROBES[0], True, Seen("a\x1b[2Jb\n", "\udcff\u202e"), "")
    assert (found.says, found.less) == ("a?[2Jb?", "??")
    assert judge(PROBES[0], True, None, "\x07").says == "?"


@pytest.mark.parametrize(
    ("end", "missing", "reason", "certain"),
    [
        (victim(), ["kmsg"], Reason.OOM_SUSPECTED, False),
        (victim(), ["kmsg", "cgroup"], Reason.OOM_SUSPECTED, False),
        ({"status": dies(9), **automatic()}, ["status", "pending"], Reason.UNKNOWN, False),
        (
            {"status": exits(0), **said(ShutdownReply.SHUTDOWN), **cleaned()},
            ["file", "server_file", "ready", "iopub"],
            Reason.SHUTDOWN_REQUESTED,
            False,
        ),
        (
            {"status": exits(0), **stopped()},
            ["file", "server_file", "ready", "iopub"],
            Reason.SERVER_SHUTDOWN,
            False,
        ),
        (
            {"status": exits(0), **said(ShutdownReply.RESTART), **requested()},
            ["iopub"],
            Reason.RESTART_REQUESTED,
            False,
        ),
        (
            {"status": exits(0), **said(ShutdownReply.RESTART), **requested(0.08, 0.02)},
            ["iopub"],
            Reason.EXIT_CLEAN,
            False,
        ),
    ],
)
def test_what_is_said_to_be_lost_is_lost(
    end: dict[str, Any], missing: list[str], reason: Reason, certain: bool
) -> None:
    """By the rules themselves; each of these is named in the table."""
    seen = replace(ALL_ASKED, observed_seconds=30.0, **end)
    verdict = verdict_on(without(seen, missing))
    assert (verdict.reason, verdict.certain) == (reason, certain)
    assert verdict_on(seen).reason is not verdict.reason or verdict_on(seen).certain
    assert any(reason.value in probe.without for probe in PROBES)


@pytest.mark.parametrize("works", Works)
@pytest.mark.parametrize("enabled", [True, False])
def test_the_report_fits_80_columns(works: Works, enabled: bool) -> None:
    """Whatever was found."""
    text = as_text(examination(works, "not of kernel 1 " * 20, enabled=enabled), colour=False)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.replace("\n", "").isprintable()
    assert all(probe.source in text for probe in (*PROBES, *NODE_PROBES))


def test_details_are_of_what_does_not_work() -> None:
    """And of what is switched on."""
    for works in (Works.YES, Works.NOT_HERE):
        assert "  remedy " not in as_text(examination(works), colour=False)
    for works in (Works.NO, Works.PARTLY):
        text = as_text(examination(works, "less"), colour=False)
        assert text.count("  remedy ") == len(PROBES) + len(NODE_PROBES)
    off = as_text(examination(Works.NO, enabled=False), colour=False)
    assert off.count("  remedy ") == len(NODE_PROBES)
    assert "no (off)" in off


def test_capabilities_that_are_missing_are_summed_up() -> None:
    """With what each is for; none that is there, none for what is off."""
    found = examination(Works.PARTLY, "less")
    assert found.missing_capabilities["CAP_SYSLOG"] == ["kmsg"]
    assert "io" in found.missing_capabilities["CAP_SYS_PTRACE"]
    some = replace(found, capabilities=frozenset({"CAP_SYSLOG", "CAP_DAC_OVERRIDE"}))
    assert some.missing_capabilities.keys() == {"CAP_SYS_PTRACE", "CAP_SYS_ADMIN"}
    assert examination(Works.YES).missing_capabilities == {}
    assert examination(Works.NO, enabled=False).missing_capabilities == {}


def test_colour_changes_nothing_else() -> None:
    """The columns stay where they are."""
    plain = as_text(examination(Works.PARTLY, "less"), colour=False)
    coloured = as_text(examination(Works.PARTLY, "less"), colour=True)
    assert coloured.replace("\x1b[33m", "").replace("\x1b[0m", "") == plain


def test_json_is_one_object() -> None:
    """For machines, with a finding of each source."""
    found = json.loads(as_json(examination(Works.NO)))
    assert found["blind"] is True
    assert [source["name"] for source in found["sources"]] == [probe.source for probe in PROBES]
    assert {row["works"] for row in (*found["sources"], *found["node"])} == {"no"}


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    """Here, as we are: not blind, and what it logs is not in the way."""
    assert main(["doctor", "--json", f"--state-dir={tmp_path}", "--no-source.io"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert printed.err == ""
    enabled = {source["name"]: source["enabled"] for source in found["sources"]}
    assert [name for name, is_on in enabled.items() if not is_on] == ["io", "pss"]


def test_a_proc_that_is_none_makes_blind(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    """What does not need processes is tried all the same."""
    assert main(["doctor", f"--path.procfs={tmp_path}/none", f"--state-dir={tmp_path}"]) == 1
    text = capsys.readouterr().out
    assert "BLIND" in text
    assert "can be written" in text or "state_dir       yes" in text
