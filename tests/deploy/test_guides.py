"""What the guides tell people to type and to write: run and loaded as it stands there."""

import json
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.jupyter import wait_until
from support.prometheus import needs_prometheus, running_prometheus
from support.promql import ROOT, rules
from support.serving import serving

TLJH = (ROOT / "docs/install-tljh.md").read_text()
GROWING = (ROOT / "docs/growing.md").read_text()
ELSEWHERE = (
    "apt ", "python3 -m venv", "systemctl ", "systemd-sysusers", "curl ",
    "/opt/jupyter-kernel-exporter/bin/pip", "/opt/jupyter-kernel-exporter/bin/jupyter-",
)  # fmt: skip
"""What begins so changes the machine, or needs it: left out."""

FOLDERS = (
    *("etc/default", "etc/prometheus", "etc/systemd/system", "usr/lib/sysusers.d"),
    *("etc/grafana/provisioning/datasources", "etc/grafana/provisioning/dashboards"),
    *("usr/share/grafana/public", "var/lib"),
)
"""What the system and its packages bring."""

RECEIVES = "--web.enable-remote-write-receiver"

needs_tools = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("amtool")), reason="needs promtool and amtool"
)


def commands(machine: Path) -> list[str]:
    """All of the guide's, in order, for a machine in a folder."""
    lines = re.findall(r"^\$ (.*)$", TLJH, re.MULTILINE)
    exporter = f"{sys.executable} -m jupyter_kernel_exporter"
    found = [line for line in lines if not line.startswith(ELSEWHERE)]
    found = [line.replace("/opt/jupyter-kernel-exporter/bin/jupyter-kernel-exporter", exporter)
             .replace("-o prometheus ", "") for line in found]  # fmt: skip
    return [
        re.sub(r"(?<![\w.])/(etc|(?:usr|var)/lib|usr/share)/?(?=[\w \n]|$)", rf"{machine}/\1/", c)
        for c in found
    ]


@needs_tools
def test_the_guide_for_one_machine(tmp_path: Path) -> None:
    """Typed line by line: the unit's files are where systemd looks, and what Prometheus and
    Alertmanager are given, their own tools take.
    """
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    script = "\n".join(["set -euo pipefail", *commands(tmp_path)])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    etc = tmp_path / "etc"
    name = "jupyter-kernel-exporter"
    for path in (f"default/{name}", f"systemd/system/{name}.service"):
        assert (etc / path).read_text() == (
            ROOT
            / "deploy/systemd"
            / (f"{name}.default" if "default" in path else f"{name}.service")
        ).read_text()
    assert (tmp_path / f"usr/lib/sysusers.d/{name}.conf").exists()
    config = yaml.safe_load((etc / "prometheus/prometheus.yml").read_text())
    assert "127.0.0.1:9093" in json.dumps(config["alerting"])
    for tool, file in (("promtool check config", "prometheus.yml"),
                       ("amtool check-config", "alertmanager.yml")):  # fmt: skip
        subprocess.run([*tool.split(), etc / "prometheus" / file], check=True, capture_output=True)
    (targets,) = (etc / "prometheus/targets").glob("*.yml")
    assert yaml.safe_load(targets.read_text()) == [{"targets": ["127.0.0.1:18888"]}]
    alertmanager = (etc / "prometheus/alertmanager.yml").read_text()
    (address,) = set(re.findall(r"api_url_file: (\S+)", alertmanager))
    assert Path(address).read_text().startswith("https://hooks.slack.com/")
    assert Path(address).stat().st_mode & 0o777 == 0o400
    check_grafana(tmp_path, config["global"]["external_labels"])


def check_grafana(machine: Path, links: dict[str, str]) -> None:
    """It asks this machine's Prometheus, finds every dashboard, and shows what alerts link to."""
    provisioning = machine / "etc/grafana/provisioning"
    (sources,) = (yaml.safe_load(p.read_text()) for p in provisioning.glob("datasources/*"))
    urls = {source["name"]: source["url"] for source in sources["datasources"]}
    assert urls == {
        "Prometheus": "http://127.0.0.1:9090",
        "Alertmanager": "http://127.0.0.1:9093",
    }
    (providers,) = (yaml.safe_load(p.read_text()) for p in provisioning.glob("dashboards/*"))
    (provider,) = providers["providers"]
    found = machine / provider["options"]["path"].removeprefix("/")
    made = {path.name for path in ROOT.glob("dashboards/generated/*.json")}
    assert {path.name for path in found.iterdir()} == made
    grafana = "https://grafana.example.org"
    assert links == {
        "jupyter_dashboards": f"{grafana}/d",
        "jupyter_runbooks": f"{grafana}/public/runbooks",
    }
    runbooks = {path.stem for path in (machine / "usr/share/grafana/public/runbooks").iterdir()}
    assert {rule["alert"] for rule in rules() if "alert" in rule} <= runbooks


def blocks() -> dict[str, Any]:
    """The pieces of configuration that the guide gives, by their first key."""
    found: dict[str, Any] = {}
    for text in re.findall(r"```yaml\n(.*?)```", GROWING, re.DOTALL):
        piece = yaml.safe_load(text)
        found |= piece if isinstance(piece, dict) else {"targets": piece}
    return found


def configuration(**more: Any) -> dict[str, Any]:
    """That of the stack, with more in the job that scrapes exporters."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "alerts/prometheus.yml").read_text())
    (job,) = (j for j in found["scrape_configs"] if j["job_name"] == "jupyter-kernel-exporter")
    job |= more
    return found


@pytest.mark.patient
@needs_tools
def test_the_pieces_of_growing_are_loaded(tmp_path: Path) -> None:
    """A list of hosts, and what goes to a long-term store."""
    shutil.copytree(ROOT / "alerts/rules", tmp_path / "rules")
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/hub.yml").write_text(yaml.safe_dump(blocks()["targets"]))
    config = configuration() | {"remote_write": blocks()["remote_write"]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    subprocess.run(command, check=True, capture_output=True)
    assert {target["labels"]["hub"] for target in discovered(tmp_path, config)} == {"physics"}


@pytest.mark.patient
@needs_tools
def test_shards_take_each_host_once(tmp_path: Path) -> None:
    """A hundred hosts and four Prometheus, by Prometheus' own reckoning."""
    hosts = [f"hub{n}:18888" for n in range(100)]
    hashed, kept = blocks()["relabel_configs"]
    shards: list[str] = []
    for number in range(4):
        rules = [hashed, kept | {"regex": str(number)}]
        more = {"static_configs": [{"targets": hosts}], "relabel_configs": rules}
        config = configuration(**more, file_sd_configs=[])
        found = [target["labels"]["instance"] for target in discovered(tmp_path, config)]
        assert len(found) > 10
        shards += found
    assert sorted(shards) == sorted(hosts)


# No kernel's id has more than one line: discovery refuses the names of such files.
METRICS = (ROOT / "tests/fixtures/metrics.txt").read_bytes().replace(rb"two\n", b"two ")


class Exporter(BaseHTTPRequestHandler):
    """Says what a daemon would, of kernels that are made up."""

    def do_GET(self) -> None:
        """Every path is ``/metrics``."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.patient
@pytest.mark.real
@needs_prometheus
def test_an_agent_sends_on_what_outlives_kernels(tmp_path: Path) -> None:
    """With the guide's own piece: one Prometheus scrapes and keeps nothing, one is the store."""
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Exporter)) as exporter,
        running_prometheus(tmp_path / "store", {}, RECEIVES) as store,
    ):
        (write,) = blocks()["remote_write"]
        write |= {"url": f"{store.base_url}/api/v1/write"}
        targets = [{"targets": [f"127.0.0.1:{exporter.server_port}"]}]
        job = {"job_name": "j", "scrape_interval": "1s", "scrape_timeout": "1s"}
        config = {
            "scrape_configs": [job | {"static_configs": targets}],
            "remote_write": [write],
        }

        def series(selector: str) -> int:
            query = {"query": f"count({selector})"}
            found = store.get("/api/v1/query", params=query).json()["data"]["result"]
            return int(found[0]["value"][1]) if found else 0

        with running_prometheus(tmp_path / "agent", config, agent=True):
            wait_until(lambda: series("jupyter_kernel_deaths_total"), "it is sent on")
            assert series("jupyter_kernels") == METRICS.count(b"\njupyter_kernels{")
            assert series('{job="j", kernel_id!=""}') == 0


def discovered(folder: Path, config: dict[str, Any]) -> list[dict[str, dict[str, str]]]:
    """The targets that Prometheus would scrape, with their labels."""
    path = folder / "prometheus.yml"
    config = {"scrape_configs": config["scrape_configs"]}
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        ["promtool", "check", "service-discovery", "--timeout=2s", path, "jupyter-kernel-exporter"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [target for target in json.loads(done.stdout) if target["labels"]]
