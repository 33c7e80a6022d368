"""A real Prometheus answers every query of the dashboards, and with data.

It scrapes a made-up hub in which everything happens that can be shown, and the daemon itself with
a real kernel.
"""

import http.server
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.boards import Board, asked_by, cases, filled, marks, targets, variables
from support.daemon import running_daemon
from support.hub import exposed, exposition
from support.jupyter import running_server, wait_until
from support.prometheus import needs_prometheus, running_prometheus
from support.promql import RULE_FILES, without_variables
from support.serving import serving
from support.stories import HOSTS

pytestmark = [pytest.mark.patient, pytest.mark.real, needs_prometheus]

JOB = "jupyter-kernel-exporter"
SPEED = 300.0
"""Lives of hours take seconds."""
RANGE_SECONDS = 60
PEOPLE = ("ada", "alan", "donald", "ken")
"""Whose kernels have all troubles together: no kernel has every one."""
REAL = "real:18888"
ALERT = {"alert": "JupyterKernelOfTheTest", "expr": "up == 1", "labels": {"severity": "info"}}


class Hub(http.server.ThreadingHTTPServer):
    """The exporters of a hub; the path names the host."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exporter)
        self.begin = time.time()


class Exporter(http.server.BaseHTTPRequestHandler):
    """One scrape."""

    server: Hub

    def do_GET(self) -> None:
        """The metrics of a host, now."""
        series = exposed(self.path.strip("/"), time.time(), self.server.begin, SPEED)
        body = exposition(series).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@dataclass(slots=True)
class Prometheus:
    """A Prometheus that answers."""

    http: httpx.Client

    def ask(self, expr: str, *, instant: bool = True) -> list[dict[str, Any]]:
        """The series that an expression has at the end of the range, or over it."""
        now = time.time()
        if instant:
            answer = self.http.get("/api/v1/query", params={"query": expr, "time": now})
        else:
            span = {"start": now - RANGE_SECONDS, "end": now, "step": 2}
            answer = self.http.get("/api/v1/query_range", params={"query": expr, **span})
        assert answer.status_code == 200, answer.text
        assert answer.json().get("warnings", []) == []
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result


def configuration(home: Path, targets: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """The project's rules, scraping each second: address and path by instance."""
    rules = home / "test.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "of-the-test", "rules": [ALERT]}]}))
    scraped = [
        {"targets": [address], "labels": {"instance": instance, "__metrics_path__": path}}
        for instance, (address, path) in targets.items()
    ]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules), *(str(hastened(path, home)) for path in RULE_FILES)],
        "scrape_configs": [{"job_name": JOB, "static_configs": scraped}],
    }


def hastened(path: Path, home: Path) -> Path:
    """A file of rules, all of which are looked at as often as the others are."""
    content = yaml.safe_load(path.read_text())
    for group in content["groups"]:
        group.pop("interval", None)
    made = home / path.name
    made.write_text(yaml.safe_dump(content))
    return made


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has seen the made-up hub for a while, and a real kernel."""
    home = tmp_path_factory.mktemp("prometheus")
    with (
        serving(Hub()) as server,
        running_server(tmp_path_factory.mktemp("jupyter")) as jupyter,
        running_daemon(home, f"--runtime-dir={jupyter.folders.runtime}") as daemon,
    ):
        jupyter.start_kernel("python3", notebook="real.ipynb")
        hub = f"127.0.0.1:{server.server_port}"
        targets = {f"{host}:18888": (hub, f"/{host}") for host in HOSTS}
        targets[REAL] = (f"127.0.0.1:{daemon.port}", "/metrics")
        with running_prometheus(home, configuration(home, targets)) as http:
            yield Prometheus(http)


def hurried(expr: str, instance: str = ".+", kernel: str = ".*") -> str:
    """A query over a short past; subqueries look more often than every five minutes."""
    span = f"{RANGE_SECONDS}s"
    expr = filled(expr, rate_interval="4s", span=span, instance=instance, kernel=kernel)
    return expr.replace(":5m]", ":5s]")


def kernels_of(prometheus: Prometheus, people: tuple[str, ...]) -> list[str]:
    """Their ids, newest state."""
    found = prometheus.ask(f'jupyter_kernel_info{{username=~"{"|".join(people)}"}}')
    return sorted({series["metric"]["kernel_id"] for series in found})


def answers(prometheus: Prometheus, expr: str, *, instant: bool) -> bool:
    """Whether a query has data of somebody."""
    if 'kernel_id="$kernel"' not in expr:
        return bool(prometheus.ask(hurried(expr), instant=instant))
    return any(
        prometheus.ask(hurried(expr, kernel=kernel), instant=instant)
        for kernel in kernels_of(prometheus, PEOPLE)
    )


@pytest.mark.parametrize("target", cases(targets()))
def test_a_query_returns_data(prometheus: Prometheus, target: Board) -> None:
    """On a hub where all happens that can; it takes some seconds until it has."""
    wait_until(
        lambda: answers(prometheus, target["expr"], instant=target.get("instant", False)),
        hurried(target["expr"]),
        within=40,
        every=0.5,
    )


@pytest.mark.parametrize("expr", cases(marks()))
def test_a_mark_is_in_the_range(prometheus: Prometheus, expr: str) -> None:
    """Its value is a time of these days in milliseconds."""
    wait_until(lambda: answers(prometheus, expr, instant=False), expr, within=40, every=0.5)
    for series in prometheus.ask(hurried(expr.replace('kernel_id="$kernel"', 'kernel_id=~".+"'))):
        assert abs(float(series["value"][1]) / 1000 - time.time()) < 90 * 86400


@pytest.mark.parametrize("variable", cases(variables()))
def test_a_variable_has_values(prometheus: Prometheus, variable: Board) -> None:
    """As Grafana finds them; a kernel is shown with the name of its notebook."""
    expr = hurried(asked_by(variable))
    found = wait_until(lambda: prometheus.ask(expr), expr, within=40, every=0.5)
    if not variable.get("regex"):
        label = variable["name"]
        assert all(series["metric"][label] for series in found)
        return
    pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    shown = {}
    for series in found:
        labels = ",".join(
            f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(series["metric"].items())
        )
        match = pattern.search(f"{{{labels}}} 1 1700000000000")
        assert match is not None
        shown[match["value"]] = match["text"]
    for kernel_id in kernels_of(prometheus, ("ada",)):
        assert shown[kernel_id] == f"ada · churn model.ipynb · {kernel_id[:8]}"


def calm(name: str, expr: str) -> bool:
    """Whether it is of the kinds that show something where nothing is wrong."""
    return name.startswith(("overview", "users", "exporter")) and not re.search(
        r"exhaustion|deaths|restarts|death_|errors|oom_kills|usergroup|deriv|3600|ALERTS|limit_bytes:min|skipped",
        expr,
    )


CALM = {name: t for name, t in targets().items() if calm(name, t["expr"])}


@pytest.mark.parametrize("target", cases(CALM))
def test_a_query_returns_data_of_a_real_kernel(prometheus: Prometheus, target: Board) -> None:
    """What does not need trouble to be seen is there for a kernel that only waits."""
    expr = hurried(target["expr"], instance=REAL)
    wait_until(
        lambda: prometheus.ask(expr, instant=target.get("instant", False)),
        expr,
        within=40,
        every=0.5,
    )


def test_there_are_calm_queries() -> None:
    """The test above would not miss them."""
    assert len(CALM) > 40


def test_prometheus_parses_what_the_tests_parse(prometheus: Prometheus) -> None:
    """Its own formatter takes every query, as a second opinion on the parser of the tests."""
    for name, target in targets().items():
        answer = prometheus.http.get(
            "/api/v1/format_query", params={"query": without_variables(target["expr"])}
        )
        assert answer.status_code == 200, (name, answer.text)
