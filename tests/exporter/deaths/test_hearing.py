"""Lines to iopub are kept in step with the kernels: one each, and a while longer than they live."""

import json
import os
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.hearing import KEPT_SECONDS, RETRY_SECONDS, Hearing
from jupyter_kernel_exporter.deaths.iopub import Iopub
from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.model import Kernel, ProcessId
from support.procfs import FakeProc

DOCUMENT = {
    "ip": "127.0.0.1",
    "transport": "tcp",
    "key": "k",
    **{f"{name}_port": 1000 for name in ("shell", "iopub", "stdin", "control", "hb")},
}


class Lines(Iopub):
    """Remembers what it was told, and calls nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.placed: list[str] = []
        self.dropped: list[str] = []

    def watch(self, kernel_id: str, connection: Connection) -> None:
        """A line is wanted."""
        assert connection.key == b"k"
        self.placed.append(kernel_id)

    def forget(self, kernel_id: str) -> None:
        """No line is wanted any more."""
        self.dropped.append(kernel_id)


class Room:
    """A kernel with its connection file."""

    def __init__(self, folder: Path) -> None:
        self.proc = FakeProc(folder / "proc")
        self.file = folder / "kernel-1.json"
        self.lines = Lines()
        self.hearing = Hearing(self.lines, self.proc.root, "/")
        self.start(20)

    def start(self, pid: int, *, ready: bool | None = True) -> Dossier:
        """A process of the kernel."""
        process = self.proc.add(pid, ["python"]).id
        return Dossier(Kernel("1", process, "eva", connection_file=str(self.file), ready=ready))

    def write(self) -> None:
        """The file is there."""
        self.file.write_text(json.dumps(DOCUMENT))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Without a file as yet."""
    return Room(tmp_path)


def test_one_line_each(room: Room) -> None:
    """However often it is looked at, also when it has become ready."""
    room.write()
    for tick in range(3):
        room.hearing.attend([room.start(20, ready=tick > 1)], float(tick))
    assert room.lines.placed == ["1"]


def test_a_file_that_is_not_there_yet(room: Room) -> None:
    """A young kernel's is looked for in each tick, an old one's now and then."""
    room.hearing.attend([room.start(20, ready=False)], 1.0)
    room.write()
    room.hearing.attend([room.start(20, ready=False)], 2.0)
    assert room.lines.placed == ["1"]


def test_a_file_that_is_gone(room: Room) -> None:
    """Of a kernel that is ready."""
    dossier = room.start(20)
    room.hearing.attend([dossier], 1.0)
    room.write()
    room.hearing.attend([dossier], 1.0 + RETRY_SECONDS - 0.1)
    assert not room.lines.placed
    room.hearing.attend([dossier], 1.0 + RETRY_SECONDS)
    assert room.lines.placed == ["1"]


def test_the_next_process_has_a_line_of_its_own(room: Room) -> None:
    """Perhaps at another port."""
    room.write()
    room.hearing.attend([room.start(20)], 1.0)
    room.hearing.attend([room.start(21)], 2.0)
    assert room.lines.placed == ["1", "1"]


def test_last_words_are_kept_for_a_while(room: Room) -> None:
    """And then forgotten, so that a server may start kernels for years."""
    room.write()
    dossier = room.start(20)
    room.hearing.attend([dossier], 1.0)
    room.hearing.attend([], 2.0)
    room.hearing.attend([], 2.0 + KEPT_SECONDS)
    assert not room.lines.dropped
    room.hearing.attend([], 2.1 + KEPT_SECONDS)
    assert room.lines.dropped == ["1"]
    room.hearing.attend([dossier], 30.0)
    room.hearing.attend([], 31.0)
    room.hearing.attend([dossier], 32.0)
    room.hearing.attend([], 33.0 + KEPT_SECONDS)
    assert room.lines.dropped == ["1"], "it was there in between"


def test_a_file_that_may_not_be_read(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once for all such kernels, and no more when they are gone."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("jupyter_kernel_exporter.deaths.hearing.find_connection", refuse)
    dossier = room.start(20)
    room.hearing.attend([dossier], 1.0)
    assert room.hearing.problem().startswith("1 kernel not heard: the connection file may not")
    assert room.hearing.said() == {}
    room.hearing.attend([], 2.0)
    room.hearing.attend([], 3.0 + KEPT_SECONDS)
    assert "may not be read" not in room.hearing.problem()


def test_nobody_else_is_listened_to(room: Room) -> None:
    """A kernel without a file has nothing to say."""
    nameless = Dossier(Kernel("2", ProcessId(os.getpid(), 1), "eva"))
    room.hearing.attend([nameless], 1.0)
    assert not room.lines.placed
    assert room.hearing.facts("2") is None
