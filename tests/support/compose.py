"""Docker compose itself, for what it makes of a compose file."""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

from support.promql import ROOT

FILE = ROOT / "docker-compose.yml"


def docker_compose(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Docker compose itself. Its Python wrapper would hide the exit status."""
    package = importlib.util.find_spec("compose")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "docker-compose"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def services(*more: Path) -> dict[str, dict[str, Any]]:
    """All services, with what further files change in them, as docker compose would start them."""
    files = [word for path in (FILE, *more) for word in ("-f", str(path))]
    done = docker_compose(*files, "--profile", "*", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return found
