"""The files of the stack, for those who have nothing but the wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from jupyter_kernel_exporter.bundle import PARTS, read_parts, shipped, without_build
from jupyter_kernel_exporter.cli import main
from support.compose import docker_compose, services
from support.promql import ROOT


def test_a_checkout_has_them_where_they_are() -> None:
    """Nothing is copied to work on them."""
    assert shipped() == ROOT


def test_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every part, as it is in the project; a second time is no harm."""
    target = tmp_path / "stack"
    for _ in range(2):
        assert main(["bundle", str(target)]) == 0
    written = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()}
    assert written == {name for name, _ in read_parts(ROOT)}
    for part in PARTS:
        assert (target / part).exists()
    for name in written - {"docker-compose.yml"}:
        assert (target / name).read_bytes() == (ROOT / name).read_bytes()
    assert capsys.readouterr().out == f"{len(written)} files in {target}\n" * 2


def test_what_was_changed_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody's own thresholds are not written over, unless that is asked for."""
    assert main(["bundle", str(tmp_path)]) == 0
    mine = tmp_path / "alerts/alertmanager.yml"
    mine.write_text("# mine\n")
    (tmp_path / ".env.example").unlink()
    assert main(["bundle", str(tmp_path)]) == 1
    assert str(mine) in capsys.readouterr().err
    assert mine.read_text() == "# mine\n"
    assert not (tmp_path / ".env.example").exists()
    assert main(["bundle", str(tmp_path), "--overwrite"]) == 0
    assert mine.read_text() != "# mine\n"


@pytest.mark.parametrize("mine", [b"# caf\xe9\n", b"\xff\xfem\0"])
def test_what_is_no_utf8_was_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mine: bytes
) -> None:
    """As an editor with another encoding leaves it."""
    path = tmp_path / "alerts/alertmanager.yml"
    path.parent.mkdir()
    path.write_bytes(mine)
    assert main(["bundle", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{path} is there and was changed: --overwrite\n"
    assert path.read_bytes() == mine
    assert main(["bundle", str(tmp_path), "--overwrite"]) == 0
    assert path.read_bytes() == (ROOT / "alerts/alertmanager.yml").read_bytes()


def test_a_directory_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """One clear line."""
    with pytest.raises(SystemExit) as stopped:
        main(["bundle"])
    assert stopped.value.code == 2
    assert "DIR" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Exit status 1, and no traceback."""
    (tmp_path / "file").write_text("")
    assert main(["bundle", str(tmp_path / "file" / "stack")]) == 1


def test_images_are_not_built_from_a_bundle() -> None:
    """There is nothing to build them from; everything else of the compose file is the same."""
    text = (ROOT / "docker-compose.yml").read_text()
    whole, rest = yaml.safe_load(text), yaml.safe_load(without_build(text))
    built = {name for name, service in whole["services"].items() if service.pop("build", None)}
    assert built == {"exporter", "demo"}
    assert rest == whole


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, as it is published."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_from_a_wheel_outside_the_project(wheel: Path, tmp_path: Path) -> None:
    """A wheel is built, unpacked into an environment of its own, and what it writes is loaded by
    Prometheus' and Alertmanager's tools; nothing is in it that does not belong there.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = "jupyter_kernel_exporter/"
    assert all(name.startswith(("jupyter_kernel_exporter-", package)) for name in names)
    stray = ("__pycache__", ".pyc", ".env", "secrets", ".git", ".key", ".pem", "test")
    assert [n for n in names if n.endswith(stray) or "/secrets/" in n or "pycache" in n] == []
    environment = tmp_path / "venv"
    venv.create(environment)
    (site,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # what pip does, without asking for pip
        archive.extractall(site)
    # Dependencies come from the environment of the tests; the project itself must not.
    (own,) = {path for path in sys.path if path.endswith("site-packages") and "venv" in path}
    (site / "dependencies.pth").write_text(f"{own}\n")
    script = (
        "import sys, jupyter_kernel_exporter as j; sys.path = [p for p in sys.path if "
        f"not p.startswith({str(ROOT / 'exporter')!r})]; "
        "from jupyter_kernel_exporter.cli import main; print(j.__file__); "
        f"sys.exit(main(['bundle', {str(tmp_path / 'stack')!r}]))"
    )
    done = subprocess.run(
        [environment / "bin/python", "-c", script],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    stack = tmp_path / "stack"
    for command in (
        ["promtool", "check", "config", "--lint=none", str(stack / "alerts/prometheus.yml")],
        ["promtool", "check", "rules", *map(str, (stack / "alerts/rules").glob("*.yml"))],
        ["amtool", "check-config", str(stack / "alerts/alertmanager.yml")],
    ):
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def outside(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run it where nothing of the project or of the tests' environment is at hand."""
    return subprocess.run(
        command,
        cwd="/",
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))},
        capture_output=True,
        text=True,
        check=False,
    )


def is_out_of_reach(said: str) -> bool:
    """Whether pip has failed because no index answered, and not for what it was given."""
    if "Could not find a version" in said:
        return "connection broken by" in said or "PIP_NO_INDEX" in os.environ
    return bool(re.search(r"Max retries exceeded|Read timed out", said))


@pytest.mark.real
def test_from_a_wheel_with_what_is_locked(wheel: Path, tmp_path: Path) -> None:
    """Into an environment with nothing in it: what is locked is all that the wheel needs, and its
    command writes a stack that docker compose understands.
    """
    environment, stack = tmp_path / "venv", tmp_path / "stack"
    made = outside(sys.executable, "-m", "venv", environment)
    assert made.returncode == 0, made.stdout + made.stderr
    pip = (environment / "bin/python", "-m", "pip", "--retries=1", "--timeout=15")
    lock = ROOT / "locks/runtime.txt"
    locked = outside(*pip, "install", "--require-hashes", "-r", lock)
    if locked.returncode != 0 and is_out_of_reach(locked.stdout + locked.stderr):
        pytest.skip("pip reaches no package index")
    assert locked.returncode == 0, locked.stdout + locked.stderr
    for command in (
        (*pip, "install", "--no-deps", "--no-index", wheel),
        (*pip, "check"),
        (environment / "bin/jupyter-kernel-exporter", "bundle", stack),
    ):
        done = outside(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    file = ("-f", str(stack / "docker-compose.yml"), "--profile", "*")
    shown = docker_compose(*file, "config", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["services"].keys() == services().keys()
