"""Files of single processes, read and parsed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux import proc

STAT = (
    b"4711 (%b) S 4242 4711 4711 0 -1 4194304 91250 1 37 0 512 64 3 1 20 0 12 0 987654"
    b" 1234567168 20480 18446744073709551615 1 1 0 0 0 0 0 16781312 134241026 0 0 0 17 1 0 0 9 0 0"
    b" 0 0 0 0 0 0 0 0\n"
)


@pytest.mark.parametrize(
    "name", [b"python", b"", b"a b", b"foo) Z ", b"(((", b")", b"a\nb", b"R 1 2 3", b"\xff\xfe"]
)
def test_stat_whatever_the_process_calls_itself(name: bytes) -> None:
    """A name may hold spaces, brackets and newlines; the fields after it are found all the same."""
    stat = proc.parse_stat(STAT % name)
    assert stat == proc.Stat(
        state="S",
        ppid=4242,
        session=4711,
        major_faults=37,
        utime=512,
        stime=64,
        cutime=3,
        cstime=1,
        threads=12,
        start_ticks=987654,
        vsize=1234567168,
        rss_pages=20480,
        block_io_ticks=9,
    )


@pytest.mark.parametrize("raw", [b"", b"1 (a", b"1 (a) S 2 3", b"1 (a) S " + b"x " * 50])
def test_what_is_no_stat_line_is_an_error(raw: bytes) -> None:
    """Half a line is never taken for numbers."""
    with pytest.raises(ValueError):  # noqa: PT011  # any of several sentences
        proc.parse_stat(raw)


def test_status_of_a_process_and_of_a_zombie() -> None:
    """A zombie has given its memory back."""
    raw = (
        b"Name:\tpython\nVmPeak:\t 9 kB\nVmHWM:\t   5120 kB\nVmRSS:\t    4096 kB\nVmSwap:\t 12 kB\n"
    )
    assert proc.parse_status(raw) == proc.Status(4096 << 10, 5120 << 10, 12 << 10)
    assert proc.parse_status(b"Name:\tpython\nState:\tZ (zombie)\n") == proc.Status(0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "uid", "inner"),
    [
        (b"Name:\tx\nPid:\t9\nUid:\t1000\t0\t0\t0\nNSpid:\t9\t7\t1\n", 1000, 1),
        (b"Name:\tUid:\t3\nPid:\t9\nUid:\t0\t0\t0\t0\nNSpid:\t9\n", 0, 9),
        (b"Name:\tx\nPid:\t9\nUid:\t5\t5\t5\t5\n", 5, 9),
    ],
)
def test_who_a_process_is_in_its_namespace(raw: bytes, uid: int, inner: int) -> None:
    """The last of its pids is the one it knows itself by."""
    assert proc.parse_namespace_status(raw) == proc.NamespaceStatus(uid, inner)


def test_io() -> None:
    """Storage only: what the page cache answered is not counted."""
    raw = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\n"
    raw += b"read_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
    assert proc.parse_io(raw) == proc.Io(4096, 8192)


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        (b"", []),
        (
            b"python\0-m\0ipykernel_launcher\0-f\0/k.json\0",
            ["python", "-m", "ipykernel_launcher", "-f", "/k.json"],
        ),
        (b"one title", ["one title"]),
        (b"a\0\0b\0", ["a", "", "b"]),
        (b"\xff\0", ["\udcff"]),
    ],
)
def test_arguments(raw: bytes, arguments: list[str]) -> None:
    """Empty ones in the middle count, bytes that are no text survive."""
    assert proc.parse_arguments(raw) == arguments


def test_environment_gives_only_what_is_wanted() -> None:
    """The first entry of a name counts; half a name, or none, does not."""
    raw = b"TOKEN=secret\0USER=a\0USER=b\0USERX=c\0EMPTY=\0NOEQUALS\0=x\0"
    assert proc.parse_environment(raw, ["USER", "EMPTY", "NOEQUALS", "GONE"]) == {
        "USER": "a",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("soft", "limit"),
    [(b"unlimited            unlimited", None), (b"1073741824           unlimited", 1 << 30)],
)
def test_address_space_limit(soft: bytes, limit: int | None) -> None:
    """The soft limit is the one that bites."""
    raw = b"Limit                     Soft Limit           Hard Limit           Units\n"
    raw += b"Max address space         " + soft + b"            bytes\nMax file locks x\n"
    assert proc.parse_address_space_limit(raw) == limit


@pytest.mark.real
def test_reading_a_real_process() -> None:
    """What linux writes today is what the parsers expect."""
    code = (
        "import resource as r,sys;r.setrlimit(r.RLIMIT_AS,(1<<34,1<<34));print(flush=True);input()"
    )
    environ = {"JUPYTERHUB_USER": "alice", "SECRET": "s"}
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        pid = child.pid
        stat = proc.read_stat("/proc", pid)
        assert stat is not None
        assert stat.ppid == os.getpid()
        assert (
            abs(stat.start_ticks / proc.CLOCK_TICKS - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
        )
        assert proc.read_arguments("/proc", pid) == [sys.executable, "-c", code]
        assert proc.read_environment("/proc", pid, ["JUPYTERHUB_USER"]) == {
            "JUPYTERHUB_USER": "alice"
        }
        limits = Path(f"/proc/{pid}/limits").read_bytes()
        assert proc.parse_address_space_limit(limits) == 1 << 34
        pss = proc.read_pss("/proc", pid)
        status = proc.parse_status(Path(f"/proc/{pid}/status").read_bytes())
        assert pss is not None
        assert 0 < pss <= status.rss * 1.02
        assert proc.parse_io(Path(f"/proc/{pid}/io").read_bytes()).read >= 0
    assert proc.read_stat("/proc", pid) is None
    assert proc.read_arguments("/proc", pid) is None
    assert proc.read_pss("/proc", pid) is None


@pytest.mark.real
def test_a_huge_command_line_is_cut() -> None:
    """Megabytes of arguments cost no more than the cut."""
    arguments = ["x" * 100_000] * 12
    with subprocess.Popen(["sleep", "60", *arguments], stderr=subprocess.DEVNULL) as child:
        while (read := proc.read_arguments("/proc", child.pid)) == [*sys.orig_argv]:  # not exec'd
            pass
        assert read is None or sum(map(len, read)) <= proc.ARGUMENTS_MAX
        child.kill()


@pytest.mark.real
def test_who_is_ending() -> None:
    """A zombie has begun to end, and so has whoever is gone."""
    assert not proc.parse_ending(STAT % b"a) b")
    assert proc.parse_ending((STAT % b"a) b").replace(b" 4194304 ", b" 4194308 "))
    with subprocess.Popen(["sleep", "60"]) as child:
        assert not proc.read_ending("/proc", child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert proc.read_ending("/proc", child.pid)
    assert proc.read_ending("/proc", child.pid)


def test_who_was_forked_and_who_called_exec() -> None:
    """A worker runs its parent's program; the flag is linux' own and goes with exec."""
    assert not proc.parse_forked(STAT % b"a) b")
    assert proc.parse_forked((STAT % b"a) b").replace(b" 4194304 ", b" 4194368 "))
    assert proc.read_forked("/proc", os.getpid()) is False
    code = "import os, time; os.fork() and print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            parent.stdout.readline()
            children = f"/proc/{parent.pid}/task/{parent.pid}/children"
            (child,) = Path(children).read_text().split()
            assert proc.read_forked("/proc", int(child)) is True
            assert proc.read_forked("/proc", parent.pid) is False
            os.kill(int(child), 9)
        finally:
            parent.kill()
    assert proc.read_forked("/proc", parent.pid) is None
