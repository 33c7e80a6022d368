"""OOM kills in linux' log: formats of several releases, hostile names, and a real kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kmsg import Kmsg, Record, parse_record
from jupyter_kernel_exporter.linux.oomlog import OomKill, OomLog
from jupyter_kernel_exporter.model import Scope
from jupyter_kernel_exporter.sources import Unavailable
from support.processes import HOG, needs_root

FIXTURES = Path(__file__).parents[2] / "fixtures" / "kmsg"
KB = 1024
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod10d16a28.slice"
UNIT = "/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service"


def records(name: str) -> list[Record]:
    """The records of a fixture."""
    return [parse_record(line) for line in (FIXTURES / name).read_bytes().splitlines(keepends=True)]


def say(*texts: str, at: float = 100.0) -> list[Record]:
    """Records of linux, a millisecond apart."""
    return [Record(3, 0, n, at + n / 1000, text) for n, text in enumerate(texts)]


def killed(pid: int, comm: str = "python3", what: str = "Memory cgroup out of memory: ") -> str:
    """The line of a victim, as linux 5.3 and later have it."""
    return (
        f"{what}Killed process {pid} ({comm}) total-vm:3kB, anon-rss:2kB, file-rss:1kB,"
        " shmem-rss:0kB, UID:0 pgtables:188kB oom_score_adj:0"
    )


def summary(pid: int, comm: str = "python3", limit: str = "/a", task: str = "/a/b") -> str:
    """The line before."""
    return (
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,3,"
        f"oom_memcg={limit},task_memcg={task},task={comm},pid={pid},uid=0"
    )


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        pytest.param(
            "linux-6.18-cgroup.txt",
            [
                OomKill(
                    9180,
                    "python3",
                    Scope.CGROUP,
                    "/jke-test-9139",
                    "/jke-test-9139",
                    76028 * KB,
                    65264 * KB,
                    6616 * KB,
                    0,
                    1691.711961,
                    432,
                )
            ],
            id="6.18, cgroup (real)",
        ),
        pytest.param(
            "linux-6.1-host.txt",
            [
                OomKill(
                    27368,
                    "python3",
                    Scope.HOST,
                    None,
                    UNIT,
                    6686908 * KB,
                    6470560 * KB,
                    0,
                    7452 * KB,
                    133747.719795,
                    702,
                )
            ],
            id="6.1, host",
        ),
        pytest.param(
            "linux-5.10-cgroup-group.txt",
            [
                OomKill(
                    68061,
                    "python3",
                    Scope.CGROUP,
                    POD,
                    f"{POD}/cri-containerd-178ec180.scope",
                    4195088 * KB,
                    2884696 * KB,
                    288 * KB,
                    0,
                    8341.85687,
                    1202,
                ),
                OomKill(
                    67990,
                    "jupyter-lab",
                    Scope.CGROUP,
                    POD,
                    None,
                    266448 * KB,
                    90112 * KB,
                    12288 * KB,
                    4 * KB,
                    8341.8907,
                    1205,
                ),
            ],
            id="5.10, a whole cgroup, the first victim named twice",
        ),
        pytest.param(
            "linux-4.19-cgroup.txt",
            [
                OomKill(
                    18301,
                    "python3",
                    Scope.CGROUP,
                    "/docker/0123abcd",
                    "/docker/0123abcd",
                    1124128 * KB,
                    470760 * KB,
                    1240 * KB,
                    0,
                    8341.000009,
                    909,
                )
            ],
            id="4.19, a child is sacrificed",
        ),
        pytest.param(
            "linux-4.19-host.txt",
            [
                OomKill(
                    2279,
                    "Web Content",
                    Scope.HOST,
                    None,
                    None,
                    5606512 * KB,
                    1694156 * KB,
                    0,
                    0,
                    9000.000003,
                    952,
                )
            ],
            id="4.19, host",
        ),
        pytest.param(
            "linux-3.10-host.txt",
            [
                OomKill(
                    21945,
                    "tidb-server",
                    Scope.HOST,
                    None,
                    None,
                    33027492 * KB,
                    31303276 * KB,
                    0,
                    0,
                    77.000002,
                    312,
                )
            ],
            id="3.10, host, with the user",
        ),
        pytest.param("linux-6.18-faults.txt", [], id="no OOM at all"),
    ],
)
def test_kills_of_several_releases(name: str, kills: list[OomKill]) -> None:
    """Who was killed, what was short, and whose limit it was, whatever linux it is."""
    assert OomLog().read(records(name)) == kills


@pytest.mark.parametrize(
    "comm",
    [
        pytest.param("a b", id="space"),
        pytest.param("a) (b", id="brackets"),
        pytest.param("x,pid=1,uid=0", id="looks like a pid"),
        pytest.param(",task=y,pid=2", id="looks like the end"),
        pytest.param("(1) total-vm:1", id="looks like the numbers"),
        pytest.param("a\nb\\", id="newline and backslash"),
        pytest.param("", id="none"),
    ],
)
def test_a_name_cannot_lie(comm: str) -> None:
    """Whatever a process calls itself, the pid and the cgroups are those that linux wrote."""
    (kill,) = OomLog().read(say(summary(4711, comm), killed(4711, comm)))
    assert (kill.pid, kill.comm) == (4711, comm)
    assert (kill.limit_path, kill.task_path) == ("/a", "/a/b")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"x {killed(1)}", id="not at the start"),
        pytest.param("python3[1]: segfault at 0 ip 0 sp 0 error 4", id="another line"),
        pytest.param("oom_reaper: reaped process 1 (x), now anon-rss:0kB", id="reaper"),
        pytest.param("Memory cgroup out of memory: OOM victim 1 (x) is already exiting", id="gone"),
        pytest.param("Out of memory: Killed process 1 (x)", id="no numbers"),
        pytest.param("Out of memory: Killed process one (x) total-vm:1kB", id="no pid"),
        pytest.param("Out of memory and no killable processes...", id="nobody to kill"),
        pytest.param(f"a\n{killed(1)}", id="behind a newline"),
    ],
)
def test_what_is_no_kill_is_none(text: str) -> None:
    """Only a whole line of the OOM killer, from its start, makes a kill."""
    assert OomLog().read(say(text)) == []


def test_a_kill_without_its_cause() -> None:
    """Linux leaves summaries out when there are many: then no other one's limit is taken."""
    log = OomLog()
    first, second = log.read(say(summary(1), killed(1), killed(2)))
    assert (first.limit_path, first.task_path) == ("/a", "/a/b")
    assert (second.limit_path, second.task_path) == (None, None)
    assert second.scope is Scope.CGROUP


def test_before_5_0_a_cause_is_for_one_victim() -> None:
    """The cgroup that the older line names is that of the next victim only."""
    older = "Killed process {} (x) total-vm:3kB, anon-rss:2kB, file-rss:1kB"
    first, second = OomLog().read(
        say(
            "Task in /a/b killed as a result of limit of /a",
            "Memory cgroup out of memory: Kill process 1 (x) score 9 or sacrifice child",
            older.format(1),
            "Memory cgroup out of memory: Kill process 2 (x) score 9 or sacrifice child",
            older.format(2),
        )
    )
    assert (first.limit_path, first.shmem_rss_bytes) == ("/a", None)
    assert (second.limit_path, second.scope) == (None, Scope.CGROUP)


def test_before_5_0_a_victim_alone_has_no_scope() -> None:
    """If the line before was lost, what ran out is not known."""
    (kill,) = OomLog().read(say(killed(1, what="")))
    assert kill.scope is None


def test_lines_may_come_in_several_readings() -> None:
    """The log is drained when something is there, in the middle of a kill as well."""
    log = OomLog()
    lines = say(summary(1), killed(1))
    assert log.read(lines[:1]) == []
    (kill,) = log.read(lines[1:])
    assert kill.limit_path == "/a"


def test_a_summary_may_be_torn() -> None:
    """A long line goes on in records of its own, and others may come between."""
    whole = summary(1, limit="/" + "x" * 900, task="/" + "y" * 900)
    head, middle, tail = whole[:800], whole[800:1500], whole[1500:]
    lines = [
        Record(6, 0, 1, 100.0, head),
        Record(6, 0, 2, 100.0, "eth0: link up"),
        Record(6, 0, 3, 100.0, middle, continues=True),
        Record(6, 0, 4, 100.0, tail, continues=True),
        Record(3, 0, 5, 100.0, killed(1)),
    ]
    (kill,) = OomLog().read(lines)
    assert (kill.limit_path, kill.task_path) == ("/" + "x" * 900, "/" + "y" * 900)


def test_a_pid_that_comes_again_later_is_another_kill() -> None:
    """Twice at once is one kill; after a while the number is another process'."""
    log = OomLog()
    assert len(log.read(say(killed(1), killed(1), at=100.0))) == 1
    assert len(log.read(say(killed(1), at=160.0))) == 1


def test_hostile_lines_take_no_time() -> None:
    """Long lines full of what is looked for are read as fast as others, and nothing is kept."""
    hostile = "oom-kill:" + ",oom_memcg=,task_memcg=,task=,pid=1,uid=" * 300
    log = OomLog()
    started = time.perf_counter()
    log.read([Record(6, 0, n, 0.0, hostile, continues=True) for n in range(100)])
    assert time.perf_counter() - started < 1
    assert len(log._torn) <= 16384


MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A version 1 cgroup that holds 64 MiB, removed at the end."""
    if not (MEMORY / "memory.limit_in_bytes").exists():
        pytest.skip("needs the version 1 memory controller")
    path = MEMORY / f"jke-test-{os.getpid()}"
    path.mkdir()
    (path / "memory.limit_in_bytes").write_text(str(64 << 20))
    yield path
    path.rmdir()


@pytest.mark.real
@needs_root
def test_a_real_kill(small_cgroup: Path) -> None:
    """A process over its cgroup's limit is found with its pid, scope and size once it is dead."""
    try:
        kmsg = Kmsg()
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(kmsg):
        before = time.monotonic()
        procs = str(small_cgroup / "cgroup.procs")
        with subprocess.Popen([sys.executable, "-S", "-c", HOG, procs]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            after = time.monotonic()
            kills = OomLog().read(kmsg.drain().records)
    assert child.returncode == -signal.SIGKILL
    (kill,) = [kill for kill in kills if kill.pid == child.pid]
    assert kill.scope is Scope.CGROUP
    assert kill.limit_path == kill.task_path == f"/{small_cgroup.name}"
    # What it took before it joined is charged elsewhere.
    assert 50 << 20 < kill.anon_rss_bytes < 100 << 20
    assert before - 1 <= kill.at <= after + 1
