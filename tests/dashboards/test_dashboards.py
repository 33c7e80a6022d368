"""The dashboards are fresh, ask for what is exported, and explain themselves.

The rules are those of Grafana's dashboard-linter; where one is left, the test says why.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.promql import ROOT, selectors, unknown_in, without_variables

GENERATED = sorted((ROOT / "dashboards/generated").glob("*.json"))
PROVISIONING = ROOT / "dashboards/provisioning"
UNITS = {"bytes", "none", "percentunit", "s", "short"}
"""Those in use; a new one is looked up among Grafana's before it is added."""

Board = dict[str, Any]


def boards() -> dict[str, Board]:
    """Every dashboard by its file's name."""
    return {path.name: json.loads(path.read_text()) for path in GENERATED}


def panels() -> dict[str, Board]:
    """Every panel but rows, by dashboard and title."""
    return {
        f"{name}: {panel['title']}": panel
        for name, board in boards().items()
        for panel in board["panels"]
        if panel["type"] != "row"
    }


def expressions() -> dict[str, str]:
    """Every query, by dashboard, panel and letter."""
    return {
        f"{name} {target['refId']}": target["expr"]
        for name, panel in panels().items()
        for target in panel["targets"]
    }


def cases(found: dict[str, Any]) -> Iterator[Any]:
    """Cases with a name each."""
    return (pytest.param(value, id=name) for name, value in found.items())


def test_what_is_committed_is_what_is_built() -> None:
    """Nobody edits the JSON by hand."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "dashboards.build", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("expr", list(cases(expressions())))
def test_queries_ask_for_what_is_exported(expr: str) -> None:
    """Every metric and label is one that there is, and the query is PromQL."""
    assert unknown_in(without_variables(expr)) == []


@pytest.mark.parametrize("expr", list(cases(expressions())))
def test_queries_are_of_what_was_chosen(expr: str) -> None:
    """Each selector keeps to the chosen job and instance, and to the user where it has one."""
    for selector in selectors(without_variables(expr)):
        assert selector.matchers["job"] == "$job"
        assert selector.matchers["instance"] == "$instance"
        assert selector.matchers.get("username", "$username") == "$username"


@pytest.mark.parametrize("expr", list(cases(expressions())))
def test_counters_are_asked_for_their_growth(expr: str) -> None:
    """A counter stands in a rate over Grafana's own interval, and nothing else does."""
    counters = re.findall(r"\w+_total\b", expr)
    grown = re.findall(r"(?:rate|increase)\((\w+_total)\{[^}]*\}\[\$__rate_interval\]\)", expr)
    assert counters == grown
    assert len(re.findall(r"\[[^]]*\]", expr)) == len(grown)


@pytest.mark.parametrize("panel", list(cases(panels())))
def test_a_panel_explains_itself(panel: Board) -> None:
    """Title, description, unit, and the data source that was chosen."""
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@pytest.mark.parametrize("board", list(cases(boards())))
def test_a_dashboard_has_the_variables_that_all_have(board: Board) -> None:
    """Data source, job, instance and user. The linter wants ``.+`` for all of them; here all are
    those of the list, for other jobs of the same Prometheus have an ``up`` as well.
    """
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert list(variables)[:4] == ["datasource", "job", "instance", "username"]
    assert variables["datasource"]["label"] == "Data source"
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("job", "instance", "username"):
        assert variables[name]["label"] == name
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["refresh"] == 2
        assert variables[name]["datasource"]["uid"] == "${datasource}"
        query = re.fullmatch(r"label_values\((.*), (\w+)\)", variables[name]["query"]["query"])
        assert query is not None
        assert query[2] == name
        assert unknown_in(query[1]) == []


@pytest.mark.parametrize("board", list(cases(boards())))
def test_a_dashboard_fits_together(board: Board) -> None:
    """It cannot be edited away from its source, and no two panels share a number or a place."""
    assert board["editable"] is False
    assert board["uid"].startswith("jupyter-kernels-")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        x, y = at.get("x", 0), at.get("y", 0)
        cells = {(x + i, y + j) for i in range(at["w"]) for j in range(at["h"])}
        assert x + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_uids_and_file_names_go_together() -> None:
    """A file is one dashboard, and a link to a dashboard finds its file."""
    assert {board["uid"] for board in boards().values()} == {
        f"jupyter-kernels-{path.stem}" for path in GENERATED
    }


def load(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text())


def test_grafana_finds_sources_and_dashboards() -> None:
    """Provisioning names the containers' paths, and Prometheus' own scrape interval."""
    compose = load(ROOT / "docker-compose.yml")
    mounts = {
        volume.split(":")[1]: volume.split(":")[0]
        for volume in compose["services"]["grafana"]["volumes"]
    }
    (provider,) = load(PROVISIONING / "dashboards/jupyter.yml")["providers"]
    assert mounts[provider["options"]["path"]] == "./dashboards/generated"
    assert mounts["/etc/grafana/provisioning"] == "./dashboards/provisioning"
    prometheus, alertmanager = load(PROVISIONING / "datasources/prometheus.yml")["datasources"]
    interval = load(ROOT / "alerts/prometheus.yml")["global"]["scrape_interval"]
    assert prometheus["jsonData"]["timeInterval"] == interval
    for source in (prometheus, alertmanager):
        assert source["url"].startswith(f"http://{source['type']}:")
        assert source["type"] in compose["services"]
