"""What systemd does after an OOM kill, from trees of unit files."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.systemd import (
    find_units,
    is_running,
    parse_unit,
    read_oom_policy,
    service_of,
)

ETC = "etc/systemd/system"
LIB = "usr/lib/systemd/system"
UNIT = "jupyter-ada.service"


def make(root: Path, files: dict[str, str]) -> str:
    """Files below a root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("files", "policy"),
    [
        pytest.param({}, None, id="no file"),
        pytest.param({f"{ETC}/{UNIT}": "[Service]\n"}, "stop", id="built in"),
        pytest.param(
            {f"run/systemd/transient/{UNIT}": "[Service]\nOOMPolicy=continue\n"},
            "continue",
            id="transient",
        ),
        pytest.param(
            {f"{ETC}/{UNIT}": "[Service]\nOOMPolicy=kill\nDelegate=yes"}, "kill", id="says so"
        ),
        pytest.param(
            {f"{ETC}/{UNIT}": "[Service]\nDelegate=memory pids\n"}, "continue", id="delegates"
        ),
        pytest.param({f"{ETC}/{UNIT}": "[Service]\nDelegate=no\n"}, "stop", id="delegates not"),
        pytest.param(
            {
                f"{ETC}/{UNIT}": "[Service]\n",
                "etc/systemd/system.conf": "[Manager]\n#DefaultOOMPolicy=stop\n",
                "etc/systemd/system.conf.d/a.conf": "[Manager]\nDefaultOOMPolicy=continue\n",
            },
            "continue",
            id="the manager's default",
        ),
        pytest.param(
            {
                f"{ETC}/{UNIT}": "[Service]\nOOMPolicy=continue\n",
                f"{LIB}/{UNIT}": "[Service]\nOOMPolicy=kill\n",
            },
            "continue",
            id="etc hides lib",
        ),
        pytest.param(
            {
                f"{LIB}/{UNIT}": "[Service]\nOOMPolicy=kill\n",
                f"{LIB}/{UNIT}.d/20.conf": "[Service]\nOOMPolicy=stop\n",
                f"{ETC}/{UNIT}.d/10.conf": "[Service]\nOOMPolicy=continue\n",
            },
            "stop",
            id="drop-ins by name",
        ),
        pytest.param(
            {
                f"{LIB}/{UNIT}": "[Service]\n",
                f"{ETC}/{UNIT}.d/10.conf": "[Service]\nOOMPolicy=continue\n",
                f"{LIB}/{UNIT}.d/10.conf": "[Service]\nOOMPolicy=kill\n",
            },
            "continue",
            id="a drop-in hides its namesake",
        ),
        pytest.param(
            {
                f"{LIB}/{UNIT}": "[Service]\n",
                f"{ETC}/jupyter-.service.d/a.conf": "[Service]\nOOMPolicy=continue\n",
            },
            "continue",
            id="drop-in of a prefix",
        ),
        pytest.param(
            {
                f"{LIB}/{UNIT}": "[Service]\n",
                f"{ETC}/service.d/a.conf": "[Service]\nOOMPolicy=kill",
            },
            "kill",
            id="drop-in of all services",
        ),
        pytest.param(
            {f"{ETC}/{UNIT}": "OOMPolicy=kill\n[Install]\nOOMPolicy=kill\n=\n[\x00\xff\n"},
            "stop",
            id="of another section, and rubbish",
        ),
    ],
)
def test_policy(tmp_path: Path, files: dict[str, str], policy: str | None) -> None:
    """As systemd.unit(5) and systemd.service(5) have it."""
    assert read_oom_policy(make(tmp_path, files), UNIT) == policy


def test_an_instance_is_made_from_its_template(tmp_path: Path) -> None:
    """``jupyter@ada`` has no file of its own, but may have drop-ins."""
    root = make(tmp_path, {f"{ETC}/jupyter@.service": "[Service]\nOOMPolicy=kill\n"})
    assert read_oom_policy(root, "jupyter@ada.service") == "kill"
    make(tmp_path, {f"{ETC}/jupyter@ada.service.d/a.conf": "[Service]\nOOMPolicy=continue\n"})
    assert read_oom_policy(root, "jupyter@ada.service") == "continue"


def test_a_link_of_the_host_leads_to_the_host(tmp_path: Path) -> None:
    """Not to the container that reads it."""
    root = make(tmp_path, {"opt/hub/hub.service": "[Service]\nOOMPolicy=kill\n", f"{ETC}/x": ""})
    (tmp_path / ETC / "hub.service").symlink_to("/opt/hub/hub.service")
    assert read_oom_policy(root, "hub.service") == "kill"


def test_find_units(tmp_path: Path) -> None:
    """Wherever they lie, each once; templates are no units."""
    names = (f"{ETC}/jupyterhub.service", f"{LIB}/jupyterhub.service", f"{LIB}/jupyter@.service")
    root = make(tmp_path, {**dict.fromkeys(names, ""), f"run/systemd/transient/{UNIT}": ""})
    assert find_units(root, "jupyter*.service") == [UNIT, "jupyterhub.service"]
    assert find_units(str(tmp_path / "nowhere"), "*") == []


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/system.slice/jupyter-ada.service", UNIT),
        ("/system.slice/jupyter-ada.service/kernels/1", UNIT),
        ("/user.slice/user-1.slice/user@1.service/app.slice/a.service", "a.service"),
        ("/docker/0123", None),
        ("/", None),
    ],
)
def test_service_of(path: str, service: str | None) -> None:
    """The innermost one is who ends."""
    assert service_of(path) == service


def test_is_running(tmp_path: Path) -> None:
    """By the directory that only a running manager makes."""
    assert not is_running(str(tmp_path))
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert is_running(str(tmp_path))


def test_a_line_that_goes_on() -> None:
    """A backslash at its end joins it with the next one; comments are none."""
    text = "[Service]\nDelegate=memory \\\n  pids\n; OOMPolicy=kill\n# OOMPolicy=kill\n"
    assert parse_unit(text) == {("Service", "Delegate"): "memory    pids"}
