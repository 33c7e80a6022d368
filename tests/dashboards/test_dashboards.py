"""The dashboards are fresh, ask for what is exported, and explain themselves.

The rules are those of Grafana's dashboard-linter; where one is left, the test says why.
"""

import re
import runpy
import subprocess
import sys
from typing import Any

import pytest
import yaml

from jupyter_kernel_exporter.deaths.record import Reason
from support.boards import (
    GENERATED,
    Board,
    boards,
    cases,
    everything_on,
    expressions,
    marks,
    panels,
    targets,
    variables,
)
from support.promql import (
    ROOT,
    known_series,
    rules,
    selectors,
    unknown_in,
    without_variables,
)

ASK, REASONS = (runpy.run_path(str(ROOT / f"dashboards/{name}.py")) for name in ("ask", "reasons"))
UNITS = {"Bps", "bytes", "dateTimeAsIso", "none", "percentunit", "s", "short", "string"}
"""Those in use; a new one is looked up among Grafana's before it is added."""
ELSEWHERE = {
    "ALERTS",
    "jupyterhub_user_group_info",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
}
"""Metrics of Prometheus itself and of JupyterHub's exporter of groups."""
SPANS = {"$__rate_interval", "$__range", "$__range:5m", "15m", "1d"}
"""Of subqueries, of the growth of memory, and of how long an exporter is remembered, besides."""
COLOR = re.compile(r"text|transparent|((super-light|light|semi-dark|dark)-)?"
                   r"(red|orange|yellow|green|blue|purple)")  # fmt: skip


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


def test_all_five_are_there() -> None:
    """A file is one dashboard, and a link to a dashboard finds its file."""
    assert {path.stem for path in GENERATED} == {
        "overview",
        "kernel",
        "users",
        "deaths",
        "exporter",
    }
    for name, board in boards().items():
        assert board["uid"] == f"jupyter-kernels-{name}"


# What is asked


@pytest.mark.parametrize("expr", cases(expressions()))
def test_queries_ask_for_what_is_exported(expr: str) -> None:
    """Every metric and label is one that there is, and the query is PromQL (target-promql)."""
    unknown = {name.partition("{")[0] for name in unknown_in(without_variables(expr))}
    assert unknown <= ELSEWHERE


def everything_asked(expr: str) -> list[Any]:
    """The selectors of an expression of a dashboard."""
    return selectors(without_variables(expr))


@pytest.mark.parametrize("expr", cases(expressions()))
def test_queries_are_of_what_was_chosen(expr: str) -> None:
    """Each selector keeps to the chosen job and instance (target-job, target-instance), and to
    the chosen person or kernel where it asks for one. Groups are another job's, and some alerts
    have neither instance nor person.
    """
    for selector in everything_asked(expr):
        matchers = selector.matchers
        if selector.name == "jupyterhub_user_group_info":
            assert matchers == {"username": "$username"}
        elif selector.name != "jupyter_kernel_exporter_build_info" or "instance" in matchers:
            empty = "|" if selector.name == "ALERTS" else ""
            assert matchers["job"] == f"$job{empty}"
            assert matchers["instance"] == f"$instance{empty}"
            assert matchers.get("username", "$username") in {"$username", "$username|"}
            assert matchers.get("kernel_id", "$kernel") == "$kernel"


@pytest.mark.parametrize("target", cases(targets()))
def test_counters_are_asked_for_their_growth(target: Board) -> None:
    """A counter stands in rate() or increase() (target-counter-agg), over Grafana's own interval
    (target-rate-interval). Where the whole range is meant, it is asked for once, not at each step.
    """
    expr = target["expr"]
    counters = re.findall(r"\w+_total\b(?=\{)", expr)
    grown = re.findall(
        r"(?:rate|increase)\((\w+_total)\{[^}]*\}\[(\$__rate_interval|\$__range)( @ end\(\))?\]?",
        expr,
    )
    assert counters == [name for name, _, _ in grown]
    for span in re.findall(r"\[([^]]*)\]", expr):
        assert span in SPANS
    if not target.get("instant"):
        for found in re.finditer(r"\[\$__range\]( @ end\(\))?", expr):
            assert found[1]


@pytest.mark.parametrize("panel", cases(panels()))
def test_a_panel_explains_itself(panel: Board) -> None:
    """Title, description, unit, the chosen data source, and queries that can be told apart."""
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        # A legend that is left to Grafana is the whole text of a series.
        assert target.get("legendFormat") or panel["type"] == "table"
    for override in panel["fieldConfig"]["overrides"]:
        for prop in override["properties"]:
            assert prop["id"] != "unit" or prop["value"] in UNITS


@pytest.mark.parametrize("panel", cases(panels()))
def test_a_legend_names_labels_that_there_are(panel: Board) -> None:
    """A label that the query has aggregated away would leave a gap in the legend."""
    for target in panel["targets"]:
        for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
            kept = re.findall(r"\b(?:by|group_left) \(([^)]*)\)", target["expr"])
            kept += re.findall(r'label_replace\(.*, "(\w+)", "\$1"', target["expr"])
            names = {name for text in kept for name in text.split(", ")}
            exported = {
                name
                for selector in everything_asked(target["expr"])
                for name in known_series().get(selector.name) or ()
            }
            assert label in names | exported


@pytest.mark.parametrize(
    "panel", cases({n: p for n, p in panels().items() if p["type"] == "table"})
)
def test_a_table_says_what_its_columns_are(panel: Board) -> None:
    """Each value has a query, and numbers have a unit."""
    _, kept, order = panel["transformations"]
    names = kept["options"]["include"]["names"]
    headings = order["options"]["renameByName"]
    assert headings.keys() == set(names)
    assert len(set(headings.values())) == len(names)
    refs = [target["refId"] for target in panel["targets"]]
    values = sorted(n.removeprefix("Value #") for n in names if n.startswith("Value"))
    # One query alone gives fields without its letter.
    assert values in ([refs] if len(refs) > 1 else [["Value"], []])


def colors_in(node: Any) -> set[str]:
    """Every named colour in a piece of JSON."""
    if isinstance(node, list):
        return {color for item in node for color in colors_in(item)}
    if not isinstance(node, dict):
        return set()
    here = {node[k] for k in ("color", "fixedColor", "iconColor") if isinstance(node.get(k), str)}
    return here | {color for item in node.values() for color in colors_in(item)}


def test_colours_are_grafanas() -> None:
    """An unknown name would be drawn grey."""
    assert [c for b in boards().values() for c in colors_in(b) if not COLOR.fullmatch(c)] == []


def test_reasons_are_grouped_and_coloured() -> None:
    """Each is in one group: none is forgotten in a sum, none is counted twice."""
    grouped = [reason for group in REASONS["GROUPS"] for reason in group.reasons]
    assert sorted(grouped) == sorted(Reason)
    assert REASONS["COLORS"].keys() == set(Reason)


def test_bounds_are_those_of_the_alerts() -> None:
    """A number that is red and an alert say the same."""
    exprs = {rule["alert"]: rule["expr"] for rule in rules() if "alert" in rule}
    assert f"< {ASK['NEAR_LIMIT']}" in exprs["JupyterKernelMemoryNearLimit"]
    assert f"> {ASK['IDLE_SECONDS']}" in exprs["JupyterKernelIdleHoldingMemory"]


# What can be chosen, and the way from one dashboard to the next


@pytest.mark.parametrize("board", cases(boards()))
def test_a_dashboard_has_the_variables_that_all_have(board: Board) -> None:
    """Data source, job and instance as the linter wants them (template-datasource, template-job,
    template-instance); one data source, so that one choice moves all.
    """
    found = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert list(found)[:3] == ["datasource", "job", "instance"]
    assert list(found)[3:] in ([], ["username"], ["username", "kernel"])
    assert found["datasource"]["label"] == "Data source"
    assert found["datasource"]["query"] == "prometheus"
    assert [v["type"] for v in found.values()].count("datasource") == 1
    for name in ("job", "instance"):
        assert found[name]["allValue"] == ".+"
        assert found[name]["multi"]
        assert found[name]["includeAll"]


@pytest.mark.parametrize("variable", cases(variables()))
def test_a_variable_follows_the_time_range(variable: Board) -> None:
    """Whoever is gone can be chosen in the range in which they were there
    (template-on-time-change-reload); all of them match a pattern and are not listed one by one.
    """
    assert variable["label"] == variable["name"]
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["refresh"] == 2
    assert not variable["includeAll"] or variable["allValue"] in {".+", ".*"}


@pytest.mark.parametrize("name", boards())
def test_a_dashboard_leads_to_all_others(name: str) -> None:
    """With the time range and with what was chosen, as far as the other knows of it."""
    all_boards = boards()
    own = {v["name"] for v in all_boards[name]["templating"]["list"]}
    led_to = {}
    for link in all_boards[name]["links"]:
        target = re.match(r"/d/jupyter-kernels-(\w+)\?", link["url"])
        assert target is not None
        led_to[target[1]] = set(re.findall(r"\$\{(\w+):queryparam\}", link["url"]))
        assert link["url"].endswith("${__url_time_range}")
    assert led_to.keys() == all_boards.keys() - {name}
    for target_name, passed in led_to.items():
        theirs = {v["name"] for v in all_boards[target_name]["templating"]["list"]}
        assert passed <= own
        # All kernels of one dashboard are none of another that shows one.
        assert (own & theirs) - passed <= {"kernel"}


def links_in(node: Any) -> list[str]:
    """Addresses of all links in a piece of JSON."""
    if isinstance(node, list):
        return [url for item in node for url in links_in(item)]
    if not isinstance(node, dict):
        return []
    here = [node["url"]] if isinstance(node.get("url"), str) else []
    return here + [url for item in node.values() for url in links_in(item)]


@pytest.mark.parametrize("panel", cases(panels()))
def test_a_link_in_a_panel_leads_somewhere(panel: Board) -> None:
    """To a dashboard and a variable that there are, from a column or a label that there is."""
    all_boards = boards()
    for url in links_in(panel["fieldConfig"]):
        name = url.removeprefix("/d/jupyter-kernels-").partition("?")[0]
        known = {v["name"] for v in all_boards[name]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", url)) <= known
        headings = [
            set(t["options"].get("renameByName", {}).values())
            for t in panel.get("transformations", ())
            if t["id"] == "organize"
        ]
        for field in re.findall(r"__data\.fields\.(\w+)", url):
            assert field in headings[0]


def test_alerts_lead_to_variables_that_there_are() -> None:
    """An alert's link opens a dashboard at what it is about."""
    all_boards = {board["uid"]: board for board in boards().values()}
    for rule in rules():
        for uid, query in re.findall(
            r"/(jupyter-kernels-\w+)(?:\?(\S*))?",
            rule.get("annotations", {}).get("dashboard_url", ""),
        ):
            known = {v["name"] for v in all_boards[uid]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", query)) <= known, rule["alert"]


def test_marks_are_at_the_time_of_what_they_mark() -> None:
    """The value is the time, in milliseconds; the scrape that saw it came later."""
    assert marks()
    for name, board in boards().items():
        for mark in board.get("annotations", {}).get("list", ()):
            if not mark.get("builtIn"):
                assert mark["useValueForTime"], name
                assert mark["target"]["expr"].endswith("_timestamp_seconds") or (
                    mark["target"]["expr"].endswith(" * 1000")
                )


# The whole


@pytest.mark.parametrize("board", cases(boards()))
def test_a_dashboard_fits_together(board: Board) -> None:
    """It cannot be edited away from its source, and no two panels share a number or a place."""
    assert board["editable"] is False
    assert board["description"]
    ids = [panel["id"] for panel in everything_on(board)]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        x, y = at.get("x", 0), at.get("y", 0)
        cells = {(x + i, y + j) for i in range(at["w"]) for j in range(at["h"])}
        assert x + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def load(name: str) -> Any:
    """A YAML file."""
    return yaml.safe_load((ROOT / name).read_text())


def test_grafana_finds_sources_and_dashboards() -> None:
    """Provisioning names the containers' paths, and Prometheus' own scrape interval."""
    compose = load("docker-compose.yml")
    mounts = {
        volume.split(":")[1]: volume.split(":")[0]
        for volume in compose["services"]["grafana"]["volumes"]
    }
    (provider,) = load("dashboards/provisioning/dashboards/jupyter.yml")["providers"]
    assert mounts[provider["options"]["path"]] == "./dashboards/generated"
    assert mounts["/etc/grafana/provisioning"] == "./dashboards/provisioning"
    found = load("dashboards/provisioning/datasources/prometheus.yml")["datasources"]
    prometheus, alertmanager = found
    interval = load("alerts/prometheus.yml")["global"]["scrape_interval"]
    assert prometheus["jsonData"]["timeInterval"] == interval
    for source in (prometheus, alertmanager):
        assert source["url"].startswith(f"http://{source['type']}:")
        assert source["type"] in compose["services"]


def test_the_sidecar_finds_dashboards() -> None:
    """Each is a ConfigMap of its own with the sidecar's label, small enough for kubectl."""
    made = load("dashboards/kustomization.yaml")
    assert made["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
    found = {entry["name"]: entry["files"] for entry in made["configMapGenerator"]}
    assert found == {f"jupyter-kernels-{p.stem}": [f"generated/{p.name}"] for p in GENERATED}
    for path in GENERATED:
        assert path.stat().st_size < 200 * 1024
