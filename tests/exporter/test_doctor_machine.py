"""Probes of the disk, the cgroup tree and the rest of the machine."""

import os
from pathlib import Path

import pytest

from jupyter_kernel_exporter.doctor.machine import (
    try_cgroup,
    try_delayacct,
    try_host,
    try_nvml,
    try_state_dir,
)
from jupyter_kernel_exporter.doctor.site import Site, Subject
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.store import FILE
from jupyter_kernel_exporter.settings import resolve
from jupyter_kernel_exporter.sources import Unavailable
from support.processes import needs_root
from support.procfs import FakeProc


def site(**flags: str) -> Site:
    """A site with settings, and nobody in it."""
    settings = resolve({name.replace("_", "."): value for name, value in flags.items()}, {})
    return Site(settings, os.geteuid(), frozenset())


def of_state_dir(path: Path) -> Site:
    """A site with a state directory."""
    return Site(resolve({"state-dir": str(path)}, {}), os.geteuid(), frozenset())


def test_memory_and_swap_of_the_machine(tmp_path: Path) -> None:
    """Of swap nothing is said where there is none."""
    (tmp_path / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 2048 kB\n")
    made = site(path_procfs=str(tmp_path))
    assert try_host(made).says == "2 of 4 MiB are available"
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n/swap file 8192 1024 -2\n")
    assert try_host(made).says == "2 of 4 MiB are available, and 7 of 8 MiB of swap"


def test_a_state_directory_is_not_made(tmp_path: Path) -> None:
    """It would belong to whoever ran the doctor."""
    path = tmp_path / "a/b"
    assert "not there yet" in try_state_dir(of_state_dir(path)).says
    assert not path.parent.exists()


def test_a_state_directory_is_left_as_it_was(tmp_path: Path) -> None:
    """Empty or with a history in it."""
    assert "can be written" in try_state_dir(of_state_dir(tmp_path)).says
    assert os.listdir(tmp_path) == []
    History.open(str(tmp_path)).close()
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert "can be written" in try_state_dir(of_state_dir(tmp_path)).says
    after = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert after == before


def test_a_running_daemon_is_no_trouble(tmp_path: Path) -> None:
    """Its pid is named, and it keeps its lock."""
    history = History.open(str(tmp_path))
    try:
        for _ in range(2):
            seen = try_state_dir(of_state_dir(tmp_path))
            assert f"in use by a running daemon (pid {os.getpid()})" in seen.says
            assert not seen.less
    finally:
        history.close()


def test_a_damaged_history_is_said_and_kept(tmp_path: Path) -> None:
    """The doctor mends nothing."""
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with pytest.raises(Unavailable, match="damaged"):
        try_state_dir(of_state_dir(tmp_path))
    assert os.listdir(tmp_path) == [FILE]


@needs_root
def test_another_users_state_directory_is_refused(tmp_path: Path) -> None:
    """As the daemon does."""
    os.chown(tmp_path, 54321, 54321)
    with pytest.raises(Unavailable, match="belongs to uid 54321"):
        try_state_dir(of_state_dir(tmp_path))


def test_a_disk_that_cannot_be_written() -> None:
    """/proc is one that nobody can write to."""
    with pytest.raises(Unavailable, match=r"may not be written|cannot be used"):
        try_state_dir(of_state_dir(Path("/proc/1/state")))


def test_a_tree_without_the_kernels_cgroups(tmp_path: Path) -> None:
    """A container that has mounted its own tree sees no limits of others."""
    proc = FakeProc(tmp_path / "proc")
    process = proc.add(42, ["python"], cgroup="0::/kubepods/a\n", uid=7)
    cgroupfs = tmp_path / "cgroup"
    cgroupfs.mkdir()
    (cgroupfs / "cgroup.controllers").write_text("memory\n")
    settings = resolve({"path.procfs": proc.root, "path.cgroupfs": str(cgroupfs)}, {})
    subjects = (Subject(process.id, 7, True),)
    with pytest.raises(Unavailable, match="not the host's cgroup tree"):
        try_cgroup(Site(settings, 0, frozenset(), (), subjects))


def test_a_machine_without_memory_cgroups(tmp_path: Path) -> None:
    """The sentence is the daemon's own."""
    with pytest.raises(Unavailable, match="no memory controller"):
        try_cgroup(site(path_cgroupfs=str(tmp_path)))


@pytest.mark.parametrize(("value", "works"), [("1\n", True), ("0\n", False), (None, True)])
def test_delay_accounting(tmp_path: Path, value: str | None, works: bool) -> None:
    """Before linux 5.14 there was no switch, and always accounting."""
    folder = tmp_path / "sys/kernel"
    folder.mkdir(parents=True)
    if value is not None:
        (folder / "task_delayacct").write_text(value)
    if works:
        assert not try_delayacct(site(path_procfs=str(tmp_path))).less
    else:
        with pytest.raises(Unavailable):
            try_delayacct(site(path_procfs=str(tmp_path)))


def test_no_gpu_is_no_loss(tmp_path: Path) -> None:
    """But a driver that cannot be asked is one."""
    if not try_nvml(site(path_procfs=str(tmp_path))).absent:
        pytest.skip("this machine has an NVIDIA GPU")
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text("NVRM version: 570\n")
    with pytest.raises(Unavailable, match="cannot be used"):
        try_nvml(site(path_procfs=str(tmp_path)))
