"""Nothing that does not belong there, and no secret, in the repository, in what is built from it,
and in what an image is built from.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from jupyter_kernel_exporter import __version__
from support.promql import ROOT
from support.secret_words import suspicious

PACKAGE = "jupyter_kernel_exporter"
NAME = f"{PACKAGE}-{__version__}"

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists() or not shutil.which("git"), reason="git knows what is ours"
)

STRAY = re.compile(
    r"(^|/)(__pycache__|\.env|\.envrc|secrets|\.git|\.venv|\.idea|\.vscode|\.DS_Store|\.coverage"
    r"|\.ipynb_checkpoints|\.[a-z]+_cache|node_modules|core|nohup\.out)(/|$)"
    r"|\.(pyc|pyo|so|swp|swo|orig|rej|bak|tmp|log|sqlite3?|db|pem|key|crt|p12|egg-info)$|~$|\.db-wal$"
)
KNOWN = {
    "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi": "bcrypt of a word that the"
    " documents of Prometheus' exporters give",
    "71f4db4f92b8dfd02cb02f9913c76fa0": "a made-up number of a pod",
}
"""What looks like a secret, and is none."""
HASHED = re.compile(r"^locks/|vendor/README\.md$")
"""Files with the digests of what is fetched."""


@cache
def ours() -> frozenset[str]:
    """Every file of the repository, or about to become one: what git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(n for n in listed.stdout.split("\0") if n and (ROOT / n).exists())


def secrets_in(name: str, content: bytes) -> list[str]:
    """What looks like a secret in a file."""
    if content[:4] == b"\x89PNG":
        return []
    text = content.decode(errors="replace")
    for known in KNOWN:
        text = text.replace(known, "")
    digests = ("long hexadecimal", "long base64") if HASHED.search(name) else ()
    return [f"{name}: {kind}: {word}" for kind, word in suspicious(text) if kind not in digests]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE", "a private key"),
        ("https://hooks.slack.com/" + "services/T01/B02/x", "a webhook's address"),
        ("AKIA" + "Q3EGRIJ5M7WXYZ12", "a token"),
        ("ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2", "a token"),
        ("postgres://ada:" + "lovelace@db/hub", "an address with a password"),
        ("9f86d081884c7d65" + "9a2feaa0c55ad015", "long hexadecimal"),
        ("qL8s3VbN0xYtR7mZ" + "2pWcK5uHjG9aDfE4oTiB1yXv", "long base64"),
        ("https://hooks.slack.com/services/…", ""),
        ("--BEGIN CERTIFICATE--", ""),
        ("http://localhost:3000/public/runbooks/JupyterKernelWorkerOOMKilled.md", ""),
        ("0" * 31 + "1", ""),
    ],
)
def test_a_secret_would_be_seen(text: str, kind: str) -> None:
    """Each kind, and nothing that merely looks odd. In two parts: this file is searched as well."""
    assert {found for found, _ in suspicious(f"x = {text}\n")} == ({kind} if kind else set())


def test_the_repository_holds_no_secret() -> None:
    """Whatever is committed, or about to be."""
    found = [s for name in sorted(ours()) for s in secrets_in(name, (ROOT / name).read_bytes())]
    assert found == []


def test_the_repository_holds_nothing_stray() -> None:
    """No leftovers of tools and editors; and none is committed by mistake."""
    assert [name for name in sorted(ours()) if STRAY.search(name)] == []
    strays = [".env", "secrets/slack-webhook-url", "alerts/rules/.work.yml.swp", "README.md~",
              "exporter/__pycache__/x.pyc", ".venv/bin/python", "dist/x.whl"]  # fmt: skip
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *strays],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == strays


def ignores(patterns: list[str], path: str) -> bool:
    """Whether .dockerignore keeps a file out: of the patterns that match it, or a folder that it is
    in, the last one counts.
    """
    ignored = False
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        expression = re.escape(pattern.removeprefix("!").strip("/"))
        for old, new in ((r"\*\*/", "(.*/)?"), (r"\*\*", ".*"), (r"\*", "[^/]*"), (r"\?", "[^/]"),
                         (r"\[", "["), (r"\]", "]")):  # fmt: skip
            expression = expression.replace(old, new)
        if any(re.fullmatch(expression, folder) for folder in above):
            ignored = not pattern.startswith("!")
    return ignored


def test_an_image_is_built_from_ours_only() -> None:
    """What the engine is sent is what the Dockerfile may copy, and no leftovers."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    sent = {name for name in ours() if not ignores(patterns, name)}
    assert {name.partition("/")[0] for name in sent} == {
        "exporter", "alerts", "dashboards", "deploy", "locks", "docker-compose.yml", ".env.example",
        "pyproject.toml", "README.md", "LICENSE",
    }  # fmt: skip
    assert {n for n in ours() if n.startswith(f"exporter/{PACKAGE}/")} <= sent
    for stray in (
        ".env", "secrets/slack-webhook-url", ".git/config", ".venv/bin/python", "tests/conftest.py",
        "exporter/.env", f"exporter/{PACKAGE}/__pycache__/cli.cpython-313.pyc",
        f"exporter/{PACKAGE}/cli.pyc", "deploy/secrets/token", "alerts/secrets/slack-webhook-url",
        "alerts/rules/.work.yml.swp", "deploy/tls.key", "deploy/tls.pem", "alerts/prometheus.yml~",
        "dashboards/.mypy_cache/x", f"exporter/{PACKAGE}.egg-info/PKG-INFO",
    ):  # fmt: skip
        assert ignores(patterns, stray), stray


def build(folder: Path) -> dict[str, bytes]:
    """Build the wheel and the archive of sources into a folder; their names and contents."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the archive of sources."""
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.mark.real
def test_a_build_gives_the_same_each_time(built: Path, tmp_path: Path) -> None:
    """To the byte, so that anybody can check what somebody else has built."""
    assert build(tmp_path) == {path.name: path.read_bytes() for path in built.iterdir()}


@pytest.mark.real
def test_the_wheel_holds_ours_only(built: Path) -> None:
    """Every file of the package and of the bundle, as it is here; nothing else, no test."""
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    assert {name.partition("/")[0] for name in files} == {PACKAGE, f"{NAME}.dist-info"}
    info = {name.partition("/")[2] for name in files if name.startswith(NAME)}
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    bundled = f"{PACKAGE}/bundled/"
    for name, content in files.items():
        if name.startswith(NAME):
            continue
        here = name.removeprefix(bundled) if name.startswith(bundled) else f"exporter/{name}"
        assert here in ours(), name
        assert (ROOT / here).read_bytes() == content, name
    assert {n for n in ours() if n.startswith(f"exporter/{PACKAGE}/")} <= {
        f"exporter/{name}" for name in files
    }
    assert not [
        n for n in files if STRAY.search(n) or re.search(r"(^|/)(tests?|test_\w+)(/|\.)", n)
    ]
    assert [
        s for n, text in files.items() if not n.endswith("RECORD") for s in secrets_in(n, text)
    ] == []


@pytest.mark.real
def test_the_sources_hold_ours_only(built: Path) -> None:
    """What it takes to build the wheel, as it is here."""
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        assert all(member.isfile() for member in archive)
        files = {}
        for member in archive:
            inside = archive.extractfile(member)
            assert inside is not None
            top, _, name = member.name.partition("/")
            assert top == NAME
            files[name] = inside.read()
    assert {name.partition("/")[0] for name in files} == {
        "exporter", "alerts", "dashboards", "deploy", "docker-compose.yml", ".env.example",
        ".gitignore", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO",
    }  # fmt: skip
    for name, content in files.items():
        if name != "PKG-INFO":
            assert name in ours(), name
            assert (ROOT / name).read_bytes() == content, name
    assert [name for name in files if STRAY.search(name)] == []
    assert [s for name, text in files.items() for s in secrets_in(name, text)] == []
