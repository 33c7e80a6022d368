"""The rules load where they have to, say what they must, and are proven one by one."""

import shutil
import subprocess
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
LINKS = "http://localhost:3000"
"""What a hub's own address replaces; the same everywhere, so that one command does it."""

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


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_all_that_is_needed(name: str) -> None:
    """Severity, a summary that is a sentence, a description, and links that lead somewhere."""
    alert = ALERTS[name]
    notes = alert["annotations"]
    assert name.startswith("JupyterKernel")
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["summary"][0].isupper()
    assert notes["summary"].endswith(".")
    assert "{{" not in notes["summary"]
    assert "$labels" in notes["description"]
    assert notes["runbook_url"] == f"{LINKS}/public/runbooks/{name}.md"
    assert notes["dashboard_url"].startswith(f"{LINKS}/d/")
    uid = notes["dashboard_url"].removeprefix(f"{LINKS}/d/").partition("?")[0]
    boards = (ROOT / "dashboards/generated").glob("*.json")
    assert uid in {yaml.safe_load(board.read_text())["uid"] for board in boards}


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


@needs_amtool
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_finds_its_receiver(name: str) -> None:
    """What can wait goes the quiet way, all else the loud one."""
    severity = ALERTS[name]["labels"]["severity"]
    receiver = run(
        *("amtool", "config", "routes", "test", "--config.file=alerts/alertmanager.yml"),
        *(f"alertname={name}", f"severity={severity}", "instance=a:18888", "username=ada"),
    )
    assert receiver.split() == ["slack-quiet" if severity == "info" else "slack"]
