"""A real Prometheus, as Debian ships it."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.daemon import free_port
from support.jupyter import end, wait_until
from support.promql import ROOT

needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="needs prometheus")


@contextlib.contextmanager
def running_prometheus(
    home: Path, config: Mapping[str, Any], *arguments: str, agent: bool = False
) -> Iterator[httpx.Client]:
    """Prometheus with that configuration; paths in it are relative to ``home``.

    As an ``agent`` it scrapes and sends on, and keeps nothing.
    """
    home.mkdir(exist_ok=True)
    (home / "prometheus.yml").write_text(yaml.safe_dump(dict(config)))
    port = free_port()
    log_file = home / "prometheus.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={home}/prometheus.yml",
                f"--storage.{'agent' if agent else 'tsdb'}.path={home}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                *([agent_flag()] if agent else []),
                *arguments,
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:

            def answers() -> bool:
                assert process.poll() is None, log_file.read_text()
                with contextlib.suppress(httpx.TransportError):
                    return http.get("/-/ready").status_code == 200
                return False

            wait_until(answers, "Prometheus is ready")
            yield http
    finally:
        end(process)


def agent_flag() -> str:
    """What makes an agent of it, which version 3 has a flag of its own for."""
    told = subprocess.run(["prometheus", "--help"], capture_output=True, text=True, check=False)
    return "--agent" if re.search(r"--\S*\bagent\s", told.stdout) else "--enable-feature=agent"


def shipped_config(home: Path, target: int) -> dict[str, Any]:
    """The project's configuration and rules; one port of loopback is scraped, nobody is told."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "alerts/prometheus.yml").read_text())
    del config["alerting"]
    own, *_ = config["scrape_configs"]
    own["file_sd_configs"][0]["files"] = [f"{home}/targets.yml"]
    config["scrape_configs"] = [own]
    config["rule_files"] = [f"{ROOT}/alerts/rules/*.yml"]
    home.mkdir(exist_ok=True)
    (home / "targets.yml").write_text(yaml.safe_dump([{"targets": [f"127.0.0.1:{target}"]}]))
    return config
