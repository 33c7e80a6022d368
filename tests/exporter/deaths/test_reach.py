"""From a kernel's connection file to the place where it is heard, key and all."""

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.deaths.reach import find_connection, parse_secrets
from jupyter_kernel_exporter.model import Kernel, ProcessId
from support.procfs import FakeProc

DOCUMENT: dict[str, Any] = {
    "ip": "127.0.0.1",
    "transport": "tcp",
    "shell_port": 1001,
    "iopub_port": 1002,
    "stdin_port": 1003,
    "control_port": 1004,
    "hb_port": 1005,
    "key": "a-secret",
    "signature_scheme": "hmac-sha256",
    "kernel_name": "python3",
}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """A kernel, its server, and the daemon itself."""
    made = FakeProc(tmp_path / "proc")
    made.add(10, ["jupyter-server"])
    made.add(20, ["python"], ppid=10)
    made.add(99, ["exporter"])
    (made.folder / "self").symlink_to("99")
    (made.folder / "thread-self").symlink_to("99")
    return made


def kernel(path: Path | str) -> Kernel:
    """A kernel with this connection file."""
    return Kernel("1", ProcessId(20, 10000), "eva", connection_file=str(path))


def test_a_kernel_beside_us(proc: FakeProc, tmp_path: Path) -> None:
    """Where, and with which key."""
    (tmp_path / "kernel-1.json").write_text(json.dumps(DOCUMENT))
    found = find_connection(kernel(tmp_path / "kernel-1.json"), proc.root, "/", 10)
    assert found is not None
    assert (found.ip, found.iopub_port, found.key) == ("127.0.0.1", 1002, b"a-secret")
    assert found.root == "/"
    assert found.uid == tmp_path.stat().st_uid
    assert "a-secret" not in repr(found)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", json.dumps(DOCUMENT | {"iopub_port": 0}), json.dumps({"ip": "127.0.0.1"})],
    ids=["just created", "half", "a list", "no port yet", "no ports at all"],
)
def test_a_file_that_is_none_yet(proc: FakeProc, tmp_path: Path, text: str) -> None:
    """It is read again later."""
    (tmp_path / "kernel-1.json").write_text(text)
    assert find_connection(kernel(tmp_path / "kernel-1.json"), proc.root, "/", 10) is None


def test_no_file(proc: FakeProc, tmp_path: Path) -> None:
    """Gone, or known by its name only; or the process is gone."""
    assert find_connection(kernel(tmp_path / "kernel-1.json"), proc.root, "/", 10) is None
    assert find_connection(kernel("kernel-1.json"), proc.root, "/", 10) is None
    (tmp_path / "kernel-1.json").write_text(json.dumps(DOCUMENT))
    proc.remove(20)
    assert find_connection(kernel(tmp_path / "kernel-1.json"), proc.root, "/", 10) is None


def test_sockets_of_a_container(proc: FakeProc, tmp_path: Path) -> None:
    """Unix sockets are looked for where the kernel sees them."""
    inside = tmp_path / "container"
    inside.mkdir()
    (inside / "kernel-1.json").write_text(
        json.dumps(DOCUMENT | {"transport": "ipc", "ip": "/run/kernel-1-ipc"})
    )
    proc.add(20, ["python"], ppid=10, root=str(inside))
    found = find_connection(kernel("/kernel-1.json"), proc.root, "/", 10)
    assert found is not None
    assert (found.transport, found.root) == ("ipc", f"{proc.root}/20/root")


@pytest.mark.parametrize(
    ("server_network", "expected"), [("net:[2]", "10/ns/net"), ("net:[1]", "20/ns/net")]
)
def test_the_network_of_a_container(
    proc: FakeProc, tmp_path: Path, server_network: str, expected: str
) -> None:
    """By the server's view, if it has the same: that outlives the kernel."""
    own = {"net:[1]": tmp_path / "net1", "net:[2]": tmp_path / "net2"}
    for path in own.values():
        path.touch()
    (tmp_path / "kernel-1.json").write_text(json.dumps(DOCUMENT))
    for pid, network in ((10, server_network), (20, "net:[2]"), (99, "net:[1]")):
        link = proc.folder / f"{pid}/ns/net"
        link.unlink()
        link.symlink_to(own[network])
    found = find_connection(kernel(tmp_path / "kernel-1.json"), proc.root, "/", 10)
    assert found is not None
    assert found.netns == f"{proc.root}/{expected}"


def test_hostile_values() -> None:
    """Whatever has the wrong type counts as not there."""
    found = parse_secrets({"iopub_port": 5, "ip": 7, "key": None, "transport": []}, None)
    assert found == Connection("127.0.0.1", 5, "tcp", b"", "hmac-sha256")
    assert parse_secrets({"iopub_port": "5"}, None) is None
    assert parse_secrets({"iopub_port": True}, None) is None
    assert parse_secrets({}, None) is None
    surrogate = parse_secrets({"iopub_port": 5, "key": "\udce9"}, None)
    assert surrogate is not None
    assert surrogate.key == b"\xed\xb3\xa9"
