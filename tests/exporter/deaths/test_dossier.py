"""What is noted of a kernel while it lives: who started it, and where its files are."""

from math import inf
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.dossier import Dossier, open_dossier, stillborn_dossier
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.deaths.patience import look
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, ProcessId
from support.procfs import FakeProc

FILE = "/run/kernel-1.json"


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """With the machine's first process."""
    made = FakeProc(tmp_path / "proc")
    made.add(1, ["init"], started=1.0)
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The root of the machine's disk, with the file of a kernel."""
    (tmp_path / "disk/run").mkdir(parents=True)
    (tmp_path / f"disk{FILE}").write_text("{}")
    return tmp_path / "disk"


def kernel_of(process: Process, file: str = FILE) -> Kernel:
    """As discovery has it."""
    return Kernel("1", process.id, "eva", connection_file=file)


def opened(proc: FakeProc, process: Process, disk: Path) -> Dossier:
    """The dossier of a process."""
    return open_dossier(kernel_of(process), proc.table, proc.root, str(disk))


def test_a_kernel_of_a_server(proc: FakeProc, disk: Path) -> None:
    """Its parent is the server; the server's file bears the server's pid."""
    (disk / "run/jpserver-10.json").write_text("{}")
    server = proc.add(10, ["jupyter-server"], started=10.0, root=str(disk))
    kernel = proc.add(20, ["python"], ppid=10, started=20.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert (dossier.parent, dossier.server, dossier.wrapper) == (server.id, server.id, None)
    assert dossier.origin == kernel.id
    assert dossier.followed == [kernel.id, server.id]
    assert dossier.file == f"{disk}{FILE}"
    assert dossier.server_file == f"{disk}/run/jpserver-10.json"


def test_a_kernel_in_a_shell(proc: FakeProc, disk: Path) -> None:
    """The shell is the wrapper, also with more between; restarts count from its start."""
    server = proc.add(10, ["jupyter-server"], started=10.0, root=str(disk))
    shell = proc.add(20, ["bash"], ppid=10, started=20.0, root=str(disk))
    between = proc.add(21, ["conda"], ppid=20, session=20, started=20.5, root=str(disk))
    kernel = proc.add(22, ["python"], ppid=21, session=20, started=21.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert (dossier.parent, dossier.wrapper, dossier.server) == (between.id, shell.id, server.id)
    assert dossier.origin == shell.id


def test_without_a_jupyter_server(proc: FakeProc, disk: Path) -> None:
    """A console has no file of its own, and that is known."""
    proc.add(10, ["jupyter-console"], started=10.0, root=str(disk))
    kernel = proc.add(20, ["python"], ppid=10, started=20.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert dossier.file == f"{disk}{FILE}"
    assert dossier.server_file is None


def test_an_orphan(proc: FakeProc, disk: Path) -> None:
    """Pid 1 adopted it, and is no server."""
    kernel = proc.add(20, ["python"], ppid=1, started=20.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert dossier.server is None
    assert dossier.parent == proc.table[1].id


def test_a_container_that_sees_only_itself(proc: FakeProc, disk: Path) -> None:
    """There pid 1 may be the server."""
    (disk / "run/jpserver-1.json").write_text("{}")
    proc.add(1, ["jupyter-lab"], started=1.0, root=str(disk))
    kernel = proc.add(20, ["python"], ppid=1, started=20.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert dossier.server == proc.table[1].id
    assert dossier.server_file == f"{disk}/run/jpserver-1.json"


def test_a_container_seen_from_outside(proc: FakeProc, disk: Path, tmp_path: Path) -> None:
    """The host has no such path, or another file there: the way leads through the server's view."""
    inside = tmp_path / "container"
    (inside / "run").mkdir(parents=True)
    (inside / "run/kernel-1.json").write_text("{}")
    (inside / "run/jpserver-7.json").write_text("{}")
    proc.add(10, ["jupyter-server"], started=10.0, root=str(inside), inner_pid=7)
    kernel = proc.add(20, ["python"], ppid=10, started=20.0, root=str(inside))
    dossier = opened(proc, kernel, disk)
    assert dossier.file == f"{proc.root}/10/root{FILE}"
    assert dossier.server_file == f"{proc.root}/10/root/run/jpserver-7.json"


def test_gone_between_two_reads(proc: FakeProc, disk: Path) -> None:
    """Nothing is claimed of a process that is another one now, or none."""
    kernel = proc.add(20, ["python"], started=20.0, root=str(disk))
    again = proc.add(20, ["sleep"], started=30.0, root=str(disk))
    assert opened(proc, kernel, disk).file is None
    proc.remove(20)
    assert opened(proc, again, disk).parent is None


def test_a_parent_that_is_younger_is_none(proc: FakeProc, disk: Path) -> None:
    """Its pid was given again."""
    proc.add(10, ["sleep"], started=90.0)
    kernel = proc.add(20, ["python"], ppid=10, started=20.0, root=str(disk))
    dossier = opened(proc, kernel, disk)
    assert (dossier.parent, dossier.server) == (None, None)


@pytest.mark.parametrize("path", ["", "kernel-1.json", "/run/kernel-2.json"])
def test_no_file_that_could_be_seen(proc: FakeProc, disk: Path, path: str) -> None:
    """A name without a place, or a file that is gone."""
    process = proc.add(20, ["python"], started=20.0, root=str(disk))
    dossier = open_dossier(kernel_of(process, path), proc.table, proc.root, str(disk))
    assert (dossier.file, dossier.server_file) == (None, None)


def test_stillborn(proc: FakeProc, disk: Path) -> None:
    """Of a process that is gone its parent is left, and the file."""
    server = proc.add(10, ["jupyter-server"], started=10.0, root=str(disk))
    born = Newborn(ProcessId(20, 2000), 10, FILE, 0, 1.0)
    kernel = Kernel("1", born.process, "eva", connection_file=FILE)
    dossier = stillborn_dossier(kernel, born, proc.table, proc.root, str(disk))
    assert dossier.stillborn
    assert (dossier.server, dossier.file) == (server.id, f"{disk}{FILE}")
    proc.remove(10)
    assert stillborn_dossier(kernel, born, proc.table, proc.root, str(disk)).server is None


def test_files_that_go_while_the_kernel_lives(tmp_path: Path) -> None:
    """The server's is remembered with its time; the kernel's own tells nothing any more."""
    file, server_file = tmp_path / "kernel-1.json", tmp_path / "jpserver-1.json"
    for path in (file, server_file):
        path.write_text("{}")
    kernel = Kernel("1", ProcessId(1, 1), "eva")
    dossier = Dossier(kernel, file=str(file), server_file=str(server_file))
    dossier.look_at_files(1.0, look(dossier.files))
    assert dossier.server_file_deleted_at == inf
    for path in (file, server_file):
        path.unlink()
    dossier.look_at_files(2.0, look(dossier.files))
    assert dossier.file == str(file), "it may have died just now"
    file.write_text("{}")
    dossier.look_at_files(3.0, look(dossier.files))
    file.unlink()
    dossier.look_at_files(4.0, look(dossier.files))
    assert dossier.file == str(file), "it was there again in between"
    dossier.look_at_files(5.0, look(dossier.files))
    assert dossier.file is None
    assert dossier.server_file_deleted_at == 2.0


def test_what_stays_when_something_changes() -> None:
    """The same process has become ready, say."""
    before = Dossier(Kernel("1", ProcessId(1, 1), "eva"), server_file="/s", cgroup="/c")
    before.server_file_deleted_at = 7.0
    after = Dossier(before.kernel)
    after.keep(before)
    assert (after.server_file, after.cgroup, after.server_file_deleted_at) == ("/s", "/c", 7.0)
