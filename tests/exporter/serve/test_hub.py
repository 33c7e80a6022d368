"""How the exporter becomes a hub's service, and what keeps it from it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.serve.hub import (
    NEEDED,
    HubError,
    open_hub,
    parse_cookie_options,
)
from jupyter_kernel_exporter.serve.hub_guard import parse_bearer
from jupyter_kernel_exporter.serve.lock import Lock
from jupyter_kernel_exporter.settings import resolve
from support.locks import hashed
from support.promql import ROOT

ENVIRON = {
    "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
    "JUPYTERHUB_API_TOKEN": "hush-the-token-of-the-service",
    "JUPYTERHUB_SERVICE_NAME": "kernels",
    "JUPYTERHUB_SERVICE_PREFIX": "/services/kernels/",
    "JUPYTERHUB_CLIENT_ID": "service-kernels",
}


def test_without_the_setting_there_is_no_hub() -> None:
    """A user's terminal has the variables as well."""
    assert open_hub(resolve({}, {}), ENVIRON) is None


def test_the_variables_that_are_needed() -> None:
    """The test's environment has all of them."""
    assert set(NEEDED) == set(ENVIRON)


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", NEEDED)
def test_a_variable_that_is_missing_is_named(name: str, value: str | None) -> None:
    """One clear line."""
    environ = {k: v for k, v in ENVIRON.items() if k != name} | ({name: value} if value else {})
    with pytest.raises(HubError, match=f"^{name} missing"):
        open_hub(resolve({"web.jupyterhub": "true"}, {}), environ)


def test_without_the_environment_of_kernels_nobody_can_be_told_apart() -> None:
    """The owner of a process may have the name of somebody else on the hub."""
    flags = {"web.jupyterhub": "true", "source.environ": "false"}
    with pytest.raises(HubError, match=r"not with --no-source\.environ"):
        open_hub(resolve(flags, {}), ENVIRON)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    monkeypatch.setitem(sys.modules, "jupyterhub.services.auth", None)
    with pytest.raises(HubError, match=r"jupyter-kernel-exporter\[hub\]"):
        open_hub(resolve({"web.jupyterhub": "true"}, {}), ENVIRON)


def run(tmp_path: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The daemon, which is expected not to start."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "jupyter_kernel_exporter", "--web.jupyterhub"),
            *("--web.listen-address=127.0.0.1:0", f"--state-dir={tmp_path}", *arguments),
        ],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_clear_line_and_status_2(tmp_path: Path) -> None:
    """As for every value that cannot be used; the token is not in it."""
    environ = {k: v for k, v in ENVIRON.items() if k != "JUPYTERHUB_CLIENT_ID"}
    done = run(tmp_path, "--log.level=debug", **environ)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        "jupyter-kernel-exporter: --web.jupyterhub: JUPYTERHUB_CLIENT_ID missing"
    )
    assert ENVIRON["JUPYTERHUB_API_TOKEN"] not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the lock's file."""

    def write(text: str) -> Path:
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return write


USERS = f"basic_auth_users:\n  ada: {hashed('secret')}\n"


def test_passwords_beside_a_hub_are_refused(tmp_path: Path, config: Callable[[str], Path]) -> None:
    """One of both says who people are."""
    done = run(tmp_path, f"--web.config.file={config(USERS)}", **ENVIRON)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no basic_auth_users with --web.jupyterhub" in done.stderr


def test_nor_are_they_taken_in_later(config: Callable[[str], Path]) -> None:
    """The file is followed while the daemon runs."""
    lock = Lock(str(config("http_server_config: {}\n")), beside_hub=True)
    config(USERS)
    assert lock.renew() is False
    assert not lock.config.users
    lock.close()


@pytest.mark.parametrize(
    ("options", "flags", "seconds"),
    [
        ({}, {}, None),
        ({"SameSite": "None", "Secure": True}, {"samesite": "none", "secure": True}, None),
        ({"expires_days": 2}, {}, 172_800),
        ({"expires_days": None}, {}, None),
        ({"expires_days": 0.5, "max_age": 60}, {}, 60),
        ({"domain": "hub.example.org"}, {"domain": "hub.example.org"}, None),
    ],
)
def test_cookie_options(
    options: dict[str, Any], flags: dict[str, Any], seconds: int | None
) -> None:
    """Tornado's words, for a server that is not tornado."""
    assert parse_cookie_options(options) == (flags, seconds)


def test_a_cookie_option_that_is_not_known() -> None:
    """Half of what was asked for is not done."""
    with pytest.raises(HubError, match="path, priority cannot be set"):
        parse_cookie_options({"path": "/", "Priority": "High"})


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("token abc", "abc"),
        ("  bearer   abc  ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_bearer(header: str, token: str | None) -> None:
    """The token, or none."""
    assert parse_bearer(header) == token


def test_the_guide_says_what_is_needed() -> None:
    """Its configurations are Python, grant scopes that the hub knows, and name every variable."""
    from jupyterhub.scopes import parse_scopes, scope_definitions
    from traitlets.config import Config

    guide = (ROOT / "docs/jupyterhub.md").read_text()
    granted: dict[str, set[str]] = {}
    for text in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        c = Config()
        exec(text, {"c": c})
        assert "kernels" in {service["name"] for service in c.JupyterHub.services}
        for role in c.JupyterHub.get("load_roles", ()):
            granted[role["name"]] = set(role["scopes"])
    access = "access:services!service=kernels"
    assert granted == {"user": {"self", access}, "scrapes-kernels": {access}}
    assert set(parse_scopes(frozenset({access}))) <= set(scope_definitions)
    for name in NEEDED:
        assert f"\n{name}=" in guide
