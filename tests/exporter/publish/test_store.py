"""The SQLite file of the history."""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from jupyter_kernel_exporter.publish.deathrow import CounterKey, Identity, counter_key
from jupyter_kernel_exporter.publish.store import (
    COLUMNS,
    DEATHS_KEPT,
    SCHEMA,
    Batch,
    DamagedError,
    Store,
    StoreError,
    move_aside,
    parse_row,
    row_values,
)
from support.deathrows import death

KEY = counter_key("deaths_total", {"reason": "killed"})
FULL_ROW = death(
    1,
    status="SIGKILL",
    started_at=978_000_000.5,
    notebook="päper.ipynb",
    server=":8888",
    container="0123456789ab",
    last_rss_bytes=1 << 40,
    last_limit_bytes=2**63 - 1,
    evidence={"oom": [{"pid": 3, "host": False}], "gap": 0.25, "none": None},
    missing=("kmsg", "iopub"),
    certain=False,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is."""
    return str(tmp_path / "a #1?100%.sqlite3")


def batch(sequence: int, *numbers: int, **gained: float) -> Batch:
    """A batch of deaths and counters."""
    rows = [row_values(death(number)) for number in numbers]
    return Batch(sequence, rows, {counter_key(n, {}): v for n, v in gained.items()}, [])


def test_a_row_survives() -> None:
    """Every field, with its type."""
    assert parse_row(row_values(FULL_ROW)) == FULL_ROW
    assert parse_row(row_values(death(2))) == death(2)
    assert len(row_values(FULL_ROW)) == len(COLUMNS)


def test_a_path_that_is_no_utf8_can_be_stored(path: str) -> None:
    """As linux allows it for files."""
    with contextlib.closing(Store(path)) as store:
        row = row_values(death(1, notebook=os.fsdecode(b"caf\xe9"), evidence={"f": "\udce9"}))
        store.write(Batch(1, [row], {}, []))
        [found] = store.read(1, {}, 0)
    assert found.notebook == "caf\\udce9"
    assert found.evidence == {"f": "\udce9"}


def test_what_is_written_is_loaded(path: str) -> None:
    """By the next one who opens the file."""
    with contextlib.closing(Store(path)) as store:
        assert store.load().sequence == 0
        store.write(Batch(1, [row_values(FULL_ROW)], {KEY: 1}, [("eva", "ir")]))
        store.write(Batch(2, [row_values(death(7))], {KEY: 2, counter_key("n", {}): 0}, []))
    with contextlib.closing(Store(path)) as store:
        loaded = store.load()
        assert loaded.sequence == 2
        assert loaded.counters == {KEY: 3, CounterKey("n", ()): 0}
        assert loaded.pairs == {("eva", "ir")}
        assert loaded.identities == (Identity("boot-1", 1001, 1), Identity("boot-1", 1007, 7))
        assert store.read(10, {}, 0) == [death(7), FULL_ROW]
        assert store.read(10, {"username": "eva", "reason": "segfault"}, 0)[0] == death(7)
        assert store.read(10, {"username": "bob"}, 0) == []
        assert store.read(1, {}, 0) == [death(7)]
        assert store.read(10, {}, death(7).ended_at + 1) == []


def test_who_is_alive(path: str) -> None:
    """Comes, changes and goes with the deaths of one transaction."""
    one, two = death(1).process, death(2).process
    with contextlib.closing(Store(path)) as store:
        store.write(Batch(1, [], {}, [], {one: "a", two: "b"}))
        store.write(Batch(2, [row_values(death(2))], {}, [], {one: "c"}, [two]))
        assert store.load().alive == {one: "c"}


def test_only_the_last_deaths_are_kept(path: str) -> None:
    """Ten thousand of them."""
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, *range(DEATHS_KEPT)))
        store.write(batch(2, *range(DEATHS_KEPT, DEATHS_KEPT + 20)))
        identities = store.load().identities
    assert len(identities) == DEATHS_KEPT
    assert identities[0].start_ticks == 20


def test_a_batch_is_written_whole_or_not_at_all(path: str) -> None:
    """A row that cannot be stored takes the counters with it."""
    with contextlib.closing(Store(path)) as store:
        good = row_values(death(1))
        bad = (None, *row_values(death(2))[1:])
        store.write(batch(1, n=1.0))
        with pytest.raises(StoreError):
            store.write(Batch(2, [good, bad], {counter_key("n", {}): 1.0}, []))
        loaded = store.load()
    assert loaded.identities == ()
    assert loaded.counters == {counter_key("n", {}): 1}


def test_nobody_else_may_read(path: str) -> None:
    """Neither the file nor what SQLite puts beside it, even if it was open before."""
    Path(path).touch(0o644)
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, 1))
        for name in os.listdir(os.path.dirname(path)):
            mode = os.stat(os.path.join(os.path.dirname(path), name)).st_mode
            assert stat.S_IMODE(mode) == 0o600, name
        assert os.path.exists(path + "-wal")


def test_what_is_no_database(path: str) -> None:
    """It is told as damaged, and is not touched."""
    content = b"not a database, and long enough for a header" * 9
    Path(path).write_bytes(content)
    with pytest.raises(DamagedError):
        Store(path)
    assert Path(path).read_bytes() == content


def test_a_damaged_database(path: str) -> None:
    """Pages that were overwritten are found when it is opened."""
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, *range(500)))
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * 4096 * 20)
    with pytest.raises(DamagedError):
        Store(path)


def test_another_version(path: str) -> None:
    """A file of the future is left alone."""
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(SCHEMA) + 1}")
    with pytest.raises(StoreError, match="a newer version"):
        Store(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(StoreError, match="an older version"):
        Store(path, writable=False)


def test_a_migration_is_done_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the version before gets what is new, and keeps what it had."""
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, 1, n=3.0))
    newer = (*SCHEMA, ("ALTER TABLE deaths ADD COLUMN colour TEXT",))
    monkeypatch.setattr("jupyter_kernel_exporter.publish.store.SCHEMA", newer)
    for _ in range(2):
        with contextlib.closing(Store(path)) as store:
            assert store.load().counters == {counter_key("n", {}): 3}
            assert store.read(9, {}, 0) == [death(1)]


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file to another user")
def test_another_users_file(path: str) -> None:
    """It may hold anything, and is not used."""
    Store(path).close()
    os.chown(path, 65534, 65534)
    with pytest.raises(StoreError, match="no file of this user's"):
        Store(path)


def test_a_link_in_place_of_the_file(path: str, tmp_path: Path) -> None:
    """It is not followed."""
    Store(str(tmp_path / "elsewhere")).close()
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(StoreError, match="no file of this user's"):
        Store(path)


def test_read_only(path: str) -> None:
    """What a file holds can be had without writing, whether its log was folded in or not."""
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, 1, n=1.0))
        with contextlib.closing(Store(path, writable=False)) as reader:
            assert reader.load().counters == {counter_key("n", {}): 1}
    assert not os.path.exists(path + "-wal")
    with contextlib.closing(Store(path, writable=False)) as reader:
        assert reader.load().sequence == 1
        assert reader.read(9, {}, 0) == [death(1)]
        with pytest.raises(StoreError):
            reader.write(batch(2, 2))
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


@pytest.mark.parametrize(
    ("mode", "seen"), [("path", "/home/a/x.ipynb"), ("basename", "x.ipynb"), ("none", "")]
)
def test_notebooks_are_reduced(path: str, mode: str, seen: str) -> None:
    """As it is wanted now, whatever was wanted when they were written down."""
    with contextlib.closing(Store(path)) as store:
        rows = [row_values(death(1, notebook="/home/a/x.ipynb"))]
        store.write(Batch(1, rows, {}, []))
    for writable in (True, False):
        with contextlib.closing(Store(path, writable=writable, notebook=mode)) as store:
            (found,) = store.read(9, {}, 0)
        assert found == death(1, notebook=seen)


def test_checkpoint(path: str) -> None:
    """Afterwards the file alone holds everything."""
    with contextlib.closing(Store(path)) as store:
        store.write(batch(1, *range(50)))
        store.checkpoint()
        copy = path + ".copy"
        Path(copy).write_bytes(Path(path).read_bytes())
        with contextlib.closing(Store(copy)) as other:
            assert len(other.load().identities) == 50


def test_move_aside(path: str) -> None:
    """The file keeps its content under another name."""
    Path(path).write_bytes(b"damaged")
    Path(path + "-wal").write_bytes(b"log")
    aside = move_aside(path)
    assert Path(aside).read_bytes() == b"damaged"
    assert Path(aside + "-wal").read_bytes() == b"log"
    assert not os.path.exists(path)
