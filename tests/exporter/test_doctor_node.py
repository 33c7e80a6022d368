"""Settings of a node that kill many for one, on trees made up as nodes have them."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.doctor.node import (
    try_oom_group,
    try_oom_policy,
    try_panic_on_oom,
    try_single_process_oom_kill,
)
from jupyter_kernel_exporter.doctor.probe import Seen
from jupyter_kernel_exporter.doctor.site import Site, Subject
from jupyter_kernel_exporter.model import Kernel
from jupyter_kernel_exporter.settings import resolve
from jupyter_kernel_exporter.sources import Unavailable
from support.procfs import FakeProc

UNIT = "jupyter-ada.service"
CONFIG = "var/lib/kubelet/config.yaml"


class Node:
    """A machine of files, with one kernel in one service."""

    def __init__(self, folder: Path, *, unified: bool = True) -> None:
        self.folder = folder
        proc = FakeProc(folder / "proc")
        process = proc.add(42, ["python"], cgroup=f"0::/system.slice/{UNIT}\n", uid=7)
        self.write("proc/sys/vm/panic_on_oom", "0")
        (folder / "run/systemd/system").mkdir(parents=True)
        cgroup = f"cgroup/system.slice/{UNIT}"
        if unified:
            self.write("cgroup/cgroup.controllers", "memory")
            self.write(f"{cgroup}/memory.oom.group", "0")
        else:
            self.write("cgroup/memory/memory.limit_in_bytes", "1")
        settings = resolve(
            {
                "path.procfs": proc.root,
                "path.rootfs": str(folder),
                "path.cgroupfs": str(folder / "cgroup"),
            },
            {},
        )
        kernel = Kernel("k", process.id, "ada")
        subject = Subject(process.id, 7, True)
        self.site = Site(settings, 0, frozenset(), (kernel,), (subject,), own_pid=42)

    def write(self, name: str, text: str) -> None:
        """One file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node with version 2 cgroups and nothing set."""
    return Node(tmp_path)


def test_a_group_is_a_risk(node: Node) -> None:
    """Named with its path, wherever on the way to the root."""
    assert not try_oom_group(node.site).less
    node.write("cgroup/system.slice/memory.oom.group", "1\n")
    assert f"{node.folder}/cgroup/system.slice" in try_oom_group(node.site).less


def test_a_tree_that_is_not_the_hosts_is_said(node: Node) -> None:
    """What cannot be seen is not called fine."""
    node.folder.joinpath("cgroup/system.slice").rename(node.folder / "cgroup/elsewhere")
    with pytest.raises(Unavailable, match="no cgroup"):
        try_oom_group(node.site)


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ("[Service]\nOOMPolicy=continue\n", ""),
        ("[Service]\nOOMPolicy=kill\n", f"{UNIT}: kill"),
        ("[Service]\n", f"{UNIT}: stop"),
    ],
)
def test_a_unit_that_ends_with_one_process_is_a_risk(node: Node, text: str, risk: str) -> None:
    """The unit that a kernel is in."""
    node.write(f"run/systemd/transient/{UNIT}", text)
    seen = try_oom_policy(node.site)
    assert risk in seen.less
    assert bool(risk) == bool(seen.less)


def test_units_of_hubs_are_looked_at_without_kernels(node: Node) -> None:
    """The first kernel may come tonight."""
    assert try_oom_policy(node.site).absent
    for number in range(5):
        node.write(f"etc/systemd/system/jupyterhub{number}.service", "[Service]\n")
    assert "jupyterhub2.service: stop and 2 more: " in try_oom_policy(node.site).less


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ("singleProcessOOMKill: true", ""),
        ("singleProcessOOMKill: false", "says false"),
        ("kind: KubeletConfiguration", "does not set it"),
    ],
)
def test_a_kubelet_that_kills_containers_is_a_risk(node: Node, text: str, risk: str) -> None:
    """Said, unsaid and denied."""
    node.write(CONFIG, text)
    seen = try_single_process_oom_kill(node.site)
    assert risk in seen.less
    assert bool(risk) == bool(seen.less)


def test_without_kubernetes_and_systemd_there_is_nothing_to_say(node: Node) -> None:
    """Which is not the same as fine."""
    node.folder.joinpath("run/systemd/system").rmdir()
    assert try_single_process_oom_kill(node.site).absent
    assert try_oom_policy(node.site).absent


def test_version_1_kills_single_processes(tmp_path: Path) -> None:
    """Whatever the others would like."""
    node = Node(tmp_path, unified=False)
    node.write(CONFIG, "singleProcessOOMKill: false")
    node.write(f"etc/systemd/system/{UNIT}", "[Service]\nOOMPolicy=kill\n")
    for probe in (try_oom_group, try_oom_policy, try_single_process_oom_kill):
        assert probe(node.site).absent


@pytest.mark.parametrize(("value", "risk"), [("0", ""), ("1", "1: the"), ("2", "a cgroup")])
def test_a_machine_that_stops(node: Node, value: str, risk: str) -> None:
    """2 is the worst."""
    node.write("proc/sys/vm/panic_on_oom", f"{value}\n")
    seen: Seen = try_panic_on_oom(node.site)
    assert risk in seen.less
    assert bool(risk) == bool(seen.less)
