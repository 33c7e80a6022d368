"""One host's kernels, seen by daemons that run as each shape runs them: all at the same time.

There is no engine and no cluster here. What they do for the daemon is done by linux itself:
namespaces, capabilities, mounts, cgroups.
"""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.compose import services
from support.containers import MEMORY_BYTES, Container, needs_namespaces, running_container
from support.daemon import Daemon, running_daemon
from support.jupyter import Server, client_of, running_server, wait_until
from support.memory_cgroup import HOG, cores_given, may_make, memory_cgroup
from support.promql import ROOT

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    needs_namespaces,
    pytest.mark.skipif(not may_make(), reason="needs memory cgroups"),
    pytest.mark.skipif(
        not (shutil.which("kubectl") and shutil.which("setpriv")), reason="needs kubectl, setpriv"
    ),
]

USER = f"shapes-{os.getpid()}"
JOB = f"job_{os.getpid()}"
JOB_BYTES = 640 << 20
CORES = 1.5
NOBODY = 65534
SEGFAULT = "import ctypes; ctypes.string_at(0)"


@dataclass(frozen=True)
class Given:
    """What a shape gives the daemon: what goes before its command, and what after."""

    before: list[str]
    after: list[str]


def in_a_container(folder: Path, capabilities: str, environment: Mapping[str, str]) -> Given:
    """With the host's files in an own folder, and in an own network."""
    place = folder / f"host-{uuid.uuid4()}"
    place.mkdir()
    variables = [f"{name}={value}" for name, value in environment.items()]
    before = [sys.executable, "-m", "support.shape", capabilities, str(place), "env", *variables]
    return Given(before, [f"--path.rootfs={place}", f"--path.cgroupfs={place}/sys/fs/cgroup"])


def of_systemd(folder: Path) -> Given:
    """As the unit does: an ordinary user with a few capabilities, and a directory for its state."""
    unit = (ROOT / "deploy/systemd/jupyter-kernel-exporter.service").read_text()
    (names,) = re.findall(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE)
    given = names.lower().replace("cap_", "+").replace(" ", ",")
    state = folder / "state-of-systemd"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    rights = [f"--{kind}=-all,{given}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    return Given(["setpriv", *user, *rights], [f"--state-dir={state}"])


def of_compose(folder: Path, *more: Path) -> Given:
    """As docker compose does, with further files."""
    service = services(*more)["exporter"]
    assert (service["pid"], service["cgroup"]) == ("host", "host")
    environment = {k: v for k, v in service["environment"].items() if "_WEB_" not in k}
    return in_a_container(folder, ",".join(service["cap_add"]), environment)


def of_compose_that_hears(folder: Path) -> Given:
    """The same with the file that the documents give."""
    text = (ROOT / "docs/security.md").read_text()
    (override,) = re.findall(r"```yaml\n(  services:.*?)  ```", text, re.DOTALL)
    path = folder / "docker-compose.override.yml"
    path.write_text(override)
    return of_compose(folder, path)


def of_kubernetes(folder: Path, name: str) -> Given:
    """As a DaemonSet does."""
    path = str(ROOT / "deploy/kubernetes" / name)
    text = subprocess.run(["kubectl", "kustomize", path], capture_output=True, check=True).stdout
    (found,) = (one for one in yaml.safe_load_all(text) if one["kind"] == "DaemonSet")
    pod = found["spec"]["template"]["spec"]
    assert pod["hostPID"] is True
    (container,) = pod["containers"]
    context = container["securityContext"]
    given = "all" if context.get("privileged") else ",".join(context["capabilities"]["add"])
    environment = {v["name"]: v["value"] for v in container["env"] if "_WEB_" not in v["name"]}
    return in_a_container(folder, given, environment)


SHAPES: dict[str, Callable[[Path], Given]] = {
    "root": lambda _: Given([], []),
    "systemd": of_systemd,
    "compose": of_compose,
    "compose, hearing": of_compose_that_hears,
    "kubernetes": lambda folder: of_kubernetes(folder, "base"),
    "kubernetes, unprivileged": lambda folder: of_kubernetes(folder, "overlays/unprivileged"),
}
SEES_ALL = {"root", "compose, hearing", "kubernetes"}
HEARS = {"job": SEES_ALL | {"systemd"}, "pod": SEES_ALL}
"""Shapes that hear kernels on the host, and in networks of their own."""
SEES_LIMITS = {*SHAPES} - {"kubernetes, unprivileged"}
SEES_LOG = SEES_LIMITS


@dataclass
class Seen:
    """A daemon of a shape, and what it says."""

    daemon: Daemon

    def kernel(self, kernel_id: str) -> dict[str, Any]:
        """A kernel, once it is there and ready."""

        def look() -> dict[str, Any] | None:
            answer = self.daemon.http.get(f"/api/v1/kernels/{kernel_id}")
            found = answer.json().get("kernel")
            return found if found and found["state"] != "starting" else None

        return wait_until(look, f"{kernel_id} is seen")

    def errors(self, kernel_id: str) -> int | None:
        """How many cells failed; ``None`` if nobody hears that."""
        number: int | None = self.kernel(kernel_id)["errors_total"]["other"]
        return number

    def death(self, kernel_id: str, number: int = 1) -> dict[str, Any]:
        """Its end with that number, once it is explained."""

        def look() -> dict[str, Any] | None:
            answer = self.daemon.http.get("/api/v1/deaths", params={"kernel_id": kernel_id})
            rows: list[dict[str, Any]] = answer.json()["deaths"][::-1]
            return rows[number - 1] if len(rows) >= number else None

        return wait_until(look, f"end {number} of {kernel_id} is explained")


@dataclass
class Host:
    """Two kernels, and the daemons."""

    server: Server
    container: Container
    cores_are_limited: bool
    ids: dict[str, str]
    """Of the kernels: on the host as a Slurm job, and in the container."""
    shapes: dict[str, Seen]
    done: set[str]

    def once(self, what: str, do: Callable[[], None]) -> None:
        """Do something for all shapes, the first time that one asks."""
        if what not in self.done:
            self.done.add(what)
            do()

    def make_errors(self) -> None:
        """A cell of each kernel fails."""
        self.container.send(self.ids["pod"], "1 / 0")
        with client_of(self.server.connection_file(self.ids["job"])) as client:
            client.execute("1 / 0")

    def make_crashes(self) -> None:
        """Both kernels crash, and are restarted by their servers."""
        for seen in self.shapes.values():
            for kernel_id in self.ids.values():
                seen.kernel(kernel_id)
        self.container.send(self.ids["pod"], SEGFAULT)
        with client_of(self.server.connection_file(self.ids["job"])) as client:
            client.execute(SEGFAULT)
        self._await(1, "job", "pod")

    def make_oom(self) -> None:
        """One kernel takes all memory that its container may have, and is restarted."""
        self.once("crashes", self.make_crashes)
        self.container.send(self.ids["pod"], HOG)
        self._await(2, "pod")

    def make_requests(self) -> None:
        """Both kernels are shut down by a person."""
        self.once("oom", self.make_oom)
        self.container.ask("DELETE", f"kernels/{self.ids['pod']}")
        self.server.shut_down_kernel(self.ids["job"])

    def _await(self, deaths: int, *where: str) -> None:
        """Wait until all have explained so many ends, and see that the kernel is there again."""
        for seen in self.shapes.values():
            for kernel_id in (self.ids[one] for one in where):
                seen.death(kernel_id, deaths)
                seen.kernel(kernel_id)
        for one in where:
            run = self.container.execute if one == "pod" else self.server.execute
            assert run(self.ids[one], "1 + 1") == "2"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """All of it, each kernel ready."""
    folder = tmp_path_factory.mktemp("shapes")
    for name in ("jovyan", "server"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        job = stack.enter_context(memory_cgroup(JOB_BYTES, JOB))
        server = stack.enter_context(
            running_server(folder / "server", environ={"JUPYTERHUB_USER": USER})
        )
        cores = stack.enter_context(cores_given(job, CORES))
        step = job / "step_0" / "task_0"
        step.mkdir(parents=True)
        stack.callback(remove_cgroups, step)
        stack.callback(server.folders.end_processes)
        (step / "cgroup.procs").write_text(str(server.pid))
        if cores is not None and cores != job:  # version 1 has a tree of its own for processors
            (cores / "cgroup.procs").write_text(str(server.pid))
        container = stack.enter_context(
            running_container(folder / "jovyan", f"jke-{os.getpid()}-pod", USER)
        )
        ids = {"job": server.start_kernel("python3", "a.ipynb")}
        ids["pod"] = container.start_kernel("b.ipynb")
        assert server.execute(ids["job"], "1 + 1") == "2"
        assert container.execute(ids["pod"], "1 + 1") == "2"
        shapes = {}
        for name, give in SHAPES.items():
            given = give(folder)
            started = running_daemon(folder, *given.after, command=given.before)
            shapes[name] = Seen(stack.enter_context(started))
        yield Host(server, container, cores is not None, ids, shapes, set())


def remove_cgroups(step: Path) -> None:
    """Those of a job's step and task, as soon as their processes are gone."""
    for folder in (step, step.parent):
        wait_until(lambda folder=folder: removed(folder), f"{folder} is empty")  # type: ignore[misc]


def removed(folder: Path) -> bool:
    """Whether a cgroup is gone."""
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    """One after the other."""
    return str(request.param)


def test_kernels_are_found_and_attributed(host: Host, shape: str) -> None:
    """On the host and in a container: user, kernelspec, notebook, and what it runs in."""
    seen = host.shapes[shape]
    for where, notebook, label in (
        ("job", "a.ipynb", JOB),
        ("pod", "b.ipynb", host.container.id[:12]),
    ):
        kernel = seen.kernel(host.ids[where])
        assert (kernel["username"], kernel["notebook"]) == (USER, notebook)
        assert kernel["kernel_name"] == "python3"
        assert kernel["container"] == label
        assert kernel["memory_rss_bytes"] > 10 << 20


def test_limits_are_seen_where_cgroups_are(host: Host, shape: str) -> None:
    """The job's for all of its steps and tasks, and the container's; or else none is claimed."""
    seen = host.shapes[shape]
    for where, limit in (("job", JOB_BYTES), ("pod", MEMORY_BYTES)):
        limits = {one["scope"]: one for one in seen.kernel(host.ids[where])["limits"]}
        if shape in SEES_LIMITS:
            assert limits["cgroup"]["limit_bytes"] == limit
        else:
            assert "cgroup" not in limits
        assert "host" in limits


def test_processors_are_limited(host: Host, shape: str) -> None:
    """The job's share of them, where cgroups are seen."""
    if not host.cores_are_limited:
        pytest.skip("no limit of processors can be made here")
    series = host.shapes[shape].daemon.series("jupyter_kernel_cpu_limit_cores")
    found = [value for labels, value in series.items() if host.ids["job"] in labels]
    assert found == ([CORES] if shape in SEES_LIMITS else [])


def test_page_and_metrics_are_served(host: Host, shape: str) -> None:
    """With the kernels on them."""
    seen = host.shapes[shape]
    page, metrics = seen.daemon.http.get("/").text, seen.daemon.metrics()
    for kernel_id in host.ids.values():
        seen.kernel(kernel_id)
        assert kernel_id in page
        assert f'jupyter_kernel_memory_rss_bytes{{kernel_id="{kernel_id}"' in metrics


def test_sources_that_cannot_work_are_off(host: Host, shape: str) -> None:
    """What a shape leaves on is up: nobody is alarmed by how it was set up on purpose."""
    up = host.shapes[shape].daemon.series("jupyter_kernel_exporter_source_up")
    down = {labels for labels, value in up.items() if value == 0}
    # The unit enters no container's network: where there is none, nothing is missing.
    known = {"delayacct", "iopub"} if shape == "systemd" else {"delayacct"}
    assert down <= {f'{{source="{name}"}}' for name in known}


def test_what_kernels_say_is_heard_or_inferred(host: Host, shape: str) -> None:
    """An error in a cell is counted by those who hear; the others claim no number."""
    host.once("errors", host.make_errors)
    seen = host.shapes[shape]
    for where in ("job", "pod"):
        heard = shape in HEARS[where]
        if heard:
            wait_until(partial(seen.errors, host.ids[where]), "the error is counted")
        assert seen.errors(host.ids[where]) == (1 if heard else None)


def test_crashes_are_explained(host: Host, shape: str) -> None:
    """On the host and in a container; and the restarts after them."""
    host.once("crashes", host.make_crashes)
    for kernel_id in host.ids.values():
        assert host.shapes[shape].death(kernel_id)["reason"] == "segfault"
        assert host.shapes[shape].kernel(kernel_id)["restarts_total"]["automatic"] >= 1


def test_an_end_for_want_of_memory_is_explained(host: Host, shape: str) -> None:
    """Of a container; with less to go by it is suspected."""
    host.once("oom", host.make_oom)
    death = host.shapes[shape].death(host.ids["pod"], 2)
    if shape in SEES_LOG:
        assert death["reason"] == "oom_cgroup"
    else:
        assert death["reason"] in {"oom_suspected", "killed"}


def test_requests_are_known_or_inferred(host: Host, shape: str) -> None:
    """A person ends both kernels: certain for those who hear it, or else likely."""
    host.once("requests", host.make_requests)
    for where, number in (("job", 2), ("pod", 3)):
        death = host.shapes[shape].death(host.ids[where], number)
        assert death["reason"] == "shutdown_requested"
        if shape in HEARS[where]:
            assert death["certain"] is True
