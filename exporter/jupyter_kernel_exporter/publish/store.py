"""The file in which deaths and counters last: SQLite, one writer, whole transactions.

A commit is safe from the end of this process at once, and from a crash of the machine after the
next :meth:`Store.checkpoint` (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL).
"""

import contextlib
import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_kernel_exporter.privacy import reduce_notebook
from jupyter_kernel_exporter.publish.deathrow import CounterKey, DeathRow, Identity, clean

FILE = "history.sqlite3"
DEATHS_KEPT = 10_000
BUSY_SECONDS = 2.0

SCHEMA: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        """
        CREATE TABLE counters (
            name TEXT, labels TEXT, value REAL NOT NULL, PRIMARY KEY (name, labels)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE pairs (
            username TEXT, kernel_name TEXT, PRIMARY KEY (username, kernel_name)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE deaths (
            id INTEGER PRIMARY KEY,
            boot_id TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL,
            kernel_id TEXT NOT NULL, username TEXT NOT NULL, kernel_name TEXT NOT NULL,
            reason TEXT NOT NULL, rule TEXT NOT NULL, because TEXT NOT NULL,
            certain INTEGER NOT NULL, ended_at REAL NOT NULL, status TEXT, started_at REAL,
            notebook TEXT NOT NULL, server TEXT NOT NULL, container TEXT NOT NULL,
            last_rss_bytes INTEGER, last_limit_bytes INTEGER,
            evidence TEXT NOT NULL, missing TEXT NOT NULL,
            UNIQUE (boot_id, pid, start_ticks)
        )
        """,
        "CREATE INDEX deaths_by_time ON deaths (ended_at)",
    ),
    (
        """
        CREATE TABLE alive (
            boot_id TEXT, pid INTEGER, start_ticks INTEGER, facts TEXT NOT NULL,
            PRIMARY KEY (boot_id, pid, start_ticks)
        ) WITHOUT ROWID
        """,
    ),
)
"""What makes version n + 1 of version n. Entries are only ever added."""

COLUMNS = (
    "boot_id", "pid", "start_ticks", "kernel_id", "username", "kernel_name", "reason", "rule",
    "because", "certain", "ended_at", "status", "started_at", "notebook", "server", "container",
    "last_rss_bytes", "last_limit_bytes", "evidence", "missing",
)  # fmt: skip

FULL = "SQLITE_FULL"
DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


class StoreError(Exception):
    """The file cannot be used just now; the text is one sentence for people."""


class FullError(StoreError):
    """The disk is full; the file is as it was before."""


class DamagedError(StoreError):
    """The file is there and is no history."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the file held when it was opened."""

    sequence: int
    """Number of the last transaction."""
    counters: Mapping[CounterKey, float]
    pairs: frozenset[tuple[str, str]]
    identities: tuple[Identity, ...]
    """Of the deaths, oldest first."""
    alive: Mapping[Identity, str] = field(default_factory=dict)
    """Who was alive when the file was written last, and what is remembered of them; JSON."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes."""

    sequence: int
    rows: Sequence[tuple[Any, ...]]
    """As :func:`row_values` makes them."""
    gained: Mapping[CounterKey, float]
    pairs: Iterable[tuple[str, str]]
    alive: Mapping[Identity, str] = field(default_factory=dict)
    """Who is alive now and was not, or has changed."""
    gone: Iterable[Identity] = ()
    """Who is not alive any more."""


def row_values(row: DeathRow) -> tuple[Any, ...]:
    """A death as values of :data:`COLUMNS`; :exc:`TypeError` for evidence that is no JSON."""
    fields = {name: getattr(row, name) for name in COLUMNS[3:]}
    fields["evidence"] = json.dumps(row.evidence, separators=(",", ":"))
    fields["missing"] = json.dumps(row.missing)
    values = (*row.process, *fields.values())
    return tuple(clean(value) if isinstance(value, str) else value for value in values)


def parse_row(values: Sequence[Any]) -> DeathRow:
    """A death from values of :data:`COLUMNS`."""
    fields = dict(zip(COLUMNS[3:], values[3:], strict=True))
    fields["certain"] = bool(fields["certain"])
    fields["evidence"] = json.loads(fields["evidence"])
    fields["missing"] = tuple(json.loads(fields["missing"]))
    return DeathRow(Identity(*values[:3]), **fields)


class Store:
    """The open file. Not for several threads at once, but for :meth:`read` and ``checkpoint``."""

    def __init__(self, path: str, *, writable: bool = True, notebook: str = "path") -> None:
        """Open the file, and make it if it is to be writable.

        ``notebook`` is how much of a notebook's path may be seen now; more may be written there.
        Raises :exc:`StoreError`, and :exc:`DamagedError` if there is a file that is no history.
        """
        self.path = path
        self.writable = writable
        self.notebook = notebook
        with _sentences():
            if writable:
                _make_private(path)
            self._connection = self._connect("rw" if writable else "ro")
            try:
                if writable:
                    self._prepare()
                self._check()
                self.inode = os.stat(path).st_ino
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close; SQLite folds its log into the file, if the disk lets it."""
        with _sentences():
            self._connection.close()

    def moved(self) -> bool:
        """Whether the file at the path is another one by now, or there is none."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except OSError:  # whoever opens it again will hear why
            return True

    def load(self) -> Loaded:
        """Everything that is kept in memory, too."""
        with _sentences():
            sequence = self._connection.execute("SELECT value FROM meta WHERE key = 'sequence'")
            counters = self._connection.execute("SELECT name, labels, value FROM counters")
            pairs = self._connection.execute("SELECT username, kernel_name FROM pairs")
            identities = self._connection.execute(
                "SELECT boot_id, pid, start_ticks FROM deaths ORDER BY id"
            )
            alive = self._connection.execute("SELECT boot_id, pid, start_ticks, facts FROM alive")
            return Loaded(
                next(sequence, (0,))[0],
                {
                    CounterKey(name, tuple((k, v) for k, v in json.loads(labels))): value
                    for name, labels, value in counters
                },
                frozenset((username, kernel_name) for username, kernel_name in pairs),
                tuple(Identity(*row) for row in identities),
                {Identity(*row): facts for *row, facts in alive},
            )

    def write(self, batch: Batch) -> None:
        """Write all of a batch or nothing."""
        write = self._connection.execute
        with _sentences():
            write("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    f"INSERT INTO deaths ({', '.join(COLUMNS)})"  # noqa: S608
                    f" VALUES ({', '.join('?' * len(COLUMNS))})"
                    " ON CONFLICT (boot_id, pid, start_ticks) DO NOTHING",
                    batch.rows,
                )
                write(
                    "DELETE FROM deaths WHERE id <= (SELECT max(id) FROM deaths) - ?",
                    (DEATHS_KEPT,),
                )
                self._connection.executemany(
                    "INSERT INTO counters VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET value = value + excluded.value",
                    [(k.name, json.dumps(k.labels), n) for k, n in batch.gained.items()],
                )
                self._connection.executemany(
                    "INSERT OR IGNORE INTO pairs VALUES (?, ?)", batch.pairs
                )
                self._connection.executemany(
                    "DELETE FROM alive WHERE boot_id = ? AND pid = ? AND start_ticks = ?",
                    batch.gone,
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO alive VALUES (?, ?, ?, ?)",
                    [(*identity, facts) for identity, facts in batch.alive.items()],
                )
                write("INSERT OR REPLACE INTO meta VALUES ('sequence', ?)", (batch.sequence,))
                write("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    write("ROLLBACK")
                raise

    def read(self, limit: int, conditions: Mapping[str, object], since: float) -> list[DeathRow]:
        """The last deaths, newest first; ``conditions`` are columns and their values."""
        where = " AND ".join(["ended_at >= ?", *(f"{name} = ?" for name in conditions)])
        query = (
            f"SELECT {', '.join(COLUMNS)} FROM deaths WHERE {where}"  # noqa: S608
            " ORDER BY ended_at DESC, id DESC LIMIT ?"
        )
        with _sentences(), contextlib.closing(self._connect("ro")) as reader:
            found = reader.execute(query, (since, *conditions.values(), limit))
            return [self._reduce(parse_row(values)) for values in found]

    def _reduce(self, row: DeathRow) -> DeathRow:
        return replace(row, notebook=reduce_notebook(row.notebook, self.notebook))

    def checkpoint(self) -> None:
        """Make what was committed safe from a crash of the machine; may wait for the disk."""
        with _sentences(), contextlib.closing(self._connect("rw")) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _connect(self, mode: str) -> sqlite3.Connection:
        name = self.path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        # Where nothing can be written, SQLite cannot make the files that readers share. Without
        # a log to be taken in they are not needed.
        alone = not self.writable and not os.path.exists(self.path + "-wal")
        return sqlite3.connect(
            f"file:{name}?mode={mode}{'&immutable=1' if alone else ''}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk, so it is made apart from commits; this is for the case
        # that nobody asks for one.
        run("PRAGMA wal_autocheckpoint = 4000")
        run("PRAGMA journal_size_limit = 1048576")
        for number, statements in enumerate(SCHEMA[self._version() :], self._version() + 1):
            run("BEGIN IMMEDIATE")
            for statement in statements:
                run(statement)
            run(f"PRAGMA user_version = {number}")
            run("COMMIT")

    def _check(self) -> None:
        version = self._version()
        if version != len(SCHEMA):
            age = "a newer" if version > len(SCHEMA) else "an older"
            raise StoreError(f"{self.path} was written by {age} version of this program")
        (verdict,) = next(self._connection.execute("PRAGMA quick_check(1)"))
        if verdict != "ok":
            raise DamagedError(f"damaged: {verdict}")

    def _version(self) -> int:
        (version,) = next(self._connection.execute("PRAGMA user_version"))
        return int(version)


def move_aside(path: str) -> str:
    """Rename a damaged file and what belongs to it, so that it can be looked into; its new name."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, aside + ending)
    return aside


def _make_private(path: str) -> None:
    """See to it that the file is there, is ours, and is nobody else's to read."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise StoreError(f"{path} is no file of this user's")
    if found.st_mode & 0o077:
        os.chmod(path, 0o600)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """Errors of the disk and of SQLite, as :exc:`StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name in DAMAGED:
            raise DamagedError(f"damaged: {error}") from error
        if name == FULL:
            raise FullError(str(error)) from error
        raise StoreError(str(error)) from error
    except (OSError, ValueError) as error:
        raise StoreError(str(error)) from error
