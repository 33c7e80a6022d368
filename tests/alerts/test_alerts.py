"""The rules load where they have to, say what they must, and are proven one by one."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.promql import ROOT, RULE_FILES, rules, selectors, unknown_in

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in rules() if "record" in rule}
TEST_FILES = sorted(Path(__file__).parent.glob("*.test.yml"))
RUNBOOKS = ROOT / "alerts/runbooks"
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
GRAFANA = "http://localhost:3000"
BASES = {
    "runbook_url": f'{{{{ or $externalLabels.jupyter_runbooks "{GRAFANA}/public/runbooks" }}}}',
    "dashboard_url": f'{{{{ or $externalLabels.jupyter_dashboards "{GRAFANA}/d" }}}}',
}
"""The first part of each link: what prometheus.yml sets once, else the stack's own Grafana."""
SEVERITIES = ("critical", "warning", "info")
EVENTS = {
    "JupyterKernelOOMKilled",
    "JupyterKernelWorkerOOMKilled",
    "JupyterKernelCrashed",
    "JupyterKernelCrashLooping",
    "JupyterKernelGaveUp",
}
"""What has happened; nobody is told that it is over."""
PROMISED = {
    "JupyterKernelMemoryExhaustionSoon",
    "JupyterKernelMemoryNearLimit",
    "JupyterKernelMemoryLeak",
    "JupyterKernelIdleHoldingMemory",
    "JupyterKernelOOMKilled",
    "JupyterKernelWorkerOOMKilled",
    "JupyterKernelCrashed",
    "JupyterKernelCrashLooping",
    "JupyterKernelGaveUp",
    "JupyterKernelStartupFailing",
    "JupyterKernelDeathsAcrossUsers",
    "JupyterKernelStuck",
    "JupyterKernelCPUSaturated",
    "JupyterKernelBlockedOnIO",
    "JupyterKernelExporterDown",
    "JupyterKernelExporterSourceDown",
    "JupyterKernelExporterBlind",
}
"""Names that dashboards, documents and people's own silences count on."""

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
needs_amtool = pytest.mark.skipif(not shutil.which("amtool"), reason="needs amtool")


def run(*command: str) -> str:
    """What a checker says; it must be content."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scenarios() -> list[dict[str, Any]]:
    """Every scenario of every promtool test."""
    return [s for path in TEST_FILES for s in yaml.safe_load(path.read_text())["tests"]]


@needs_promtool
@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_each_rules_file_loads_alone(path: Path) -> None:
    """A file can be taken without the others; promtool's lint finds nothing in it."""
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path))


@needs_promtool
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_rules_judge_as_they_should(path: Path) -> None:
    """promtool plays the scenarios: what fires, with its words, and what stays silent."""
    run("promtool", "test", "rules", str(path))


@needs_promtool
def test_prometheus_loads_its_configuration() -> None:
    """With the rules and targets that it names."""
    run("promtool", "check", "config", "--lint=all", "--lint-fatal", "alerts/prometheus.yml")


@needs_amtool
def test_alertmanager_loads_its_configuration() -> None:
    """With the templates that it names."""
    assert "1 templates" in run("amtool", "check-config", "alerts/alertmanager.yml")


@needs_amtool
def test_alertmanager_loads_what_waits_in_comments(tmp_path: Path) -> None:
    """The direct messages and the mute times that are shown work when they are switched on."""
    text = (ROOT / "alerts/alertmanager.yml").read_text()
    for mark in ("# direct: ", "# mute: "):
        assert mark in text
        text = text.replace(mark, "")
    shutil.copytree(ROOT / "alerts/templates", tmp_path / "templates")
    (tmp_path / "alertmanager.yml").write_text(text)
    assert "5 receivers" in run("amtool", "check-config", str(tmp_path / "alertmanager.yml"))
    lint(tmp_path / "alertmanager.yml")


def lint(path: Path) -> None:
    """amlint looks for what loads, and still goes to nobody: no warning, no error."""
    command = ["check", "--strict", "--format=json", "--rules", "alerts/rules/*.yml", str(path)]
    run(str(Path(sys.executable).with_name("amlint")), *command)


def test_no_alert_goes_astray() -> None:
    """No route is out of reach, and nothing is muted by more than was meant."""
    lint(ROOT / "alerts/alertmanager.yml")


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_rules_ask_for_nothing_that_older_prometheus_lacks(path: Path) -> None:
    """Groups have only what Prometheus 2.42 knows."""
    for group in yaml.safe_load(path.read_text())["groups"]:
        assert group.keys() <= {"name", "interval", "limit", "rules"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_what_is_exported(rule: dict[str, Any]) -> None:
    """Every metric and label of an expression is the exporter's, Prometheus' or recorded."""
    assert selectors(rule["expr"])
    assert unknown_in(rule["expr"]) == []


def test_the_alerts_are_those_that_were_promised() -> None:
    """All seventeen, and no more."""
    assert set(ALERTS) == PROMISED


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_all_that_is_needed(name: str) -> None:
    """Severity, how long it waits and stays, a summary that is a sentence, a description whose last
    line are the numbers, what to do, and links that lead somewhere.
    """
    alert = ALERTS[name]
    notes = alert["annotations"]
    assert alert.keys() == {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in SEVERITIES
    assert notes.keys() == {"summary", "description", "advice", *BASES}
    for note in ("summary", "advice"):
        assert notes[note][0].isupper()
        assert notes[note].endswith(".")
        assert "{{" not in notes[note]
    assert "$labels" in notes["description"]
    assert len(notes["description"].splitlines()) > 1
    assert len(notes["summary"]) <= 60, "a title on a phone"
    for link, base in BASES.items():
        assert notes[link].startswith(base)
    assert notes["runbook_url"] == f"{BASES['runbook_url']}/{name}.md"
    path = notes["dashboard_url"].removeprefix(f"{BASES['dashboard_url']}/")
    boards = (ROOT / "dashboards/generated").glob("*.json")
    assert path.partition("?")[0] in {json.loads(board.read_text())["uid"] for board in boards}
    assert all("urlquery" in value for value in re.findall(r"\{\{.*?\}\}", path))


def test_thresholds_and_times_have_their_reasons() -> None:
    """A comment stands right before each expression of an alert, each ``for`` and each
    ``keep_firing_for``.
    """
    for path in RULE_FILES:
        lines = path.read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            if re.match(r"\s+(for|keep_firing_for):", line):
                assert before.lstrip().startswith("#"), f"{path.name}: {line}"
        alerts = [at for at, line in enumerate(lines) if "- alert:" in line]
        assert all(lines[at + 1].lstrip().startswith("#") for at in alerts)


def test_where_links_lead_is_set_in_one_place() -> None:
    """Prometheus' external labels, which are no labels of alerts."""
    config = yaml.safe_load((ROOT / "alerts/prometheus.yml").read_text())
    named = {name for base in BASES.values() for name in re.findall(r"Labels\.(\w+)", base)}
    assert set(config["global"]["external_labels"]) == named
    (relabel,) = config["alerting"]["alert_relabel_configs"]
    assert relabel["action"] == "labeldrop"
    assert all(re.fullmatch(relabel["regex"], name) for name in named)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_scenario_that_fires_and_one_that_is_silent(name: str) -> None:
    """A rule that never fires looks like a healthy system, one that always does like a broken."""
    steps = [
        step
        for scenario in scenarios()
        for step in scenario.get("alert_rule_test", ())
        if step["alertname"] == name
    ]
    assert [step for step in steps if step["exp_alerts"]]
    silent = [
        scenario
        for scenario in scenarios()
        if (mine := [s for s in scenario.get("alert_rule_test", ()) if s["alertname"] == name])
        and not any(step["exp_alerts"] for step in mine)
    ]
    assert silent


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_series_has_a_scenario(name: str) -> None:
    """Its values are proven."""
    steps = [step for scenario in scenarios() for step in scenario.get("promql_expr_test", ())]
    assert name in {step["expr"] for step in steps}
    assert name.count(":") == 2, "level:metric:operations"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """They carry the same names."""
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_has_its_four_parts(name: str) -> None:
    """Meaning, impact, diagnosis and mitigation, each with something in it."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert all(part.partition("\n")[2].strip() for part in text.split("\n## ")[1:])


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_has_words_for_the_person(name: str) -> None:
    """There is a part to forward, under mitigation."""
    text = (RUNBOOKS / f"{name}.md").read_text()
    part = text.partition("### To forward\n")[2]
    assert len(part.split()) > 30


def route(**labels: str) -> str:
    """The receiver of an alert with these labels, by amtool."""
    told = [f"{name}={value}" for name, value in labels.items()]
    config = "--config.file=alerts/alertmanager.yml"
    return run("amtool", "config", "routes", "test", config, *told).strip()


@needs_amtool
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_finds_its_receiver(name: str) -> None:
    """What can wait goes the quiet way, what has happened is told once, all else is told when it
    begins and when it is over.
    """
    severity = ALERTS[name]["labels"]["severity"]
    receiver = route(alertname=name, severity=severity, instance="a:18888", username="ada")
    quiet = "slack-quiet" if severity == "info" else "slack"
    assert receiver == ("slack-events" if name in EVENTS else quiet)


@needs_amtool
def test_alerts_of_others_find_a_receiver() -> None:
    """A rule that somebody adds is not lost."""
    assert route(alertname="Own", severity="page") == "slack"


def test_what_is_urgent_is_sent_at_once() -> None:
    """Of the seconds that a forecast leaves, the way to Slack takes few: scrape, two evaluations
    and Alertmanager's own patience.
    """
    prometheus = yaml.safe_load((ROOT / "alerts/prometheus.yml").read_text())["global"]
    routes = yaml.safe_load((ROOT / "alerts/alertmanager.yml").read_text())["route"]["routes"]
    urgent = next(route for route in routes if route["matchers"] == ['severity = "critical"'])
    waits = (
        prometheus["scrape_interval"],
        prometheus["evaluation_interval"],
        ALERTS["JupyterKernelMemoryExhaustionSoon"]["for"],
        urgent["group_wait"],
    )
    assert sum(int(wait.removesuffix("s")) for wait in waits) <= 16
