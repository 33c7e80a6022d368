"""Settings that kill many for one: trees made up, and this machine's."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cgroup import Version, find_version
from jupyter_kernel_exporter.linux.killgroup import (
    is_unified,
    read_kill_groups,
    read_kills_group,
    read_panic_on_oom,
)


def make_tree(folder: Path, groups: dict[str, str]) -> Version:
    """A version 2 tree; the root has no such file."""
    (folder / "cgroup.controllers").write_text("cpu memory\n")
    for path, value in groups.items():
        (folder / path).mkdir(parents=True)
        if value:
            (folder / path / "memory.oom.group").write_text(f"{value}\n")
    return find_version(str(folder))


def test_the_chain_is_looked_at_from_the_process_up(tmp_path: Path) -> None:
    """Also above a cgroup without the memory controller, and never beside the chain."""
    version = make_tree(tmp_path, {"pods": "1", "pods/a": "", "pods/a/c": "1", "pods/b": "1"})
    assert is_unified(version)
    found = read_kill_groups(version, str(tmp_path / "pods/a/c"))
    assert found == [str(tmp_path / "pods/a/c"), str(tmp_path / "pods")]
    assert read_kill_groups(version, str(tmp_path)) == []


@pytest.mark.parametrize(("text", "kills"), [("1\n", True), ("0\n", False), ("", False)])
def test_one_cgroup(tmp_path: Path, text: str, kills: bool) -> None:
    """1 and nothing else."""
    (tmp_path / "memory.oom.group").write_text(text)
    assert read_kills_group(str(tmp_path)) is kills


def test_a_cgroup_that_is_gone_says_nothing(tmp_path: Path) -> None:
    """Neither yes nor no."""
    assert read_kills_group(str(tmp_path / "gone")) is None


def test_version_1_has_no_groups(tmp_path: Path) -> None:
    """Its files have other names."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("1\n")
    assert not is_unified(find_version(str(tmp_path)))


def test_panic_on_oom_of_this_machine() -> None:
    """Everybody may read it."""
    assert read_panic_on_oom("/proc") in {0, 1, 2}
