"""An end is noticed the moment it happens, by whichever source works here.

One thread waits for three things at once: linux' log, which names the victims of the OOM killer
some 30 ms before they end; process events, which bear the wait status; and a pidfd for each
process that is followed, which becomes readable when its last thread has ended. What it takes from
a zombie it takes at once, for the zombie may be gone a moment later. Without process events the
status comes from the zombie, or from the pidfd after the reap; without pidfds the scans of the
process table tell what is gone.

The thread decides nothing. It notes what it saw, and wakes whoever asked to be woken.
"""

import contextlib
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.deaths import newborn
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.linux import pidfd, zombie
from jupyter_kernel_exporter.linux.kmsg import Kmsg
from jupyter_kernel_exporter.linux.oomlog import OomKill, OomLog
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.procevents import ProcEvents
from jupyter_kernel_exporter.linux.procmessage import Exec, Exit
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sources import Unavailable

NOTED_MAX = 100_000
"""What may pile up while nobody asks: a storm of ends must not take all memory."""
LOOKS_PER_SECOND = 1000
"""New programs whose command line is read, 20 µs each. A machine that starts more of them has to
wait for the next scan."""
NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
NEWBORN_SECONDS = 5.0
"""How long a new process is followed until somebody asks for it: some scans."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process that was followed."""

    process: ProcessId
    at: float
    """Seconds of CLOCK_MONOTONIC."""
    exact: bool
    """Whether ``at`` is the moment itself, not that of a later scan."""
    status: WaitStatus | None = None
    pending_signals: frozenset[int] | None = None
    parent: int | None = None
    """Its parent at its end; ``None`` if it was taken away before anybody looked."""


class Noted(NamedTuple):
    """What was seen since the last time somebody asked."""

    ended: list[Ended]
    newborn: list[Newborn]
    """They may be gone again."""
    oom_kills: list[OomKill]
    gap: bool
    """Process events or records of the log were lost, or more came than could be looked at."""


@dataclass(slots=True, eq=False)
class _Followed:
    process: ProcessId
    fd: int | None
    told: tuple[WaitStatus, float] | None = None
    """What a process event said of the thread that ended last."""
    over: bool = False
    keep_until: float = 0.0
    """A new process that nobody has asked for yet."""


@dataclass(slots=True)
class Watch:
    """Follows processes to their end. ``follow``, ``take`` and the rest are for any one thread."""

    procfs: str
    wake: Callable[[], None]
    events: ProcEvents | None = None
    kmsg: Kmsg | None = None
    pidfds: bool = True
    clock: Callable[[], float] = time.monotonic
    problem: str = field(default="", init=False)
    """Why the thread stopped to hear process events, if it did."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _followed: dict[int, _Followed] = field(default_factory=dict, init=False)
    _by_fd: dict[int, _Followed] = field(default_factory=dict, init=False)
    _ended: deque[Ended] = field(default_factory=lambda: deque(maxlen=NOTED_MAX), init=False)
    _newborn: deque[Newborn] = field(default_factory=lambda: deque(maxlen=NOTED_MAX), init=False)
    _oom_kills: deque[OomKill] = field(default_factory=lambda: deque(maxlen=NOTED_MAX), init=False)
    _gap: bool = field(default=False, init=False)
    _rests: bool = field(default=False, init=False)
    _moved: bool = field(default=True, init=False)
    """Whether linux has told of processes since somebody asked."""
    _looks: tuple[int, int] = field(default=(0, 0), init=False)
    """A second of the clock, and how many command lines were read in it."""
    _oom_log: OomLog = field(default_factory=OomLog, init=False)
    _epoll: select.epoll = field(default_factory=select.epoll, init=False)
    _stop: int = field(default_factory=lambda: os.eventfd(0, os.EFD_CLOEXEC), init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to wait."""
        self._epoll.register(self._stop, select.EPOLLIN)
        for source in (self.kmsg, self.events):
            if source is not None:
                self._epoll.register(source, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait no more, and close everything."""
        os.eventfd_write(self._stop, 1)
        if self._thread is not None:
            self._thread.join()
        for followed in list(self._followed.values()):
            self._drop(followed)
        for source in (self.kmsg, self.events):
            if source is not None:
                source.close()
        self._epoll.close()
        os.close(self._stop)

    def follow(self, processes: Collection[ProcessId]) -> None:
        """Follow these processes, and no others any more but those just born.

        One that has ended already is noted as such.
        """
        wanted = {process.pid: process for process in processes}
        now = self.clock()
        with self._lock:
            for pid, followed in list(self._followed.items()):
                if wanted.get(pid) == followed.process:
                    followed.keep_until = 0.0
                elif followed.keep_until < now:
                    self._drop(followed)
            for pid, process in wanted.items():
                if pid not in self._followed:
                    self._pick_up(process)
            for followed in self._followed.values():
                if followed.fd is None and not followed.over and self._is_zombie(followed.process):
                    self._note_end(followed, exact=False)
            self._rests = all(
                f.fd is not None and not f.keep_until for f in self._followed.values()
            )

    def still(self) -> bool:
        """Whether no process has come, gone or changed its program since the last call.

        Known where linux tells of all of them, and has lost nothing of what it tells.
        """
        with self._lock:
            moved, self._moved = self._moved, False
            return self.events is not None and not moved

    @property
    def rests(self) -> bool:
        """Whether to ``follow`` the same processes again would change nothing."""
        with self._lock:
            return self._rests

    def gone(self, processes: Iterable[ProcessId]) -> None:
        """A scan found these missing: note those of which no other source has told."""
        with self._lock:
            for process in processes:
                followed = self._followed.get(process.pid)
                if followed is not None and followed.process == process and not followed.over:
                    self._note_end(followed, exact=False)

    def take(self) -> Noted:
        """What was noted since the last call."""
        with self._lock:
            noted = Noted(list(self._ended), list(self._newborn), list(self._oom_kills), self._gap)
            for queue in (self._ended, self._newborn, self._oom_kills):
                queue.clear()
            self._gap = False
            return noted

    @property
    def is_alive(self) -> bool:
        """Whether the thread still waits; if not, ends are found by scans."""
        return self._thread is not None and self._thread.is_alive()

    def status_of(self, process: ProcessId) -> WaitStatus | None:
        """The wait status of a followed process that has been reaped (linux 6.15)."""
        with self._lock:
            followed = self._followed.get(process.pid)
            if followed is None or followed.process != process or followed.fd is None:
                return None
            return pidfd.read_exit_status(followed.fd)

    def _pick_up(self, process: ProcessId, keep_until: float = 0.0) -> None:
        followed = _Followed(process, None, keep_until=keep_until)
        self._followed[process.pid] = followed
        self._rests = False
        if not self.pidfds:
            return
        try:
            followed.fd = fd = pidfd.open_process(self.procfs, process)
        except OSError as error:
            if error.errno not in NO_DESCRIPTORS:
                raise
            return  # events and scans tell of its end
        if fd is None:
            self._note_end(followed, exact=False)
            return
        self._by_fd[fd] = followed
        # Level-triggered once: an end is noted once, however long the descriptor stays open.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def _is_zombie(self, process: ProcessId) -> bool:
        remains = zombie.read_remains(self.procfs, process.pid)
        return (
            remains is not None
            and remains.start_ticks == process.start_ticks
            and remains.state in zombie.ENDED
            and remains.threads <= 1
        )

    def _drop(self, followed: _Followed) -> None:
        del self._followed[followed.process.pid]
        if followed.fd is not None:
            del self._by_fd[followed.fd]
            self._epoll.unregister(followed.fd)
            os.close(followed.fd)

    def _run(self) -> None:
        while True:
            ready = [fd for fd, _ in self._epoll.poll()]
            if self._stop in ready:
                return
            with self._lock:
                # In this order: the log names a victim before its end is told.
                noted = self._hear_log()
                noted |= self._hear_events()
                for fd in ready:
                    followed = self._by_fd.get(fd)
                    # Meanwhile the number may have become that of another process' descriptor.
                    if followed is not None and not followed.over and pidfd.has_ended(fd):
                        self._note_end(followed, exact=True)
                        noted = True
            if noted:
                self.wake()

    def _hear_log(self) -> bool:
        if self.kmsg is None:
            return False
        drained = self.kmsg.drain()
        self._gap |= drained.gap
        kills = self._oom_log.read(drained.records)
        self._oom_kills.extend(kills)
        return bool(kills)

    def _hear_events(self) -> bool:
        if self.events is None:
            return False
        try:
            reading = self.events.read()
        except Unavailable as error:
            self.problem = str(error)
            self._epoll.unregister(self.events)
            self.events.close()
            self.events = None
            return False
        self._gap |= reading.gap
        self._moved |= reading.gap or bool(reading.events)
        noted = reading.gap
        for event in reading.events:
            if isinstance(event, Exit):
                noted |= self._hear_exit(event)
            elif isinstance(event, Exec):
                noted |= self._hear_exec(event)
        return noted

    def _hear_exec(self, event: Exec) -> bool:
        second, looks = int(event.at), 0
        if second == self._looks[0]:
            looks = self._looks[1]
        if looks == LOOKS_PER_SECOND:
            self._gap = True
            return False
        self._looks = (second, looks + 1)
        born = newborn.look(self.procfs, event.pid, event.at)
        if born is None:
            return False
        self._newborn.append(born)
        known = self._followed.get(event.pid)
        if known is not None and known.process != born.process:
            self._drop(known)
            known = None
        if known is None:
            self._pick_up(born.process, keep_until=self.clock() + NEWBORN_SECONDS)
        return True

    def _hear_exit(self, event: Exit) -> bool:
        followed = self._followed.get(event.tgid)
        if followed is None or followed.over:
            return False
        with contextlib.suppress(ValueError):  # not the status of an end
            followed.told = (WaitStatus.from_raw(event.wait_status), event.at)
        if followed.fd is not None:
            return False  # its pidfd says when the last thread has gone as well
        remains = zombie.read_remains(self.procfs, event.tgid)
        gone = remains is None or remains.start_ticks != followed.process.start_ticks
        if not gone and not self._is_zombie(followed.process):
            return False  # only one of its threads has ended
        self._note_end(followed, exact=True)
        return True

    def _note_end(self, followed: _Followed, exact: bool) -> None:
        followed.over = True
        process = followed.process
        told, at = followed.told or (None, self.clock())
        status = None
        # Where linux masks it and no event told it, a pidfd tells it after the reap.
        with contextlib.suppress(PermissionError):
            status = zombie.read_exit_status(self.procfs, process)
        stat = read_stat(self.procfs, process.pid)
        same = stat is not None and stat.start_ticks == process.start_ticks
        self._ended.append(
            Ended(
                process=process,
                at=at,
                exact=exact or followed.told is not None,
                status=status or told,
                pending_signals=zombie.read_pending_signals(self.procfs, process),
                parent=stat.ppid if stat is not None and same else None,
            )
        )
