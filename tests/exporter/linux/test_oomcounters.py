"""OOM counters of both versions of cgroups.

Version 2 is made of files in a temporary directory, for machines that have version 1 only; with
version 1 a process is really killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cgroup import Version, find_version
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.oomcounters import (
    Comparison,
    Counter,
    Kind,
    Rise,
    compare,
    parse_rows,
    read_counters,
    vmstat,
)
from support.processes import HOG, needs_root

EVENTS = "low 0\nhigh 0\nmax 9\noom {oom}\noom_kill {kill}\noom_group_kill {group}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A version 2 hierarchy: a slice, in it a pod with the controller, in that a leaf without."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 81\noom_kill 7\n")
    root = tmp_path / "cgroup"
    (root / "s.slice" / "pod" / "leaf").mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    events(root / "s.slice", oom=3, kill=5, group=1, local=(0, 0))
    events(root / "s.slice" / "pod", oom=2, kill=4, group=1, local=(2, 4))
    return tmp_path


def events(path: Path, oom: int, kill: int, group: int, local: tuple[int, int] | None) -> None:
    """Write the counters of a cgroup; ``local`` is its own oom and oom_kill."""
    (path / "memory.events").write_text(EVENTS.format(oom=oom, kill=kill, group=group))
    if local is not None:
        text = EVENTS.format(oom=local[0], kill=local[1], group=0)
        (path / "memory.events.local").write_text(text)


def read(tree: Path, *names: str) -> dict[Counter, int]:
    """The counters of some cgroups, with paths from the hierarchy's root on."""
    root = str(tree / "cgroup")
    paths = [f"{root}/{name}" for name in names]
    counters = read_counters(vmstat(str(tree / "proc"), Descriptors(0)), find_version(root), paths)
    return {c._replace(path=c.path.removeprefix(root)): n for c, n in counters.items()}


CHAIN = {
    Counter(Kind.LOCAL, "/s.slice/pod"): 4,
    Counter(Kind.LIMIT, "/s.slice/pod"): 2,
    Counter(Kind.SUBTREE, "/s.slice/pod"): 4,
    Counter(Kind.GROUP, "/s.slice/pod"): 1,
    Counter(Kind.LOCAL, "/s.slice"): 0,
    Counter(Kind.LIMIT, "/s.slice"): 0,
    Counter(Kind.SUBTREE, "/s.slice"): 5,
    Counter(Kind.GROUP, "/s.slice"): 1,
    Counter(Kind.HOST, ""): 7,
}


def test_version_2_is_read_up_to_the_root(tree: Path) -> None:
    """Each level that has counters gives them; a leaf without the controller has none."""
    assert read(tree, "s.slice/pod/leaf") == CHAIN


def test_several_chains_are_read_together(tree: Path) -> None:
    """What two chains share is there once."""
    (tree / "cgroup" / "s.slice" / "other").mkdir()
    events(tree / "cgroup" / "s.slice" / "other", oom=0, kill=0, group=0, local=(0, 0))
    both = read(tree, "s.slice/pod", "s.slice/other")
    assert both == {**CHAIN, **read(tree, "s.slice/other")}
    assert Counter(Kind.LOCAL, "/s.slice/other") in both


def test_rows_and_files_that_linux_does_not_have_are_left_out(tree: Path) -> None:
    """Before 5.2 there is no local file, before 5.17 no row for groups: unknown, not 0."""
    pod = tree / "cgroup" / "s.slice" / "pod"
    (pod / "memory.events.local").unlink()
    (pod / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 4\n")
    (tree / "proc" / "vmstat").write_text("nr_free_pages 81\n")
    counters = read(tree, "s.slice/pod")
    assert {c.kind for c in counters if c.path == "/s.slice/pod"} == {Kind.SUBTREE}
    assert Counter(Kind.HOST, "") not in counters


def test_a_cgroup_that_is_gone_leaves_those_above(tree: Path) -> None:
    """A removed cgroup has no counters any more, and the chain goes on."""
    counters = read(tree, "s.slice/removed/below")
    assert {counter.path for counter in counters} == {"/s.slice", ""}


def test_version_1_counts_for_the_cgroup_alone(tmp_path: Path) -> None:
    """Each level's own victims, and the root's too."""
    (tmp_path / "vmstat").write_text("oom_kill 3\n")
    root = tmp_path / "memory"
    (root / "a" / "b").mkdir(parents=True)
    (root / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    for path, kills in ((root, 1), (root / "a", 0), (root / "a" / "b", 2)):
        text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
        (path / "memory.oom_control").write_text(text)
    counters = read_counters(
        vmstat(str(tmp_path), Descriptors(0)), find_version(str(tmp_path)), [f"{root}/a/b"]
    )
    assert counters == {
        Counter(Kind.LOCAL, f"{root}/a/b"): 2,
        Counter(Kind.LOCAL, f"{root}/a"): 0,
        Counter(Kind.LOCAL, f"{root}"): 1,
        Counter(Kind.HOST, ""): 3,
    }


LEAF, ABOVE = Counter(Kind.LOCAL, "/a/b"), Counter(Kind.LOCAL, "/a")
BELOW, HOST = Counter(Kind.SUBTREE, "/a"), Counter(Kind.HOST, "")
NEIGHBOUR = Counter(Kind.LOCAL, "/a/bc")


@pytest.mark.parametrize(
    ("before", "after", "comparison"),
    [
        pytest.param({LEAF: 1, HOST: 4}, {LEAF: 1, HOST: 4}, Comparison((), ()), id="nothing"),
        pytest.param(
            {HOST: 4, BELOW: 3, ABOVE: 0, LEAF: 1},
            {HOST: 6, BELOW: 5, ABOVE: 0, LEAF: 3},
            Comparison((Rise(LEAF, 2, True), Rise(BELOW, 2, False), Rise(HOST, 2, False)), ()),
            id="in its own cgroup",
        ),
        pytest.param(
            {LEAF: 1, BELOW: 3, HOST: 4},
            {LEAF: 1, BELOW: 4, HOST: 5},
            Comparison((Rise(BELOW, 1, False), Rise(HOST, 1, False)), ()),
            id="elsewhere below",
        ),
        pytest.param(
            {LEAF: 1, ABOVE: 0, HOST: 4},
            {LEAF: 1, ABOVE: 1, HOST: 5},
            Comparison((Rise(ABOVE, 1, False), Rise(HOST, 1, False)), ()),
            id="above, which is not its own",
        ),
        pytest.param(
            {LEAF: 1, ABOVE: 0, HOST: 4},
            {ABOVE: 0, HOST: 5},
            Comparison((Rise(HOST, 1, False),), (LEAF,)),
            id="its cgroup was removed",
        ),
        pytest.param(
            {LEAF: 9, HOST: 4},
            {LEAF: 1, HOST: 4},
            Comparison((), (LEAF,)),
            id="its cgroup was made anew",
        ),
        pytest.param(
            {ABOVE: 0},
            {LEAF: 5, ABOVE: 0, HOST: 9},
            Comparison((), ()),
            id="nothing to compare with",
        ),
        pytest.param(
            {LEAF: 0, NEIGHBOUR: 0},
            {LEAF: 0, NEIGHBOUR: 3},
            Comparison((), ()),
            id="a neighbour whose name begins alike",
        ),
    ],
)
def test_what_rose(
    before: Mapping[Counter, int], after: Mapping[Counter, int], comparison: Comparison
) -> None:
    """Only rises on the way to the root count, and only the first level is the process' own."""
    assert compare(before, after, "/a/b") == comparison


@pytest.mark.parametrize(
    "raw", [pytest.param(b"oom", id="no number"), pytest.param(b"oom x\n", id="not a number")]
)
def test_what_is_no_row_raises(raw: bytes) -> None:
    """Nothing is made up."""
    with pytest.raises(ValueError):  # noqa: PT011  # from zip or int
        parse_rows(raw)


@pytest.fixture
def cgroup() -> Iterator[tuple[Version, Path]]:
    """A version 1 cgroup that holds 64 MiB, removed at the end."""
    memory = Path("/sys/fs/cgroup/memory")
    if not (memory / "memory.limit_in_bytes").exists():
        pytest.skip("needs the version 1 memory controller")
    path = memory / f"jke-test-counters-{os.getpid()}"
    path.mkdir()
    (path / "memory.limit_in_bytes").write_text(str(64 << 20))
    yield find_version("/sys/fs/cgroup"), path
    path.rmdir()


@pytest.mark.real
@needs_root
def test_a_real_kill_raises_its_own_counter(cgroup: tuple[Version, Path]) -> None:
    """The victim's cgroup counts it, those above do not, the machine does."""
    version, path = cgroup
    before = read_counters(vmstat("/proc", Descriptors(0)), version, [str(path)])
    child = subprocess.run([sys.executable, "-S", "-c", HOG, f"{path}/cgroup.procs"], check=False)
    assert child.returncode == -signal.SIGKILL
    rises, lost = compare(
        before, read_counters(vmstat("/proc", Descriptors(0)), version, [str(path)]), str(path)
    )
    assert rises[0] == Rise(Counter(Kind.LOCAL, str(path)), 1, True)
    assert [rise.counter.kind for rise in rises if not rise.own] == [Kind.HOST]
    assert lost == ()
