"""An Iopub whose events are waited for, for tests."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from jupyter_kernel_exporter.deaths.heard import Event, Heard
from jupyter_kernel_exporter.deaths.iopub import Iopub

T = TypeVar("T", bound=Event)


class Listening(Iopub):
    """An Iopub with its events in a queue."""

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        super().__init__(self.events.put)

    def next(self, kind: type[T], within: float = 10) -> T:
        """The next event of a kind; the ones before it are passed over."""
        while not isinstance(event := self.events.get(timeout=within), kind):
            pass
        return event

    def heard(self, kernel_id: str = "k") -> Heard:
        """The facts of a kernel that is watched."""
        facts = self.facts(kernel_id)
        assert facts is not None
        return facts

    def heard_when(self, look: Callable[[Heard], bool], within: float = 10) -> Heard:
        """The facts as soon as they are so."""
        deadline = time.monotonic() + within
        while not look(facts := self.heard()):
            assert time.monotonic() < deadline, facts
            time.sleep(0.01)
        return facts

    def problem_with(self, sentence: str, within: float = 10) -> str:
        """The problem as soon as it holds a sentence."""
        deadline = time.monotonic() + within
        while sentence not in (problem := self.problem()):
            assert time.monotonic() < deadline, problem
            time.sleep(0.01)
        return problem


@contextlib.contextmanager
def listening() -> Iterator[Listening]:
    """A listening Iopub; its thread is gone afterwards."""
    before = threading.active_count()
    iopub = Listening()
    iopub.start()
    try:
        yield iopub
    finally:
        iopub.stop()
    assert threading.active_count() == before
