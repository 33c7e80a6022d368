"""The project as a whole: its commands, its locks, its compose file."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jupyter_kernel_exporter import __version__
from support.compose import docker_compose, services
from support.promql import ROOT

NOT_OURS = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
LOCKS = ("runtime", "build", "demo", "dev")


def own_files() -> Iterator[Path]:
    """Every text of the project."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        for name in files:
            yield Path(folder, name)


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the business of those who install them."""
    # In two parts, for this file is searched as well.
    hosts = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb." + "debian.org")
    flags = ("index" + "-url", "find" + "-links", "trusted" + "-host")
    for path in own_files():
        text = path.read_text(errors="replace")
        assert not [word for word in hosts + flags if word in text], path


def test_make_alone_lists_every_target() -> None:
    """A newcomer sees what there is."""
    makefile = (ROOT / "Makefile").read_text()
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert [line.split()[1] for line in done.stdout.splitlines()] == phony.split()


@pytest.mark.parametrize("script", [".ci/run", "tools/system_packages.sh"])
def test_scripts_can_be_run_and_stop_at_the_first_fault(script: str) -> None:
    """Executable, bash, strict, and of valid syntax."""
    path = ROOT / script
    assert os.access(path, os.X_OK)
    text = path.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    subprocess.run(["bash", "-n", path], check=True)


def check_python(prelude: str) -> "subprocess.CompletedProcess[str]":
    """Run the check of Python, after something was made wrong with it."""
    code = f"{prelude}\nexec(open({str(ROOT / 'tools/check_python.py')!r}).read())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("prelude", "says"),
    [
        pytest.param("import sys; sys.version_info = (3, 9, 2)", "3.11 or later", id="too old"),
        pytest.param(
            "import sys; sys.modules['ensurepip'] = None", "apt install python3-venv", id="no venv"
        ),
        pytest.param("", "", id="fine"),
    ],
)
def test_a_python_that_cannot_do_it_is_told_apart(prelude: str, says: str) -> None:
    """The message names what is missing and how to get it."""
    done = check_python(prelude)
    assert done.returncode == (1 if says else 0)
    assert says in done.stderr


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with next to nothing on it."""
    for name in ("bash", "cat", "env"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    return str(tmp_path)


@pytest.mark.parametrize(("target", "status"), [("test", 0), ("check", 1), ("bench", 1)])
def test_what_cannot_be_installed_is_named(bare_path: str, target: str, status: int) -> None:
    """Without apt-get: tests go on and leave things out, the others cannot."""
    done = subprocess.run(
        [ROOT / "tools/system_packages.sh", target],
        env={"PATH": bare_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert "apt install --no-install-recommends prometheus" in done.stderr


FAKE_APT = """#!/bin/bash
echo "apt-get $*"
echo "policy: $(cat "$POLICY_RC_D")"
exit "$APT_STATUS"
"""


@pytest.mark.parametrize("apt_status", [0, 100])
@pytest.mark.parametrize("policy", [None, "theirs"])
def test_installing_starts_no_service(
    tmp_path: Path, bare_path: str, policy: str | None, apt_status: int
) -> None:
    """While packages are installed Debian's policy forbids it; then it is as it was, always."""
    for name in ("mktemp", "mv", "rm", "chmod", "true"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name, text in (
        ("apt-get", FAKE_APT),
        ("systemctl", "#!/bin/bash\n"),
        ("sudo", '#!/bin/bash\n[[ $1 == -n ]] && exec "${@:2}"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    folder = tmp_path / "sbin"
    folder.mkdir()
    place = folder / "policy-rc.d"
    if policy is not None:
        place.write_text(policy)
    done = subprocess.run(
        [ROOT / "tools/system_packages.sh", "check"],
        env={"PATH": bare_path, "POLICY_RC_D": str(place), "APT_STATUS": str(apt_status)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == apt_status, done.stderr
    assert "policy: #!/bin/sh\nexit 101\n" in done.stdout
    assert [path.read_text() for path in folder.iterdir()] == ([policy] if policy else [])
    if apt_status == 0:
        assert "install --quiet --yes --no-install-recommends prometheus " in done.stdout


def requirements(lock: str) -> dict[str, set[str]]:
    """Versions of each package of a lock: several where they differ by Python or platform."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / f"locks/{lock}.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==([\w.!+-]+)", line):
            found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_agree_and_are_hashed(lock: str) -> None:
    """No package is installed in two versions, whatever is installed after what."""
    dev = requirements("dev")
    for name, versions in requirements(lock).items():
        assert versions <= dev.get(name, versions), name
    text = (ROOT / f"locks/{lock}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_build_lock_is_that_of_pyproject() -> None:
    """What pip would fetch by itself is what is locked."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    (backend,) = re.findall(r'^requires = \["(hatchling==[\d.]+)"\]$', pyproject, re.MULTILINE)
    assert backend in (ROOT / "locks/build.in").read_text().splitlines()


def compose() -> Any:
    """The compose file."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_docker_compose_accepts_its_file(tmp_path: Path) -> None:
    """With every profile; and it would say so if it did not."""
    done = docker_compose("-f", str(ROOT / "docker-compose.yml"), "--profile", "*", "config", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    wrong = compose()
    wrong["services"]["grafana"]["secrets"].append("no-such-secret")
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(yaml.safe_dump(wrong))
    done = docker_compose("-f", str(broken), "config", "-q")
    assert done.returncode != 0
    assert "no-such-secret" in done.stderr


def test_the_compose_file_fits_its_schema() -> None:
    """By the specification's own schema."""
    subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"),
        ],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("name", compose()["services"])
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """Pinned, read-only, on loopback, without capabilities but the exporter's three."""
    service = services()[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    added = service.get("cap_add") or []
    assert added == (["SYS_PTRACE", "DAC_READ_SEARCH", "SYSLOG"] if name == "exporter" else [])
    assert "no-new-privileges:true" in service["security_opt"]
    assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}
    for volume in service.get("volumes", ()):
        if volume["type"] == "bind":
            assert volume["read_only"]
            assert Path(volume["source"]).exists()
    for wanted in service.get("depends_on", {}).values():
        assert wanted["condition"] == "service_healthy"


def test_images_of_ours_bear_the_version() -> None:
    """What is built is named after what it holds."""
    ours = {s["image"] for s in compose()["services"].values() if "build" in s}
    assert ours == {
        f"jupyter-kernel-exporter:{__version__}",
        f"jupyter-kernel-exporter-demo:{__version__}",
    }


def test_the_image_is_built_from_what_is_there() -> None:
    """Every file that the Dockerfile copies exists, and .dockerignore lets it through."""
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (ROOT / "exporter/Dockerfile").read_text(), re.MULTILINE
    )
    names = [name for line in copied for name in line.split()]
    assert len(names) >= 6
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name.partition('/')[0]}" in ignore
