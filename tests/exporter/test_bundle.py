"""The files of the stack, for those who have nothing but the wheel."""

import os
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


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_from_a_wheel_outside_the_project(tmp_path: Path) -> None:
    """A wheel is built, installed into an environment of its own, and what it writes is loaded by
    Prometheus' and Alertmanager's tools; nothing is in it that does not belong there.
    """
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
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
