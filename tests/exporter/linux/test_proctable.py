"""The process table: who came and who went."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.proctable import ProcessTable
from jupyter_kernel_exporter.model import ProcessId


def put(root: Path, pid: int, start: int, ppid: int = 1, session: int = 1) -> None:
    """Write a process into a made-up /proc. A fresh directory is a fresh inode, as in linux."""
    directory = root / str(pid)
    shutil.rmtree(directory, ignore_errors=True)
    tempfile.mkdtemp(dir=root)  # keeps the old inode number from being given again
    directory.mkdir()
    fields = [b"0"] * 49
    fields[0:3] = [b"S", str(ppid).encode(), b"1"]
    fields[3] = str(session).encode()
    fields[19] = str(start).encode()
    (directory / "stat").write_bytes(b"%d (x) " % pid + b" ".join(fields))


def pids(processes: object) -> list[int]:
    """Their pids, in order."""
    return sorted(process.id.pid for process in processes)  # type: ignore[attr-defined]


def test_tells_who_came_and_who_went(tmp_path: Path) -> None:
    """Names that are no numbers are not processes."""
    (tmp_path / "self").mkdir()
    put(tmp_path, 10, 100)
    table = ProcessTable(str(tmp_path))
    assert pids(table.scan().came) == [10]
    put(tmp_path, 11, 101, ppid=10, session=11)
    shutil.rmtree(tmp_path / "10")
    changes = table.scan()
    assert (pids(changes.came), pids(changes.went)) == ([11], [10])
    assert table.processes[11].leads_session
    assert table.processes[11].ppid == 10
    changes = table.scan()
    assert (changes.came, changes.went) == ((), ())


def test_a_pid_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    """Between two scans one ended and another took its number."""
    put(tmp_path, 10, 100)
    table = ProcessTable(str(tmp_path))
    table.scan()
    put(tmp_path, 10, 555)
    changes = table.scan()
    assert [p.id for p in changes.went] == [ProcessId(10, 100)]
    assert [p.id for p in changes.came] == [ProcessId(10, 555)]


def test_a_new_inode_alone_is_not_a_new_process(tmp_path: Path) -> None:
    """linux drops inodes of /proc when memory is short."""
    put(tmp_path, 10, 100)
    table = ProcessTable(str(tmp_path))
    table.scan()
    put(tmp_path, 10, 100)
    changes = table.scan()
    assert (changes.came, changes.went) == ((), ())


def test_a_process_that_is_gone_before_it_is_opened_never_was(tmp_path: Path) -> None:
    """And it is tried again should it come back."""
    put(tmp_path, 10, 100)
    (tmp_path / "10" / "stat").unlink()
    table = ProcessTable(str(tmp_path))
    assert table.scan().came == ()
    put(tmp_path, 10, 101)
    assert pids(table.scan().came) == [10]


@pytest.mark.real
def test_a_hundred_real_processes_come_and_go() -> None:
    """Each is seen once; those that end between two scans leave nothing behind."""
    table = ProcessTable()
    table.scan()
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(100)]
    try:
        came = {process.id.pid for process in table.scan().came}
        assert {child.pid for child in children} <= came
        assert all(table.processes[child.pid].ppid == os.getpid() for child in children)
    finally:
        for child in children:
            child.kill()
            child.wait()
    went = {process.id.pid for process in table.scan().went}
    assert {child.pid for child in children} <= went
