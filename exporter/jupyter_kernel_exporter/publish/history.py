"""Deaths and counters that last, over restarts and crashes of the daemon.

What is recorded counts at once, and is safe from the end of this process when the call returns.
Where the disk does not let it, it is kept in memory and written later: nothing is counted twice
for that, and nothing less.
"""

import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from jupyter_kernel_exporter.publish.deathrow import (
    CounterKey,
    DeathRow,
    Identity,
    clean,
    counter_key,
)
from jupyter_kernel_exporter.publish.ledger import Ledger
from jupyter_kernel_exporter.publish.store import (
    FILE,
    DamagedError,
    FullError,
    Store,
    StoreError,
    move_aside,
)

log = logging.getLogger(__name__)

LOCK = "lock"
RETRY_SECONDS = 5.0
"""Between two attempts to write to a disk that refused."""
FILTERS = frozenset({"kernel_id", "username", "kernel_name", "reason"})


class AlreadyRunning(Exception):  # noqa: N818  # it is no error of ours
    """Another daemon uses the state directory."""

    def __init__(self, state_dir: str, pid: int | None) -> None:
        who = "another daemon" if pid is None else f"another daemon (pid {pid})"
        super().__init__(f"{who} uses the state directory {state_dir}")
        self.pid = pid


class History:
    """What is remembered. Any thread may call any method."""

    def __init__(self, state_dir: str, clock: Callable[[], float], notebook: str) -> None:
        self.notebook = notebook
        """How much may be seen of the notebooks that were written down: path, basename, none."""
        self._dir = state_dir
        self._clock = clock
        self._mutex = threading.Lock()
        """Guards all below."""
        self._ledger = Ledger()
        self._store: Store | None = None
        self._loaded = False
        """Whether the counters hold what the file held."""
        self._damaged = False
        """Whether SQLite found the file damaged while it was open."""
        self._lock_file = -1
        self._retry_at = 0.0
        self._problem = ""
        self._left_at: float | None = None
        self._unsynced = False
        """Whether something was committed that a crash of the machine could take."""

    @classmethod
    def open(
        cls,
        state_dir: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        notebook: str = "path",
    ) -> "History":
        """Take possession of a state directory, and make it if need be.

        What an earlier daemon wrote down of notebooks is reduced to ``notebook`` when it is read.
        Raises :exc:`AlreadyRunning`. Every other trouble is no reason not to start: it is told by
        :meth:`problem`, and what is recorded stays in memory until the trouble is over.
        """
        history = cls(state_dir, clock, notebook)
        history._open()
        return history

    def record_death(
        self, row: DeathRow, counters: Iterable[tuple[str, Mapping[str, str]]] = ()
    ) -> bool:
        """Remember a death and let each of some counters go up by one.

        ``False``, and nothing changed, if this process's death was recorded before.
        """
        gains = [(counter_key(name, labels), 1.0) for name, labels in counters]
        with self._mutex:
            new = self._ledger.record(row, gains)
            self._ledger.see(clean(row.username), clean(row.kernel_name))
            self._save()
        return new

    def add(self, counter: str, labels: Mapping[str, str], n: float = 1.0) -> None:
        """Let a counter go up; by 0 it begins to exist."""
        with self._mutex:
            self._ledger.gain(counter_key(counter, labels), n)
            self._save()

    def see(self, username: str, kernel_name: str) -> None:
        """Remember that a user has had a kernel of this name."""
        with self._mutex:
            self._ledger.see(clean(username), clean(kernel_name))
            self._save()

    def remember(self, alive: Mapping[Identity, str]) -> None:
        """Remember who is alive, with what the next daemon has to know of each; JSON.

        Whoever's death is recorded is not alive any more, from the same moment on.
        """
        with self._mutex:
            self._ledger.remember(alive)
            self._save()

    def remembered(self) -> dict[Identity, str]:
        """Who is alive; until this daemon has said so, who was when the last one did."""
        with self._mutex:
            return self._ledger.alive

    @property
    def left_at(self) -> float | None:
        """Last sign of life of the daemon before, seconds since the epoch; ``None``: unknown."""
        return self._left_at

    def counters(self) -> dict[CounterKey, float]:
        """All counters."""
        with self._mutex:
            return self._ledger.counters()

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Every (username, kernel_name) that was ever seen."""
        with self._mutex:
            return self._ledger.pairs

    def deaths(self, limit: int = 100, *, since: float = 0.0, **filters: str) -> list[DeathRow]:
        """The last deaths, newest first; ``filters`` by kernel_id, username, kernel_name, reason.

        ``since`` is seconds since the epoch. Where the file cannot be read, those in memory.
        """
        if unknown := filters.keys() - FILTERS:
            raise ValueError(f"no such filter: {', '.join(sorted(unknown))}")
        with self._mutex:
            store = self._store
            unsaved = self._ledger.unsaved_deaths
        found = [
            row
            for row in reversed(unsaved)
            if row.ended_at >= since
            and all(getattr(row, name) == value for name, value in filters.items())
        ]
        if store is not None:
            try:
                # Without the mutex: a death must not wait for somebody who reads.
                found += store.read(limit, filters, since)
            except StoreError as error:
                self._failed(store, error)
        unique = {row.process: row for row in found}
        return sorted(unique.values(), key=lambda row: row.ended_at, reverse=True)[:limit]

    def problem(self) -> str:
        """Why nothing lasts just now, in one sentence; empty if it does."""
        with self._mutex:
            return self._problem

    def sync(self) -> None:
        """Try again what failed, and make what is written safe from a crash of the machine.

        To be called about once a second, by a thread that may wait for the disk.
        """
        with self._mutex:
            if self._store is not None and self._store.writable and self._store.moved():
                self._give_up_store()
                self._retry_at = 0.0
            self._give_sign_of_life()
            self._save()
            store = self._store
            if store is None or not self._unsynced:
                return
            self._unsynced = False
        try:
            store.checkpoint()
        except StoreError as error:
            self._failed(store, error)

    def close(self) -> None:
        """Write what can be written, and let go of the directory."""
        with self._mutex:
            self._retry_at = 0.0
            self._save()
            self._give_up_store()
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1

    def _open(self) -> None:
        with self._mutex:
            try:
                self._take_directory()
            except (StoreError, OSError) as error:
                self._trouble(error)
            self._save()

    def _save(self) -> None:
        """Write what is not on disk yet, unless the disk refused just now."""
        healthy = self._store is not None and self._store.writable
        if self._problem:
            if self._clock() < self._retry_at:
                return
        elif healthy and not self._ledger.unsaved:
            return
        try:
            store = self._store if self._store and healthy else self._open_store()
            if self._ledger.unsaved:
                store.write(self._ledger.batch())
                self._ledger.saved()
                self._unsynced = True
        except (StoreError, OSError, AlreadyRunning) as error:
            self._trouble(error)
        else:
            self._no_trouble()

    def _open_store(self) -> Store:
        self._take_directory()
        self._give_up_store()
        path = os.path.join(self._dir, FILE)
        if self._damaged:
            self._set_aside(path)
        try:
            self._store = Store(path, notebook=self.notebook)
        except DamagedError:
            self._set_aside(path)
            self._store = Store(path, notebook=self.notebook)
        self._ledger.merge(self._store.load())
        self._loaded = True
        return self._store

    def _set_aside(self, path: str) -> None:
        """Keep a damaged file for people to look into, and make room for a new one."""
        log.warning("history was damaged and is begun anew", extra={"file": move_aside(path)})
        self._damaged = False

    def _read_at_least(self) -> None:
        """On a disk that cannot be written, what it holds counts nevertheless."""
        path = os.path.join(self._dir, FILE)
        if self._store is not None or self._damaged or not os.path.exists(path):
            return
        try:
            self._store = Store(path, writable=False, notebook=self.notebook)
            if not self._loaded:
                self._ledger.merge(self._store.load())
                self._loaded = True
        except StoreError as error:
            log.warning("history cannot be read", extra={"problem": str(error)})

    def _give_up_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _give_sign_of_life(self) -> None:
        """So that the next daemon knows until when this one was there."""
        if self._lock_file >= 0 and not self._problem:
            try:
                os.utime(self._lock_file)
            except OSError as error:
                self._trouble(error)

    def _take_directory(self) -> None:
        """Lock the directory, for as long as this process lives."""
        _make_private(self._dir)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(os.path.join(self._dir, LOCK), flags, 0o600)
        if self._lock_file >= 0:
            if os.path.sameopenfile(descriptor, self._lock_file):
                os.close(descriptor)
                return
            os.close(self._lock_file)  # the directory was deleted with what was in it
            self._lock_file = -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(descriptor, 20, 0)
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise
            raise AlreadyRunning(self._dir, int(pid) if pid.isdigit() else None) from None
        self._lock_file = descriptor
        found = os.fstat(descriptor)
        if found.st_size and self._left_at is None:
            self._left_at = found.st_mtime
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d" % os.getpid(), 0)
        except OSError as error:  # the lock holds without a name on it
            log.warning("no pid in the lock file", extra={"problem": str(error)})

    def _failed(self, store: Store, error: StoreError) -> None:
        """A store that is used without the mutex failed; another thread may have replaced it."""
        with self._mutex:
            if self._store is store:
                self._unsynced = True
                self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        # A disk that is full leaves an open file as it was.
        if not isinstance(error, FullError) or self._store is None:
            self._give_up_store()
            self._damaged = isinstance(error, DamagedError)
            self._read_at_least()
        self._retry_at = self._clock() + RETRY_SECONDS
        problem = f"deaths and counters are kept in memory only: {error}"
        if problem != self._problem:
            log.warning("history is not written", extra={"problem": str(error)})
        self._problem = problem

    def _no_trouble(self) -> None:
        if self._problem:
            log.info("history is written again")
        self._problem = ""


def _make_private(directory: str) -> None:
    """See to it that the directory is there, and that nobody else can change what is in it."""
    os.makedirs(directory, 0o700, exist_ok=True)
    found = os.stat(directory)
    if found.st_uid == os.geteuid():
        if found.st_mode & 0o077:
            os.chmod(directory, 0o700)
    elif found.st_uid or found.st_mode & stat.S_IWOTH:
        raise StoreError(f"{directory} is another user's")
