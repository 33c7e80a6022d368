"""Memory limits of control groups.

Version 2 is tested on made-up files only, after the kernel document: the machines that run these
tests may have version 1 alone. Version 1 is tested on files, and on a real cgroup where there is.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cgroup import (
    CgroupMemory,
    Headroom,
    find_version,
    parse_limit,
    parse_paths,
    parse_reclaimable,
    read_paths,
)
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.sources import Unavailable

MIB = 1 << 20
V1_UNLIMITED = b"9223372036854771712\n"


def group_v2(path: Path, current: int, limit: bytes = b"max", cache: int = 0) -> None:
    """A cgroup of version 2."""
    path.mkdir(parents=True)
    (path / "memory.current").write_text(f"{current}\n")
    (path / "memory.max").write_bytes(limit + b"\n")
    (path / "memory.high").write_text("max\n")
    (path / "memory.stat").write_text(
        f"anon 1\nfile {cache + 5}\nshmem 5\ninactive_anon 7\ninactive_file {cache}\n"
        "active_file 0\nworkingset_refault_file 9\nslab_reclaimable 0\n"
    )


def group_v1(path: Path, usage: int, limit: bytes = V1_UNLIMITED, cache: int = 0) -> None:
    """A cgroup of version 1."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "memory.usage_in_bytes").write_text(f"{usage}\n")
    (path / "memory.limit_in_bytes").write_bytes(limit)
    (path / "memory.stat").write_text(
        "cache 1\ninactive_file 3\nactive_file 3\ntotal_cache 9\n"
        f"total_inactive_file {cache}\ntotal_active_file 0\n"
    )


PROCESSES = {
    1: "0::/user.slice/alice.service\n",
    2: "0::/user.slice/bob.service\n",
    3: "0::/\n",
    4: "0::/../../system.slice\n",
    5: "0::/user.slice/gone.service (deleted)\n",
}
"""What /proc/PID/cgroup says."""


@pytest.fixture
def v2(tmp_path: Path) -> CgroupMemory:
    """A machine with version 2: a slice of 4 GiB, in it a unit of 1 GiB and one without a limit."""
    root = tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    group_v2(root / "user.slice", 3000 * MIB, b"4294967296")
    group_v2(root / "user.slice/alice.service", 700 * MIB, b"1073741824", cache=100 * MIB)
    group_v2(root / "user.slice/bob.service", 2300 * MIB)
    return CgroupMemory(str(root), Descriptors(1000))


def headroom(memory: CgroupMemory, process: int | str, now: float = 0.0) -> Headroom | None:
    """The headroom of a process, or of one with that text; with the last name of the cgroup."""
    text = process if isinstance(process, str) else PROCESSES[process]
    found = memory.headroom(memory.directory(parse_paths(text)), now)
    return found and found._replace(path=found.path.rpartition("/")[2])


@pytest.mark.parametrize(
    ("pid", "expected"),
    [
        (
            1,
            Headroom(1024 * MIB, 424 * MIB, "alice.service"),
        ),  # its own, page cache counted as free
        (2, Headroom(4096 * MIB, 1096 * MIB, "user.slice")),  # that of the slice above it
        (3, None),
        (5, Headroom(4096 * MIB, 1096 * MIB, "user.slice")),
    ],
)
def test_the_tightest_of_the_chain(v2: CgroupMemory, pid: int, expected: Headroom | None) -> None:
    """The level with the least headroom counts, not the one with the smallest limit."""
    assert headroom(v2, pid) == expected


def test_high_is_a_limit_as_well(tmp_path: Path, v2: CgroupMemory) -> None:
    """Above memory.high linux slows a cgroup down to a crawl."""
    (tmp_path / "cgroup/user.slice/alice.service/memory.high").write_text("838860800\n")
    assert headroom(v2, 1) == Headroom(800 * MIB, 200 * MIB, "alice.service")


def test_swap_is_forbidden_by_any_cgroup_above(tmp_path: Path, v2: CgroupMemory) -> None:
    """Looked at now and then, as limits are."""
    users = tmp_path / "cgroup/user.slice"
    alice, bob = v2.directory(parse_paths(PROCESSES[1])), v2.directory(parse_paths(PROCESSES[2]))
    (users / "memory.swap.max").write_text("max\n")
    (users / "alice.service/memory.swap.max").write_text("0\n")
    (users / "bob.service/memory.swap.max").write_text("1048576\n")
    assert (v2.may_swap(alice, 0.0), v2.may_swap(bob, 0.0)) == (False, True)
    (users / "memory.swap.max").write_text("0\n")
    assert v2.may_swap(bob, 9.0)
    assert not v2.may_swap(bob, 10.0)
    (users / "memory.swap.max").write_text("max\n")
    v2.headroom(bob, 11.0)
    v2.forget(before=11.0)
    assert not v2.may_swap(bob, 11.0)  # its cgroup is still asked for
    v2.forget(before=12.0)
    assert v2.may_swap(bob, 11.0)
    assert v2.may_swap(f"{users}/gone.service", 11.0)


def test_usage_is_read_once_a_tick_and_limits_now_and_then(
    tmp_path: Path, v2: CgroupMemory
) -> None:
    """Kernels that share a cgroup share the look at it."""
    unit = tmp_path / "cgroup/user.slice/alice.service"
    assert headroom(v2, 1, now=0.0) == Headroom(1024 * MIB, 424 * MIB, "alice.service")
    (unit / "memory.current").write_text(f"{900 * MIB}\n")
    (unit / "memory.max").write_text(f"{2048 * MIB}\n")
    assert headroom(v2, 1, now=0.0) == Headroom(1024 * MIB, 424 * MIB, "alice.service")
    assert headroom(v2, 1, now=1.0) == Headroom(1024 * MIB, 224 * MIB, "alice.service")
    assert headroom(v2, 1, now=10.0) == Headroom(4096 * MIB, 1096 * MIB, "user.slice")


def test_more_used_than_allowed_leaves_nothing(tmp_path: Path, v2: CgroupMemory) -> None:
    """Headroom is never negative."""
    (tmp_path / "cgroup/user.slice/alice.service/memory.max").write_text("1048576\n")
    assert headroom(v2, 1) == Headroom(MIB, 0, "alice.service")


def test_a_cgroup_out_of_sight_is_said(v2: CgroupMemory) -> None:
    """In a cgroup namespace of its own the exporter cannot see the others."""
    with pytest.raises(Unavailable, match="cgroup namespace"):
        headroom(v2, 4)


def test_a_process_that_is_gone_has_no_cgroup(tmp_path: Path) -> None:
    """Gone is normal."""
    assert read_paths(str(tmp_path), 99) is None


def test_files_are_closed_when_nobody_asks(v2: CgroupMemory) -> None:
    """Cgroups come and go with their users."""
    headroom(v2, 1, now=0.0)
    assert v2._descriptors.kept > 0
    v2.forget(before=1.0)
    assert v2._descriptors.kept == 0


def test_version_1_with_its_own_mount(tmp_path: Path) -> None:
    """A limit at the parent, none at the leaf; the hybrid layout's empty v2 tree is passed over."""
    root = tmp_path / "cgroup"
    group_v1(root / "memory", 9)
    (root / "unified").mkdir()
    (root / "unified/cgroup.controllers").write_text("\n")
    group_v1(root / "memory/docker", 500 * MIB, b"1073741824\n", cache=76 * MIB)
    group_v1(root / "memory/docker/abc", 500 * MIB)
    memory = CgroupMemory(str(root), Descriptors(1000))
    text = "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/elsewhere\n"
    assert headroom(memory, text) == Headroom(1024 * MIB, 600 * MIB, "docker")


def test_no_memory_controller_is_unavailable(tmp_path: Path) -> None:
    """It is said where it was looked for."""
    with pytest.raises(Unavailable, match=str(tmp_path)):
        find_version(str(tmp_path))


@pytest.mark.parametrize(
    ("raw", "limit"), [(b"max\n", None), (V1_UNLIMITED, None), (b"1048576\n", MIB), (b"0\n", 0)]
)
def test_limits(raw: bytes, limit: int | None) -> None:
    """Both versions' way to say that there is none."""
    assert parse_limit(raw) == limit


def test_paths_with_colons_and_odd_bytes() -> None:
    """A path may hold colons; a line has three fields."""
    text = "12:cpuset,cpu:/a:b\n1:name=systemd:/x\n0::/kubepods/pod\udcff\n"
    assert parse_paths(text) == {
        "cpuset": "/a:b",
        "cpu": "/a:b",
        "name=systemd": "/x",
        "": "/kubepods/pod\udcff",
    }


def test_reclaimable_counts_whole_names_only() -> None:
    """``inactive_file`` is not found inside ``total_inactive_file``."""
    raw = b"inactive_file 1\ntotal_inactive_file 10\ntotal_active_file 100\n"
    assert parse_reclaimable(raw, (b"total_inactive_file ", b"total_active_file ")) == 110


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A real memory cgroup of version 1 with a limit of 64 MiB, where one can be made."""
    group = Path(f"/sys/fs/cgroup/memory/jke-test-{os.getpid()}")
    if os.geteuid() != 0 or not group.parent.joinpath("memory.limit_in_bytes").exists():
        pytest.skip("needs root and cgroups of version 1")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(64 * MIB))
    yield group
    group.rmdir()


@pytest.mark.real
def test_a_real_cgroup(real_group: Path) -> None:
    """A process that holds 32 MiB of 64 leaves less than 32; page cache takes nothing away."""
    code = (
        "import sys;sys.stdin.readline();x=b'x'*(32<<20);"
        "f=open(sys.argv[1],'wb');f.write(bytes(20<<20));f.flush();print(flush=True);sys.stdin.read()"
    )
    scratch = Path(f"/var/tmp/jke-test-{os.getpid()}")
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(scratch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        (real_group / "cgroup.procs").write_text(str(child.pid))
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        memory = CgroupMemory("/sys/fs/cgroup", Descriptors(1000))
        found = headroom(memory, Path(f"/proc/{child.pid}/cgroup").read_text())
        assert found is not None
        assert found.limit_bytes == 64 * MIB
        assert 20 * MIB < found.headroom_bytes < 32 * MIB
    scratch.unlink()
    memory.forget(before=1.0)
