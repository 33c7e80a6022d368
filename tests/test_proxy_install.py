"""The step that fetches JupyterHub's proxy for the test that runs a real hub."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.promql import ROOT

PROXY = "node/node_modules/.bin/configurable-http-proxy"

FAKE_NPM = """#!/bin/bash
echo "npm $*"
mkdir -p "$VENV/node/node_modules/.bin"
printf '#!/bin/bash\n' >"$VENV/node/node_modules/.bin/configurable-http-proxy"
chmod 755 "$VENV/node/node_modules/.bin/configurable-http-proxy"
exit "$NPM_STATUS"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with what the script needs, and no npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat", "env", "mkdir", "cp", "rm", "chmod"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def install(tmp_path: Path, path: Path, npm_status: int = 0) -> "subprocess.CompletedProcess[str]":
    """What ``make test`` runs first; without apt-get, so that nothing else happens."""
    environ = {"PATH": str(path), "VENV": str(tmp_path), "NPM_STATUS": str(npm_status)}
    done = subprocess.run(
        [ROOT / "tools/system_packages.sh", "test"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_without_npm_the_test_is_left_out(tmp_path: Path, path: Path) -> None:
    """And that is said."""
    done = install(tmp_path, path)
    assert "Missing: npm. The test with a real JupyterHub" in done.stderr
    assert not (tmp_path / "node").exists()


def test_it_is_installed_once_for_each_lock(tmp_path: Path, path: Path) -> None:
    """In the versions that are locked, and without scripts of packages."""
    (path / "npm").write_text(FAKE_NPM)
    (path / "npm").chmod(0o755)
    done = install(tmp_path, path)
    assert f"npm ci --prefix {tmp_path}/node --ignore-scripts" in done.stdout
    assert os.access(tmp_path / PROXY, os.X_OK)
    assert "npm" not in install(tmp_path, path).stdout
    (tmp_path / "node/package-lock.json").write_text("of another version")
    assert "npm ci" in install(tmp_path, path).stdout


def test_an_npm_that_fails_leaves_nothing_behind(tmp_path: Path, path: Path) -> None:
    """Half a proxy would not be noticed the next time."""
    (path / "npm").write_text(FAKE_NPM)
    (path / "npm").chmod(0o755)
    done = install(tmp_path, path, npm_status=1)
    assert "npm could not install it" in done.stderr
    assert not (tmp_path / "node").exists()


def test_every_version_is_locked_by_its_hash() -> None:
    """And by nothing else: where packages come from is for those to say who install them."""
    lock = json.loads((ROOT / "locks/node/package-lock.json").read_text())
    wanted = json.loads((ROOT / "locks/node/package.json").read_text())["dependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}
    for name, version in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
