"""What arrives at Slack when a real Alertmanager is told of alerts."""

import contextlib
import http.server
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.daemon import free_port
from support.jupyter import end, wait_until
from support.promql import ROOT, rules

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not shutil.which("prometheus-alertmanager"), reason="needs prometheus-alertmanager"
    ),
]

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


class Slack(http.server.ThreadingHTTPServer):
    """Takes messages as Slack's incoming webhooks do."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        super().__init__(("127.0.0.1", 0), Hook)

    def next_attachment(self) -> dict[str, Any]:
        """The next message's body."""
        attachments: list[dict[str, Any]] = self.messages.get(timeout=30)["attachments"]
        assert len(attachments) == 1
        return attachments[0]


class Hook(http.server.BaseHTTPRequestHandler):
    """One message."""

    server: Slack

    def do_POST(self) -> None:
        """Keep it, and answer as Slack does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.put(json.loads(body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    """A Slack on loopback."""
    with Slack() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory, slack: Slack) -> Iterator[httpx.Client]:
    """Alertmanager with the shipped configuration: only its secret and its patience differ."""
    home = tmp_path_factory.mktemp("alertmanager")
    shutil.copytree(ROOT / "alerts/templates", home / "templates")
    secret = home / "slack-webhook-url"
    secret.write_text(f"http://127.0.0.1:{slack.server_address[1]}/hook")
    text = (ROOT / "alerts/alertmanager.yml").read_text()
    text = text.replace("/run/secrets/slack-webhook-url", str(secret))
    for patience in ("group_wait: 30s", "group_wait: 10m"):
        assert patience in text
        text = text.replace(patience, "group_wait: 200ms")
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
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            def answers() -> bool:
                assert process.poll() is None, (home / "log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/-/ready").status_code == 200
                return False

            wait_until(answers, "Alertmanager is ready")
            yield client
    finally:
        end(process)


def tell(alertmanager: httpx.Client, name: str, *labels: dict[str, str]) -> None:
    """Raise an alert as its rule would, once for each set of labels."""
    rule = ALERTS[name]
    notes = rule["annotations"]
    alerts = [
        {
            "labels": {"alertname": name, **rule["labels"], **more},
            "annotations": {
                "summary": notes["summary"],
                "description": f"Told of {more.get('kernel_id', 'no kernel')}.",
                "runbook_url": notes["runbook_url"],
                "dashboard_url": "http://localhost:3000/d/jupyter-kernels-overview",
            },
        }
        for more in labels
    ]
    assert alertmanager.post("/api/v2/alerts", json=alerts).status_code == 200


def test_a_message_says_what_whose_and_where(alertmanager: httpx.Client, slack: Slack) -> None:
    """One kernel: severity, summary, owner and host in the title, and three buttons."""
    where = {"instance": "hub1:18888", "username": "ada & co", "kernel_id": "k1"}
    tell(alertmanager, "JupyterKernelMemoryNearLimit", where)
    said = slack.next_attachment()
    assert said["title"] == (
        "[WARNING] A kernel has less than a tenth of its memory limit left. · ada & co · hub1:18888"
    )
    assert said["title_link"] == "http://localhost:3000/d/jupyter-kernels-overview"
    assert said["text"] == "• Told of k1."
    assert said["color"] == "warning"
    buttons = {button["text"]: button["url"] for button in said["actions"]}
    assert buttons["What to do"].endswith("/runbooks/JupyterKernelMemoryNearLimit.md")
    assert buttons["Silence"] == (
        "http://alerts.example.org/#/silences/new?filter=%7B"
        "alertname%3D%22JupyterKernelMemoryNearLimit%22%2C%20"
        "instance%3D%22hub1%3A18888%22%2C%20kernel_id%3D%22k1%22%2C%20"
        "severity%3D%22warning%22%2C%20username%3D%22ada%20%26%20co%22%7D"
    )


def test_many_alerts_are_one_message(alertmanager: httpx.Client, slack: Slack) -> None:
    """All kernels of a person come together, the first eight in words; ending kernels is over."""
    where = {"instance": "hub2:18888", "username": "bob"}
    kernels = [{**where, "kernel_id": f"k{number}"} for number in range(10)]
    tell(alertmanager, "JupyterKernelMemoryNearLimit", *kernels)
    said = slack.next_attachment()
    assert said["title"].startswith("[WARNING x10] ")
    lines = said["text"].splitlines()
    assert lines == [*(f"• Told of k{number}." for number in range(8)), "• and more: 10 in all"]


def test_what_can_wait_has_its_own_way(alertmanager: httpx.Client, slack: Slack) -> None:
    """Idle kernels of all people of a host are one quiet message."""
    tell(
        alertmanager,
        "JupyterKernelIdleHoldingMemory",
        {"instance": "hub3:18888", "username": "ada", "kernel_id": "k1"},
        {"instance": "hub3:18888", "username": "bob", "kernel_id": "k2"},
    )
    said = slack.next_attachment()
    assert said["title"] == "[INFO x2] A kernel does nothing and holds much memory. · hub3:18888"
    assert [button["text"] for button in said["actions"]] == ["What to do", "Dashboard"]


def test_a_host_that_is_not_watched_says_only_that(
    alertmanager: httpx.Client, slack: Slack
) -> None:
    """While its exporter is down, what it last said of a source or a kernel is not repeated."""
    where = {"instance": "hub4:18888", "job": "jupyter-kernel-exporter"}
    tell(alertmanager, "JupyterKernelExporterDown", where)
    said = slack.next_attachment()
    assert said["title"] == "[CRITICAL] A host's kernels are not watched. · hub4:18888"
    assert said["color"] == "danger"
    tell(alertmanager, "JupyterKernelExporterSourceDown", {**where, "source": "cgroup"})

    def inhibited() -> bool:
        answer = alertmanager.get("/api/v2/alerts", params={"filter": 'source="cgroup"'})
        return [alert["status"]["state"] for alert in answer.json()] == ["suppressed"]

    wait_until(inhibited, "the alert is inhibited")
