"""The compose file beyond its schema: knobs, health, limits, and who waits for whom."""

import re
from typing import Any

import pytest
import yaml

from jupyter_kernel_exporter.settings import SETTINGS, environment_name
from support.promql import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]


def test_every_knob_is_in_the_example() -> None:
    """With the value that counts without it, and no knob that turns nothing."""
    knobs = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == knobs
    ours = {name for name in SERVICES["exporter"]["environment"] if name.startswith("JKE_")}
    assert ours <= {environment_name(setting.name) for setting in SETTINGS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded(name: str) -> None:
    """In memory, processes and what it logs."""
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["restart"] == "unless-stopped"


def test_the_exporter_sees_the_host_and_changes_nothing() -> None:
    """The host's processes and cgroups; its files read-only; what it keeps in a volume."""
    exporter = SERVICES["exporter"]
    assert (exporter["pid"], exporter["cgroup"]) == ("host", "host")
    assert exporter["devices"] == ["/dev/kmsg:/dev/kmsg:r"]
    root, state = exporter["volumes"]
    assert (root["source"], root["read_only"]) == ("/", True)
    assert state == "exporter:/var/lib/jupyter-kernel-exporter"
    assert exporter["oom_score_adj"] < 0


def test_health_and_order() -> None:
    """Each service that another waits for has a check; the exporter's is its image's."""
    waited = {name for service in SERVICES.values() for name in service.get("depends_on", {})}
    assert waited == {"exporter", "alertmanager", "prometheus"}
    assert "HEALTHCHECK" in (ROOT / "exporter/Dockerfile").read_text()
    assert all("healthcheck" in SERVICES[name] for name in waited - {"exporter"})


def test_kernels_of_the_demo_can_be_heard() -> None:
    """They are in the exporter's network."""
    demo = SERVICES["demo"]
    assert demo["network_mode"] == "service:exporter"
    assert "cap_add" not in demo


def test_the_demos_page_is_where_its_log_says() -> None:
    """Of a network that two services share, the ports are opened by the one that it is of."""
    demo = SERVICES["demo"]
    assert "ports" not in demo
    host, port, shown = demo["command"]
    assert host == "--host=0.0.0.0"
    inside = port.removeprefix("--port=")
    outside = shown.removeprefix("--shown-port=")
    assert f"127.0.0.1:{outside}:{inside}" in SERVICES["exporter"]["ports"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_opened_on_loopback_only(name: str) -> None:
    """Whoever wants them further out puts a proxy with a login in front."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_secrets_are_files() -> None:
    """None of them is a variable, and none is in the project."""
    assert all(set(secret) == {"file"} for secret in FILE["secrets"].values())
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = re.search("PASSWORD|SECRET|TOKEN|KEY", variable)
            assert not secret or variable.endswith("__FILE"), f"{name}: {variable}"
