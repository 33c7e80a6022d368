"""Whose kernel it is, and what it runs in."""

import pytest

from jupyter_kernel_exporter.discover.attribution import (
    container,
    notebook,
    parse_container,
    printable,
    promised_bytes,
    server,
    username,
)

ID = "4f0c4f1b7d1e" + "0" * 52
SYSTEMD_POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1f.slice"

CGROUPS = {
    "root": ("/", ""),
    "nothing": ("", ""),
    "docker, cgroupfs": (f"/docker/{ID}", "4f0c4f1b7d1e"),
    "docker, systemd": (f"/system.slice/docker-{ID}.scope", "4f0c4f1b7d1e"),
    "docker, systemd inside": (f"/docker/{ID}/system.slice/x.service", "4f0c4f1b7d1e"),
    "containerd": (f"{SYSTEMD_POD}/cri-containerd-{ID}.scope", "4f0c4f1b7d1e"),
    "containerd, colons": (f"/system.slice/kubepods-pod1f.slice:cri-containerd:{ID}", ""),
    "cri-o": (f"{SYSTEMD_POD}/crio-{ID}.scope", "4f0c4f1b7d1e"),
    "podman": (f"/machine.slice/libpod-{ID}.scope/container", "4f0c4f1b7d1e"),
    "podman of a user": (
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        "4f0c4f1b7d1e",
    ),
    "kubernetes, cgroupfs": (
        f"/kubepods/burstable/pod1f0c2d3e-aaaa-bbbb-cccc-000000000000/{ID}",
        "4f0c4f1b7d1e",
    ),
    "kubernetes in docker": (f"/docker/{'a' * 64}/kubepods/besteffort/pod1/{ID}", "4f0c4f1b7d1e"),
    "seen from another namespace": (f"/../../kubepods/burstable/pod1/{ID}", "4f0c4f1b7d1e"),
    "a service": ("/system.slice/jupyter-alice.service", "jupyter-alice.service"),
    "a template": (
        "/system.slice/system-jupyter.slice/jupyter@bob.service",
        "jupyter@bob.service",
    ),
    "a session": ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
    "a user's slice alone": ("/user.slice/user-1000.slice", ""),
    "a user's manager": ("/user.slice/user-1000.slice/user@1000.service/init.scope", ""),
    "a user's unit": (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service",
        "jupyter.service",
    ),
    "the manager itself": ("/init.scope", ""),
    "slurm, version 1": ("/slurm/uid_1000/job_42/step_0/task_0", "job_42"),
    "slurm, version 2": ("/system.slice/slurmstepd.scope/job_42/step_0/user/task_0", "job_42"),
    "hex, but no id": ("/process_api/71f4db4f92b8dfd02cb02f9913c76fa0", ""),
    "no UTF-8": ("/system.slice/a\udcff.service", "a\ufffd.service"),
}


@pytest.mark.parametrize(("path", "label"), CGROUPS.values(), ids=CGROUPS.keys())
def test_parse_container(path: str, label: str) -> None:
    """The innermost container, else the job, else the unit."""
    assert parse_container(path) == label


@pytest.mark.parametrize(
    ("paths", "label"),
    [
        ({"": f"/docker/{ID}"}, "4f0c4f1b7d1e"),
        ({"memory": f"/docker/{ID}", "name=systemd": "/", "": "/"}, "4f0c4f1b7d1e"),
        ({"name=systemd": "/system.slice/a.service", "memory": "/", "": "/"}, "a.service"),
        ({"memory": "/user.slice", "": "/"}, ""),
        ({}, ""),
    ],
    ids=["version 2", "version 1", "only systemd's", "slices", "nothing"],
)
def test_container(paths: dict[str, str], label: str) -> None:
    """Whichever version knows."""
    assert container(paths) == label


@pytest.mark.parametrize(
    ("session", "label"),
    [
        ("/home/a/b.ipynb", "/home/a/b.ipynb"),
        ("b.ipynb", "b.ipynb"),
        ("work/", "work/"),
        ("", ""),
        ("6f1c2c1e-6d0a-4d7c-9c40-0d8b8b6c0b5e", ""),
        ("6F1C2C1E-6D0A-4D7C-9C40-0D8B8B6C0B5E", ""),
        (
            "6f1c2c1e-6d0a-4d7c-9c40-0d8b8b6c0b5e.ipynb",
            "6f1c2c1e-6d0a-4d7c-9c40-0d8b8b6c0b5e.ipynb",
        ),
        ("a\udcff.ipynb", "a\ufffd.ipynb"),
        ("x" * 5000, "x" * 1024),
    ],
)
def test_notebook(session: str, label: str) -> None:
    """A path, a folder with its slash, or nothing."""
    assert notebook(session) == label


def test_an_inherited_notebook_is_not_claimed() -> None:
    """A program in a cell that starts a kernel hands on its own kernel's environment."""
    assert notebook("a.ipynb", inherited="a.ipynb") == ""
    assert notebook("b.ipynb", inherited="a.ipynb") == "b.ipynb"


def test_username() -> None:
    """The hub's, or else the system's."""
    assert username({"JUPYTERHUB_USER": "alice@example.org"}, "jovyan") == "alice@example.org"
    assert username({"JUPYTERHUB_USER": ""}, "jovyan") == "jovyan"
    assert username({}, "caf\udce9") == "caf\ufffd"


@pytest.mark.parametrize(
    ("environ", "port", "label"),
    [
        ({}, None, ""),
        ({}, 8888, ":8888"),
        ({"JUPYTERHUB_USER": "a", "JUPYTERHUB_SERVER_NAME": "gpu"}, 8888, "gpu"),
        ({"JUPYTERHUB_USER": "a", "JUPYTERHUB_SERVER_NAME": ""}, 8888, ""),
        ({"JUPYTERHUB_USER": "a"}, 8888, ""),
    ],
)
def test_server(environ: dict[str, str], port: int | None, label: str) -> None:
    """Under a hub the default server has no name, and its port says nothing."""
    assert server(environ, port) == label


@pytest.mark.parametrize(
    ("text", "promised"),
    [
        ("2147483648", 2 << 30),
        ("0", None),
        ("", None),
        ("2G", None),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("9" * 5000, None),
    ],
)
def test_promised_bytes(text: str, promised: int | None) -> None:
    """A number of bytes, as JupyterHub writes it."""
    assert promised_bytes({"MEM_LIMIT": text}) == promised
    assert promised_bytes({}) is None


def test_printable_text_can_be_encoded() -> None:
    """Whatever bytes it was."""
    assert printable("é\udcc3\udca9") == "éé"
    printable("\udcff" * 300).encode()
    assert len(printable("\udcff" * 300)) == 256
