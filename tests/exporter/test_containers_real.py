"""Kernels in containers of one host, as DockerSpawner starts them, seen by a daemon outside.

Two containers are as alike as they can be: in each one the server has pid 1, the same paths and the
same ports, and so has its kernel.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.containers import MEMORY_BYTES, PORTS, Container, needs_namespaces, running_container
from support.daemon import Daemon, running_daemon
from support.jupyter import wait_until
from support.memory_cgroup import HOG, may_make

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    needs_namespaces,
    pytest.mark.skipif(not may_make(), reason="needs memory cgroups"),
]

USERS = ("ada", "bob")
SEGFAULT = "import ctypes; ctypes.string_at(0)"


@dataclass
class Host:
    """Two containers, each with a kernel, and a daemon that is in none of them."""

    daemon: Daemon
    containers: dict[str, Container]
    ids: dict[str, str]
    """Of the kernels, by user."""

    def kernel(self, user: str) -> dict[str, Any]:
        """What the API says of a kernel, once it is there and ready."""

        def look() -> dict[str, Any] | None:
            answer = self.daemon.http.get(f"/api/v1/kernels/{self.ids[user]}")
            if answer.status_code != 200:
                return None
            found: dict[str, Any] | None = answer.json()["kernel"]
            return found if found and found["state"] not in {"starting", "unknown"} else None

        return wait_until(look, f"the kernel of {user} is seen, and heard")

    def deaths(self, user: str) -> list[dict[str, Any]]:
        """How the kernel of a user has ended so far, the last first."""
        query = {"kernel_id": self.ids[user]}
        rows: list[dict[str, Any]] = self.daemon.http.get("/api/v1/deaths", params=query).json()[
            "deaths"
        ]
        return rows


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """All of it, each kernel ready."""
    folder = tmp_path_factory.mktemp("containers")
    home = folder / "jovyan"
    home.mkdir()
    with ExitStack() as stack:
        containers = {
            user: stack.enter_context(running_container(home, f"jke-{os.getpid()}-{user}", user))
            for user in USERS
        }
        ids = {}
        for user, container in containers.items():
            ids[user] = container.start_kernel(f"of-{user}.ipynb")
            assert container.execute(ids[user], "print(__import__('os').getcwd())") == str(
                container.folders.work
            )
        daemon = stack.enter_context(running_daemon(folder))
        yield Host(daemon, containers, ids)


def test_each_is_found_once_and_is_its_users(host: Host) -> None:
    """With the labels that are its own, though everything inside looks the same."""
    infos = [
        labels
        for labels in host.daemon.series("jupyter_kernel_info")
        if any(container.id[:12] in labels for container in host.containers.values())
    ]
    assert len(infos) == len(USERS)
    for user, container in host.containers.items():
        kernel = host.kernel(user)
        assert kernel["username"] == user
        assert kernel["notebook"] == f"of-{user}.ipynb"
        assert kernel["kernel_name"] == "python3"
        assert kernel["container"] == container.id[:12]
        inner = Path(f"/proc/{kernel['pid']}/status").read_text()
        assert f"NSpid:\t{kernel['pid']}\t" in inner
        file = json.loads(Path(container.connection_file(host.ids[user])).read_text())
        assert {name: file[f"{name}_port"] for name in PORTS} == PORTS


def test_nothing_of_it_is_on_the_host(host: Host) -> None:
    """What was found was found behind their root directories, and heard in their networks."""
    own = os.stat("/proc/self/ns/net").st_ino
    networks = {os.stat(f"/proc/{c.pid}/ns/net").st_ino for c in host.containers.values()}
    assert len(networks | {own}) == 1 + len(USERS)
    for container in host.containers.values():
        assert container.outside(container.folders.runtime).exists()
        assert not container.folders.runtime.exists()


def test_limits_are_those_of_the_container(host: Host) -> None:
    """Its own, and its own headroom below it."""
    limits = host.daemon.series("jupyter_kernel_memory_limit_bytes")
    for kernel_id in host.ids.values():
        (limit,) = [v for s, v in limits.items() if kernel_id in s and 'scope="cgroup"' in s]
        assert limit == MEMORY_BYTES


def test_what_they_say_is_heard(host: Host) -> None:
    """Each with its own key at the same address: one is busy, the other is not, and then idle."""
    ada, bob = (host.containers[user] for user in USERS)
    go = ada.folders.home / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    ada.send(host.ids["ada"], waits)
    wait_until(lambda: host.kernel("ada")["state"] == "busy", "one is busy")
    assert host.kernel("bob")["state"] == "idle"
    ada.outside(go).touch()
    wait_until(lambda: host.kernel("ada")["state"] == "idle", "it is idle again")
    bob.send(host.ids["bob"], "1 / 0")

    def errors(user: str) -> float:
        series = host.daemon.series("jupyter_kernel_errors_total")
        return sum(v for s, v in series.items() if host.ids[user] in s)

    wait_until(lambda: errors("bob") == 1, "the error is counted")
    assert errors("ada") == 0


def test_ends_are_explained(host: Host) -> None:
    """One runs out of its container's memory, the other crashes; then a person ends it."""
    ada, bob = (host.containers[user] for user in USERS)
    ada.send(host.ids["ada"], HOG)
    bob.send(host.ids["bob"], SEGFAULT)
    wait_until(lambda: host.deaths("ada") and host.deaths("bob"), "both are explained")
    reasons = {user: host.deaths(user)[0]["reason"] for user in USERS}
    assert reasons == {"ada": "oom_cgroup", "bob": "segfault"}
    for user in USERS:
        restarts = wait_until(
            lambda user=user: host.kernel(user)["restarts_total"]["automatic"],  # type: ignore[misc]
            "it is restarted by itself",
        )
        assert restarts == 1
    host.containers["bob"].ask("DELETE", f"kernels/{host.ids['bob']}")
    wait_until(lambda: len(host.deaths("bob")) == 2, "the third is explained")
    last = host.deaths("bob")[0]
    assert (last["reason"], last["certain"]) == ("shutdown_requested", True)
    assert len(host.deaths("ada")) == 1
