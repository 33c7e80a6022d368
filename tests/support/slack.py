"""A Slack on loopback, and a real Alertmanager with the shipped configuration that writes to it.

with running_slack() as slack, running_alertmanager(tmp_path, slack) as alertmanager:
    tell(alertmanager, fired("JupyterKernelOOMKilled"))
    assert "oom_cgroup" in slack.next_attachment()["text"]
"""

import contextlib
import http.server
import json
import queue
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from support.daemon import free_port
from support.jupyter import end, wait_until
from support.promql import ROOT, rules
from support.serving import serving

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
TEST_FILES = sorted((ROOT / "tests/alerts").glob("*.test.yml"))
QUICK: Mapping[str, str] = {
    "group_wait: 30s": "group_wait: 500ms",
    "group_wait: 10m": "group_wait: 500ms",
    "group_interval: 5m": "group_interval: 1s",
    "group_interval: 1m": "group_interval: 1s",
    "group_interval: 15s": "group_interval: 1s",
    "group_interval: 1h": "group_interval: 1s",
}
"""Alertmanager's patience, and a test's."""

Alert = dict[str, dict[str, str]]


class Slack(http.server.ThreadingHTTPServer):
    """Takes messages as Slack's incoming webhooks do, and keeps them with the time they came."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        super().__init__(("127.0.0.1", 0), _Hook)

    @property
    def url(self) -> str:
        """The webhook's address."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def next_message(self, within: float = 30.0) -> dict[str, Any]:
        """The next message whole."""
        return self.messages.get(timeout=within)[1]

    def next_attachment(self, within: float = 30.0) -> dict[str, Any]:
        """The next message's body."""
        attachments: list[dict[str, Any]] = self.next_message(within)["attachments"]
        assert len(attachments) == 1
        return attachments[0]

    def says_nothing(self, for_seconds: float) -> bool:
        """Whether no message comes for some time."""
        try:
            self.messages.get(timeout=for_seconds)
        except queue.Empty:
            return True
        return False


class _Hook(http.server.BaseHTTPRequestHandler):
    """One message."""

    server: Slack

    def do_POST(self) -> None:
        """Keep it, and answer as Slack does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.put((time.time(), json.loads(body)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def running_slack() -> Iterator[Slack]:
    """A Slack on loopback."""
    with serving(Slack()) as server:
        yield server


@dataclass(slots=True)
class Alertmanager:
    """An Alertmanager that answers."""

    http: httpx.Client
    address: str
    """Host and port, as Prometheus' configuration wants it."""

    def states(self, **labels: str) -> list[str]:
        """Whether the alerts with these labels are active or suppressed."""
        filters = [f"{name}={json.dumps(value)}" for name, value in labels.items()]
        answer = self.http.get("/api/v2/alerts", params={"filter": filters})
        assert answer.status_code == 200, answer.text
        return [alert["status"]["state"] for alert in answer.json()]


@contextlib.contextmanager
def running_alertmanager(
    home: Path, slack: Slack, changes: Mapping[str, str] = QUICK
) -> Iterator[Alertmanager]:
    """Alertmanager with the shipped configuration: only its secret and ``changes`` differ."""
    shutil.copytree(ROOT / "alerts/templates", home / "templates")
    secret = home / "slack-webhook-url"
    secret.write_text(slack.url)
    text = (ROOT / "alerts/alertmanager.yml").read_text()
    for old, new in {"/run/secrets/slack-webhook-url": str(secret), **changes}.items():
        assert old in text, f"not in alertmanager.yml: {old}"
        text = text.replace(old, new)
    (home / "alertmanager.yml").write_text(text)
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={home}/alertmanager.yml",
                f"--storage.path={home}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.external-url=http://alerts.example.org",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

            def answers() -> bool:
                assert process.poll() is None, (home / "log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    return http.get("/-/ready").status_code == 200
                return False

            wait_until(answers, "Alertmanager is ready")
            # With --web.external-url its own routes have no prefix, for that URL has no path.
            yield Alertmanager(http, f"127.0.0.1:{port}")
    finally:
        end(process)


def fired(name: str, **labels: str) -> Alert:
    """An alert with the labels and words that promtool has proven, but for some labels.

    Of its scenarios the first; the words are left as they are.
    """
    for path in TEST_FILES:
        for scenario in yaml.safe_load(path.read_text())["tests"]:
            for step in scenario.get("alert_rule_test", ()):
                if step["alertname"] == name and step["exp_alerts"]:
                    expected = step["exp_alerts"][0]
                    return {
                        "labels": {"alertname": name, **expected["exp_labels"], **labels},
                        "annotations": dict(expected["exp_annotations"]),
                    }
    raise KeyError(name)


def tell(alertmanager: Alertmanager, *alerts: Alert, over: bool = False) -> None:
    """Raise alerts as Prometheus does, or say that they are over."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 300))
    body = [alert | {"endsAt": stamp if over else later} for alert in alerts]
    answer = alertmanager.http.post("/api/v2/alerts", json=body)
    assert answer.status_code == 200, answer.text
