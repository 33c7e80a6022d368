"""CPU quotas along the chain of control groups; the trees are made up, for both versions."""

import os
import time
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cgroup import parse_paths, read_paths
from jupyter_kernel_exporter.linux.cpuquota import AGE_SECONDS, CpuQuotas, parse_quota


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def site(tmp_path: Path, files: dict[str, str]) -> tuple[CpuQuotas, Clock]:
    """A machine with these files of cgroups."""
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    clock = Clock()
    return CpuQuotas(str(tmp_path / "cgroup"), clock), clock


@pytest.mark.parametrize(
    ("raw", "processors"),
    [
        (b"max 100000\n", None),
        (b"50000 100000\n", 0.5),
        (b"-1 100000", None),
        (b"400000 100000", 4.0),
    ],
)
def test_parse(raw: bytes, processors: float | None) -> None:
    """Microseconds of each period are processors."""
    assert parse_quota(raw) == processors


@pytest.mark.parametrize(
    ("cgroup", "files", "processors"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/a/b\n", {}, None),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, None),
        ("0::/../else\n", {"cpu.max": "50000 100000\n"}, None),
        (
            "3:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            2.0,
        ),
        (
            "3:cpu:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            None,
        ),
    ],
    ids=["v2 above", "v2 tightest", "v2 none", "v2 root", "v2 outside", "v1", "v1 none"],
)
def test_the_tightest_of_the_chain(
    tmp_path: Path, cgroup: str, files: dict[str, str], processors: float | None
) -> None:
    """Whichever cgroup allows least; the root of the tree has no quota."""
    quotas, _ = site(tmp_path, files)
    assert quotas.limit(parse_paths(cgroup)) == processors


def test_changes_are_seen_after_a_while(tmp_path: Path) -> None:
    """A quota is read again when it has grown old."""
    quotas, clock = site(tmp_path, {"a/cpu.max": "50000 100000\n"})
    paths = parse_paths("0::/a\n")
    assert quotas.limit(paths) == 0.5
    (tmp_path / "cgroup/a/cpu.max").write_text("max 100000\n")
    assert quotas.limit(paths) == 0.5
    clock.now += AGE_SECONDS
    assert quotas.limit(paths) is None


@pytest.mark.skipif(
    not os.access("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", os.W_OK)
    and not os.path.isdir("/sys/fs/cgroup/cpu"),
    reason="needs a cgroup tree of version 1 that may be written",
)
@pytest.mark.real
def test_a_real_cgroup() -> None:
    """A cgroup of version 1 that is made for the purpose."""
    folder = Path(f"/sys/fs/cgroup/cpu/jke-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    child = os.fork()
    if child == 0:
        os.execvp("sleep", ["sleep", "60"])
    try:
        (folder / "cpu.cfs_quota_us").write_text("30000")
        (folder / "cgroup.procs").write_text(str(child))
        paths = read_paths("/proc", child)
        assert paths is not None
        assert CpuQuotas("/sys/fs/cgroup", time.monotonic).limit(paths) == 0.3
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        folder.rmdir()
