"""The one boundary around everything that is read from outside.

A source is a thing that can be absent, forbidden, broken or stuck: /proc, a cgroup tree, users'
runtime directories, a GPU driver. Here, and nowhere else, an unexpected error is caught, a source
is timed, given a deadline and reported. The rooms just read and raise:

* gone (a process or file vanished between two reads) is normal: the rooms return ``None``;
* :exc:`Unavailable` (no permission, an old linux, nothing mounted) is said once and shown as
  ``jupyter_kernel_exporter_source_up 0``;
* anything else is a fault: logged when it changes, shown the same way, and it costs that one
  source or that one kernel only.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from jupyter_kernel_exporter.model import SourceStatus

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K")


class Unavailable(Exception):  # noqa: N818  # it is no error of ours
    """A source cannot be had on this machine or with these rights; the text says how to get it."""


class _Worker:
    """A thread that does one thing after another; left alone when it is stuck in linux."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        # A daemon thread: one that is stuck for ever must not keep the process from ending.
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
            del future, job  # hold no result while waiting for the next job


@dataclass(slots=True)
class _Record:
    up: bool = True
    duration: float = 0.0
    problem: str = ""
    asked: bool = False
    trouble: str = ""
    """What went wrong first in the tick that is under way."""
    took: float = 0.0
    worker: _Worker | None = None
    running: "Future[Any] | None" = None


@dataclass(slots=True)
class Sources:
    """Runs actions on behalf of named sources, and remembers how each source fared.

    It belongs to the sampling thread. ``begin`` opens a tick, ``end`` closes it and says how all
    sources fared; a source that was not asked in a tick keeps what was last known of it.
    """

    names: Iterable[str]
    clock: Callable[[], float] = time.monotonic
    _records: dict[str, _Record] = field(init=False)

    def __post_init__(self) -> None:
        self._records = {name: _Record() for name in self.names}

    def enabled(self, name: str) -> bool:
        """Whether the source is to be asked at all (``--no-source.NAME`` leaves it out)."""
        return name in self._records

    def begin(self) -> None:
        """Open a tick."""
        for record in self._records.values():
            record.asked = False
            record.trouble = ""
            record.took = 0.0

    def run(self, name: str, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Call ``action`` now and here; ``None`` if it failed, which costs nobody else."""
        record = self._records[name]
        record.asked = True
        started = self.clock()
        try:
            return action(*args, **kwargs)
        except Exception as error:
            self._failed(name, error)
            return None
        finally:
            record.took += self.clock() - started

    def run_each(
        self, name: str, action: Callable[[K], T | None], items: Iterable[K]
    ) -> list[tuple[K, T]]:
        """Call ``action`` with one item after the other, each for itself.

        Gives those items with their results for which it neither failed nor gave ``None``.
        """
        record = self._records[name]
        record.asked = True
        started = self.clock()
        results = []
        for item in items:
            try:
                result = action(item)
            except Exception as error:
                self._failed(name, error)
                continue
            if result is not None:
                results.append((item, result))
        record.took += self.clock() - started
        return results

    def run_within(
        self, deadline: float, name: str, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Call ``action`` in the source's own thread, and wait for ``deadline`` seconds at most.

        ``None`` if it failed or took longer. An action that is late goes on; until it has ended
        the source is not asked again, and its late result is dropped.
        """
        record = self._records[name]
        record.asked = True
        started = self.clock()
        try:
            if record.running is not None and not record.running.done():
                self.report(name, "still stuck in the call that missed its deadline")
                return None
            if record.worker is None:
                record.worker = _Worker(f"source-{name}")
            record.running = record.worker.submit(lambda: action(*args, **kwargs))
            return record.running.result(deadline)  # type: ignore[no-any-return]  # it is a T
        except TimeoutError:
            self.report(name, f"no answer within {deadline:g} s")
            return None
        except Exception as error:
            self._failed(name, error)
            return None
        finally:
            record.took += self.clock() - started

    def report(self, name: str, problem: str) -> None:
        """Note that a source gave less than it should; the first such note of a tick is shown."""
        record = self._records.get(name)
        if record is not None:
            record.asked = True
            record.trouble = record.trouble or problem

    def end(self) -> tuple[SourceStatus, ...]:
        """Close the tick: how every source stands. Changes, and only changes, are logged."""
        for name, record in self._records.items():
            if not record.asked:
                continue
            if record.trouble and record.trouble != record.problem:
                log.warning("source gives less", extra={"source": name, "problem": record.trouble})
            elif record.problem and not record.trouble:
                log.info("source is back", extra={"source": name})
            record.up = not record.trouble
            record.problem = record.trouble
            record.duration = record.took
        return tuple(
            SourceStatus(name, record.up, record.duration, record.problem)
            for name, record in self._records.items()
        )

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, Unavailable):
            self.report(name, str(error))
            return
        problem = f"{type(error).__name__}: {error}"
        if problem != self._records[name].problem:
            log.debug("source failed", extra={"source": name}, exc_info=error)
        self.report(name, problem)
