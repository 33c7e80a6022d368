"""Deaths and counters that last: two daemons, disks that refuse, files that are damaged."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_kernel_exporter.publish.deathrow import DeathRow, counter_key
from jupyter_kernel_exporter.publish.history import RETRY_SECONDS, AlreadyRunning, History
from jupyter_kernel_exporter.publish.store import FILE
from support.deathrows import death
from support.small_disk import small_disk

LABELS = {"reason": "segfault", "username": "eva", "kernel_name": "python3"}
KEY = counter_key("deaths_total", LABELS)
COUNTED = [("deaths_total", LABELS)]

as_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def retry(self) -> None:
        """Let enough time pass for another attempt."""
        self.now += RETRY_SECONDS


@pytest.fixture
def clock() -> Clock:
    """A clock of the test."""
    return Clock()


@contextlib.contextmanager
def opened(folder: Path, clock: Clock | None = None) -> Iterator[History]:
    """A history that is closed afterwards."""
    history = History.open(str(folder), clock or Clock())
    try:
        yield history
    finally:
        history.close()


def total(history: History) -> float:
    """How many deaths were counted."""
    return history.counters().get(KEY, 0.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    with small_disk(tmp_path / "disk", 2) as folder:
        yield folder


def test_what_is_recorded_lasts(tmp_path: Path) -> None:
    """Deaths, counters and pairs, for the next daemon."""
    folder = tmp_path / "state"
    with opened(folder) as history:
        assert history.record_death(death(1), COUNTED)
        assert history.record_death(death(2), COUNTED)
        assert not history.record_death(death(1, reason="killed"), COUNTED)
        history.add("restarts_total", {}, 3)
        history.see("bob", "ir")
        assert history.problem() == ""
    with opened(folder) as history:
        assert not history.record_death(death(2), COUNTED)
        assert history.record_death(death(3), COUNTED)
        assert history.counters() == {KEY: 3, counter_key("restarts_total", {}): 3}
        assert history.pairs() == {("eva", "python3"), ("bob", "ir")}
        assert history.deaths() == [death(3), death(2), death(1)]
        assert history.deaths(1) == [death(3)]
        assert history.deaths(username="eva", kernel_id="k-2") == [death(2)]
        assert history.deaths(since=death(3).ended_at) == [death(3)]
        assert history.deaths(reason="killed") == []
        with pytest.raises(ValueError, match="no such filter: because"):
            history.deaths(because="x")


def test_who_is_alive_is_known_to_the_next(tmp_path: Path) -> None:
    """Whoever's death is recorded is not; and when the daemon was there last is known, too."""
    one, two = death(1).process, death(2).process
    with opened(tmp_path) as history:
        assert (history.remembered(), history.left_at) == ({}, None)
        history.remember({one: "1", two: "2"})
        history.record_death(death(2))
        history.sync()
        left = time.time()
    os.utime(tmp_path / "lock", (left - 100, left - 100))
    with opened(tmp_path) as history:
        assert history.remembered() == {one: "1"}
        assert history.left_at == pytest.approx(left - 100)
        history.remember({})
        history.sync()
        assert (tmp_path / "lock").stat().st_mtime == pytest.approx(time.time(), abs=5)
        # The sign of life is this daemon's now; what is told is that of the one before.
        assert history.left_at == pytest.approx(left - 100)
    with opened(tmp_path) as history:
        assert history.remembered() == {}


def test_nobody_else_may_look(tmp_path: Path) -> None:
    """Neither into the directory nor into the files, whatever they were before."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with opened(folder) as history:
        history.record_death(death(1))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"lock", FILE, f"{FILE}-wal"} <= set(modes)


def test_the_second_daemon_is_told(tmp_path: Path) -> None:
    """Who has the directory; and when that one is gone, there is room."""
    with opened(tmp_path):
        with pytest.raises(AlreadyRunning, match=rf"another daemon \(pid {os.getpid()}\)") as told:
            History.open(str(tmp_path))
        assert told.value.pid == os.getpid()
        code = (
            "import sys; from jupyter_kernel_exporter.publish.history import *\n"
            "try: History.open(sys.argv[1])\n"
            "except AlreadyRunning as error: print(error.pid)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(os.getpid())
    with opened(tmp_path) as history:
        assert history.problem() == ""


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Never deleted; a new one is begun, and a line of the log names the old one."""
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with opened(tmp_path) as history:
        history.record_death(death(1), COUNTED)
        assert history.problem() == ""
        [aside] = tmp_path.glob("*.damaged-*")
        assert aside.read_bytes() == b"no database " * 100
        assert str(aside) in [getattr(record, "file", "") for record in caplog.records]
    with opened(tmp_path) as history:
        assert total(history) == 1


def test_a_file_damaged_while_it_is_open(tmp_path: Path, clock: Clock) -> None:
    """Counters go on from where they were, in a new file."""
    with opened(tmp_path, clock) as history:
        for number in range(300):
            history.record_death(death(number), COUNTED)
        history.sync()
        for name in (FILE, f"{FILE}-wal"):
            with open(tmp_path / name, "r+b") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(0)
                file.write(b"\xa5" * length)
        history.record_death(death(300), COUNTED)
        history.sync()
        assert "damaged" in history.problem()
        clock.retry()
        history.sync()
        assert total(history) == 301
        assert history.problem() == ""
    assert list(tmp_path.glob("*.damaged-*"))
    with opened(tmp_path, clock) as history:
        assert total(history) == 301
        assert not history.deaths()  # they are in the file that was set aside


def test_a_directory_that_was_deleted(tmp_path: Path, clock: Clock) -> None:
    """It is made again, and taken again."""
    folder = tmp_path / "state"
    with opened(folder, clock) as history:
        history.record_death(death(1), COUNTED)
        shutil.rmtree(folder)
        history.sync()
        assert history.problem() == ""
        with pytest.raises(AlreadyRunning):
            History.open(str(folder))
    with opened(folder, clock) as history:
        assert total(history) == 1


def test_a_file_that_was_deleted(tmp_path: Path, clock: Clock) -> None:
    """Somebody cleaned up: within a second it is there again, with all counters."""
    with opened(tmp_path, clock) as history:
        history.record_death(death(1), COUNTED)
        for path in tmp_path.glob(f"{FILE}*"):
            path.unlink()
        history.sync()
        history.record_death(death(2), COUNTED)
        assert history.problem() == ""
    with opened(tmp_path, clock) as history:
        assert total(history) == 2
        assert history.pairs() == {("eva", "python3")}


@as_root
def test_a_full_disk(disk: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What comes meanwhile is kept in memory, shown, and written when there is room again."""
    caplog.set_level("INFO")
    with opened(disk, clock) as history:
        history.record_death(death(0), COUNTED)
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        for number in range(1, 200):
            assert history.record_death(death(number, because="x" * 900), COUNTED)
        assert not history.record_death(death(7), COUNTED)
        assert "full" in history.problem()
        assert total(history) == 200
        assert len(history.deaths(1000)) == 200
        clock.retry()
        history.sync()
        assert "full" in history.problem()
        ballast.unlink()
        clock.retry()
        history.sync()
        assert history.problem() == ""
        assert [r.message for r in caplog.records] == [
            "history is not written",
            "history is written again",
        ]
    with opened(disk, clock) as history:
        assert total(history) == 200
        assert len(history.deaths(1000)) == 200


@as_root
def test_a_disk_that_is_full_from_the_start(disk: Path, clock: Clock) -> None:
    """Not even the file can be made."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with opened(disk, clock) as history:
        history.record_death(death(1), COUNTED)
        assert "memory only" in history.problem()
        assert history.deaths() == [death(1)]
        ballast.unlink()
        clock.retry()
        history.sync()
        assert history.problem() == ""
    with opened(disk, clock) as history:
        assert total(history) == 1


@as_root
def test_a_read_only_disk(disk: Path, clock: Clock) -> None:
    """What it holds counts from the start; what comes is added to it when it can be written."""
    with opened(disk, clock) as history:
        history.record_death(death(1), COUNTED)
    remount = ["mount", "-o", "remount,{}", "test", str(disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    with opened(disk, clock) as history:
        assert "Read-only file system" in history.problem()
        assert total(history) == 1
        assert not history.record_death(death(1), COUNTED)
        assert history.record_death(death(2), COUNTED)
        assert history.deaths() == [death(2), death(1)]
        subprocess.run([word.format("rw") for word in remount], check=True)
        history.sync()
        assert history.problem()
        clock.retry()
        history.sync()
        assert history.problem() == ""
        assert total(history) == 2
    with opened(disk, clock) as history:
        assert total(history) == 2


@as_root
def test_a_directory_of_another_user(tmp_path: Path, clock: Clock) -> None:
    """It is not used, for its owner could put anything there; once it is ours, it is."""
    os.chown(tmp_path, 65534, 65534)
    with opened(tmp_path, clock) as history:
        history.record_death(death(1), COUNTED)
        assert "another user's" in history.problem()
        assert list(tmp_path.iterdir()) == []
        os.chown(tmp_path, 0, 0)
        clock.retry()
        history.sync()
        assert history.problem() == ""
    with opened(tmp_path, clock) as history:
        assert total(history) == 1


def test_a_file_in_place_of_the_directory(tmp_path: Path, clock: Clock) -> None:
    """The daemon starts nevertheless, and says what is wrong."""
    (tmp_path / "state").touch()
    with opened(tmp_path / "state", clock) as history:
        assert history.record_death(death(1), COUNTED)
        assert "memory only" in history.problem()


def test_taken_by_another_meanwhile(tmp_path: Path, clock: Clock) -> None:
    """Who could not lock the directory at first does not write beside one who could."""
    folder = tmp_path / "state"
    folder.touch()
    with opened(folder, clock) as late:
        late.record_death(death(1), COUNTED)
        folder.unlink()
        with opened(folder, clock) as owner:
            clock.retry()
            late.sync()
            assert "another daemon" in late.problem()
            owner.record_death(death(2), COUNTED)
        clock.retry()
        late.sync()
        assert late.problem() == ""
        assert total(late) == 2


def test_readers_do_not_hold_up_a_death(tmp_path: Path) -> None:
    """Ten thousand deaths are read again and again while others are recorded."""
    with opened(tmp_path) as history:
        for number in range(2000):
            history.record_death(death(number, evidence={"text": "x" * 300}), COUNTED)
        stop = threading.Event()
        lengths: list[int] = []

        def read() -> None:
            while not stop.is_set():
                lengths.append(len(history.deaths(10_000)))

        thread = threading.Thread(target=read)
        thread.start()
        times = []
        for number in range(2000, 2100):
            begun = time.perf_counter()
            history.record_death(death(number), COUNTED)
            times.append(time.perf_counter() - begun)
        stop.set()
        thread.join()
    assert lengths
    assert sorted(times)[50] < 0.02


def test_a_storm(tmp_path: Path) -> None:
    """A thousand deaths from four threads, each recorded by two: all counted, none twice."""
    with opened(tmp_path) as history:
        rows: list[DeathRow] = [death(number) for number in range(1000)]
        new: list[bool] = []

        def pour(turn: int) -> None:
            for row in rows[:: 1 if turn % 2 else -1]:
                again = history.record_death(row, COUNTED)
                new.append(again)

        begun = time.perf_counter()
        threads = [threading.Thread(target=pour, args=(turn,)) for turn in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            history.sync()
        for thread in threads:
            thread.join()
        assert time.perf_counter() - begun < 10
        assert sum(new) == 1000
        assert total(history) == 1000
    with opened(tmp_path) as history:
        assert total(history) == len(history.deaths(5000)) == 1000
