"""Every end is looked into once, whatever order the news come in; and nothing is kept for ever."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from jupyter_kernel_exporter.deaths import inquest as inquests
from jupyter_kernel_exporter.deaths.case import Clocks
from jupyter_kernel_exporter.deaths.inquest import FILE_TURNS, Inquest
from jupyter_kernel_exporter.deaths.newborn import Newborn
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.record import Death, Reason, RestartCause
from jupyter_kernel_exporter.deaths.watch import NEWBORN_SECONDS, Ended, Noted, Watch
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import Kernel, ProcessId, Restarts
from support.procfs import FakeProc

SEGFAULT, FAILED, INTERRUPTED = WaitStatus(None, 11), WaitStatus(1, None), WaitStatus(None, 2)
FILE = "/kernel-1.json"


@dataclass
class StillWatch:
    """A watch that notes nothing by itself; remembers what it was asked."""

    events: object = "there"
    followed: set[ProcessId] = field(default_factory=set)
    missed: list[ProcessId] = field(default_factory=list)

    def follow(self, processes: Collection[ProcessId]) -> None:
        """These from now on."""
        self.followed = set(processes)

    def gone(self, processes: Iterable[ProcessId]) -> None:
        """A scan missed these."""
        self.missed += processes

    def status_of(self, _process: ProcessId) -> WaitStatus | None:
        """Never known later."""
        return None


class Story:
    """One kernel's life in a made-up /proc; times are seconds since boot, on every clock."""

    def __init__(self, folder: Path) -> None:
        self.proc = FakeProc(folder / "proc")
        self.disk = folder / "disk"
        self.disk.mkdir()
        (self.disk / "kernel-1.json").write_text("{}")
        self.watch = StillWatch()
        self.described: list[Newborn] = []
        self.proc.add(10, ["server"], started=1.0)
        self.inquest = Inquest(
            self.proc.root,
            str(self.disk),
            cast(Watch, self.watch),
            OomWatch(lambda _: {}, log_is_heard=True),
            lambda _: None,
            self.describe,
            interval_seconds=1.0,
        )
        self.deaths: list[Death] = []

    def describe(self, born: Newborn) -> Kernel | None:
        """From its connection file."""
        self.described.append(born)
        if born.path != FILE:
            return None
        return Kernel("1", born.process, "eva", connection_file=FILE, ready=False)

    def start(self, pid: int, at: float, **more: Any) -> Kernel:
        """A process of the kernel; nobody has seen it yet."""
        given: dict[str, Any] = {"ppid": 10, "root": str(self.disk)}
        process = self.proc.add(pid, ["python"], started=at, **given | more)
        return Kernel("1", process.id, "eva", connection_file=FILE, ready=True)

    def meet(self, *kernels: Kernel, at: float) -> None:
        """A scan finds these."""
        self.inquest.meet(kernels, self.proc.table, at)
        for _ in range(FILE_TURNS):
            self.inquest.tend(at)

    def note(self, *, born: Iterable[Newborn] = (), ended: Iterable[Ended] = ()) -> None:
        """The watch noted this."""
        noted = Noted(list(ended), list(born), [], gap=False)
        self.inquest.hear(noted, self.proc.table)

    def look(self, at: float) -> list[Death]:
        """Look at the open cases."""
        new = self.inquest.look(Clocks(at, at, at), frozenset())
        self.deaths += new
        return new

    def reasons(self) -> list[Reason]:
        """Of all deaths so far."""
        return [death.verdict.reason for death in self.deaths]

    @property
    def restarts(self) -> Restarts:
        """Of the kernel."""
        return self.inquest.restarts().get("1", Restarts())


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Before anything has happened."""
    return Story(tmp_path)


def born(process: ProcessId, at: float, path: str = FILE) -> Newborn:
    """A new process with the kernel's command line."""
    return Newborn(process, 10, path, 0, at)


def ended(process: ProcessId, at: float, status: WaitStatus | None = SEGFAULT) -> Ended:
    """Its end, noted at once."""
    return Ended(process, at, exact=True, status=status)


def test_a_crash_and_the_restarter(story: Story) -> None:
    """One death, told at once; the restart is counted when its process is there."""
    first = story.start(20, 100.0)
    story.meet(first, at=110.0)
    assert story.watch.followed == {first.process, story.proc.table[10].id}
    story.note(ended=[ended(first.process, 110.5)])
    (death,) = story.look(110.5)
    assert (death.verdict.reason, death.verdict.rule) == (Reason.SEGFAULT, "segfault")
    assert first.process in story.inquest.ended
    assert not story.look(110.6)
    story.proc.remove(20)
    story.meet(story.start(21, 112.02), at=113.0)
    assert story.restarts == Restarts(automatic=1)
    assert story.reasons() == [Reason.SEGFAULT]


def test_a_zombie_that_a_scan_still_finds(story: Story) -> None:
    """It is dead, and stays so."""
    first = story.start(20, 100.0)
    story.meet(first, at=110.0)
    story.note(ended=[ended(first.process, 110.5)])
    story.look(110.5)
    story.meet(first, at=111.0)
    story.note(ended=[ended(first.process, 111.0)])
    story.look(120.0)
    assert story.reasons() == [Reason.SEGFAULT]


def test_what_a_scan_misses_is_asked_for(story: Story) -> None:
    """Where no other source has told."""
    first = story.start(20, 100.0)
    story.meet(first, at=110.0)
    story.proc.remove(20)
    story.meet(at=111.0)
    assert story.watch.missed == [first.process]


def test_a_wrapper_that_was_taken_for_the_kernel(story: Story) -> None:
    """Until the kernel inside of it starts; no death then, and one in the end."""
    shell = story.start(20, 100.0)
    story.meet(shell, at=101.0)
    kernel = story.start(21, 101.5, ppid=20, session=20)
    story.meet(kernel, at=102.0)
    assert [d.kernel.process for d in story.inquest.dossiers] == [kernel.process]
    assert shell.process in story.watch.followed
    assert story.restarts == Restarts()
    story.note(ended=[ended(kernel.process, 110.0), ended(shell.process, 110.01, FAILED)])
    story.look(110.02)
    story.look(130.0)
    assert story.reasons() == [Reason.SEGFAULT]


def test_a_failed_start_that_no_scan_has_seen(story: Story) -> None:
    """Known from the moment of its exec, described from its file, and counted once."""
    process = ProcessId(20, 10_000)
    story.note(born=[born(process, 100.0)])
    story.note(ended=[ended(process, 100.05, FAILED)])
    assert story.look(100.1) == []
    (death,) = story.look(102.0)
    assert death.verdict.reason is Reason.STARTUP_FAILED
    assert death.kernel.process == process
    assert len(story.described) == 1


def test_six_failed_starts(story: Story) -> None:
    """Five restarts by the restarter, who then gives up; described once."""
    for number in range(6):
        start = 100.0 + 3.02 * number
        process = ProcessId(20 + number, int(start * 100))
        story.note(born=[born(process, start)])
        story.note(ended=[ended(process, start + 0.05, FAILED)])
        story.look(start + 1.5)
    assert story.reasons() == [Reason.STARTUP_FAILED] * 6
    assert story.restarts == Restarts(automatic=5)
    assert len(story.described) == 1
    last = 100.0 + 3.02 * 5
    assert list(story.inquest.given_up(Clocks(last + 2, last + 2, last + 2))) == []
    assert list(story.inquest.given_up(Clocks(last + 5, last + 5, last + 5))) == ["1"]
    assert list(story.inquest.given_up(Clocks(last + 6, last + 6, last + 6))) == []


def test_a_process_with_another_file_is_none(story: Story) -> None:
    """It named a file as kernels do, and that was all."""
    process = ProcessId(20, 10_000)
    story.note(born=[born(process, 100.0, "/kernel-other.json")])
    story.note(ended=[ended(process, 100.05, FAILED)])
    story.look(110.0)
    assert story.deaths == []


@pytest.mark.parametrize("order", ["one by one", "all at once", "the scan is first"])
def test_two_restarts_between_two_scans(story: Story, order: str) -> None:
    """The process in the middle lives for 0.1 s. Each end has the next process behind it."""
    first = story.start(20, 100.0)
    story.meet(first, at=105.0)
    middle = ProcessId(21, 10_608)
    first_end = ended(first.process, 106.0, INTERRUPTED)
    middle_end = ended(middle, 106.18, INTERRUPTED)
    story.proc.remove(20)
    last = story.start(22, 106.25)
    births = [born(middle, 106.08), born(last.process, 106.25)]
    if order == "one by one":
        story.note(ended=[first_end])
        story.note(born=births[:1])
        story.note(ended=[middle_end])
        story.note(born=births[1:])
        story.meet(last, at=106.9)
    elif order == "all at once":
        story.note(born=births, ended=[first_end, middle_end])
        story.meet(last, at=106.9)
    else:
        story.meet(last, at=106.3)
        story.note(born=births, ended=[first_end, middle_end])
    story.look(107.5)
    story.look(108.0)
    assert story.reasons() == [Reason.RESTART_REQUESTED] * 2
    gaps = [death.evidence.successor_seconds for death in story.deaths]
    assert gaps == [pytest.approx(0.08), pytest.approx(0.07)]
    assert [death.restart for death in story.deaths] == [RestartCause.REQUESTED] * 2
    assert story.restarts == Restarts(requested=2)


def test_news_of_a_start_that_failed_come_after_the_next_process(story: Story) -> None:
    """The scan was quicker; the next process is known all the same."""
    failed = ProcessId(20, 10_000)
    last = story.start(21, 100.2)
    story.meet(last, at=100.5)
    story.note(
        born=[born(failed, 100.0), born(last.process, 100.2)], ended=[ended(failed, 100.1, FAILED)]
    )
    story.look(101.5)
    (death,) = story.deaths
    assert death.evidence.successor_seconds == pytest.approx(0.1)
    assert story.restarts.requested == 1
    assert [d.kernel.process for d in story.inquest.dossiers] == [last.process]


def test_a_kernel_of_a_server_that_dies_too(story: Story) -> None:
    """The end of the server is known before the verdict."""
    first = story.start(20, 100.0)
    story.meet(first, at=110.0)
    server = story.proc.table[10].id
    story.note(
        ended=[ended(server, 110.0, WaitStatus(None, 9)), ended(first.process, 110.6, FAILED)]
    )
    story.look(110.7)
    assert story.reasons() == [Reason.SERVER_DIED]


def test_scans_are_wanted_while_a_case_is_open(story: Story) -> None:
    """If no events tell of new processes."""
    story.watch.events = None
    first = story.start(20, 100.0)
    story.meet(first, at=110.0)
    assert not story.inquest.wants_scans
    story.note(ended=[ended(first.process, 110.5, WaitStatus(None, 9))])
    story.look(110.6)
    assert story.inquest.wants_scans
    assert story.inquest.open_cases == 1
    story.look(120.0)
    assert not story.inquest.wants_scans


def test_a_new_end_does_not_hurry_the_others(story: Story) -> None:
    """Each open case has its own pace, the slower the more there are: see a storm of ends."""
    judged: list[str] = []

    def hear(kernel_id: str) -> None:
        judged.append(kernel_id)

    story.inquest.hear_iopub = hear
    kernels = []
    for number in range(100):
        process = story.proc.add(100 + number, ["python"], started=100.0, ppid=10).id
        path = str(story.disk / f"kernel-k{number}.json")
        Path(path).write_text("{}")
        kernels.append(Kernel(f"k{number}", process, "eva", connection_file=path, ready=True))
    story.meet(*kernels, at=110.0)
    killed = WaitStatus(None, 9)
    for number, kernel in enumerate(kernels):
        at = 111.0 + number / 1000
        story.note(ended=[ended(kernel.process, at, killed)])
        story.look(at)
    assert story.inquest.open_cases == 100
    assert max(judged.count(kernel.id) for kernel in kernels) <= 5
    patience = story.inquest.patience_seconds(111.099)
    assert patience is not None
    assert 0.0 <= patience < 0.05
    # What starts next for a kernel is looked at without delay.
    judged.clear()
    story.note(born=[born(story.start(300, 111.1).process, 111.1, kernels[-1].connection_file)])
    story.look(111.1)
    assert "k99" in judged


def test_what_is_kept_is_bounded(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which kernels come and go for months."""
    monkeypatch.setattr(inquests, "ENDS_KEPT", 20)
    for number in range(100):
        at = 1000.0 * (number + 1)
        process = story.proc.add(100 + number, ["python"], started=at, ppid=10).id
        kernel = Kernel(f"k{number}", process, "eva", connection_file=f"/kernel-k{number}.json")
        story.meet(kernel, at=at + 10)
        story.note(ended=[ended(process, at + 20)], born=[born(ProcessId(7, number), at, "/x")])
        story.look(at + 20)
        story.proc.remove(100 + number)
        story.meet(at=at + 30)
    assert story.reasons() == [Reason.SEGFAULT] * 100
    inquest = story.inquest
    assert len(inquest._ends) <= 20
    for kept in (inquest._last, inquest._newest, inquest._ids, inquest._courses):
        assert len(kept) <= 1 + inquests.KEPT_SECONDS / 1000
    assert len(inquest._newborn) <= 1
    assert not list(inquest.dossiers)
    story.meet(at=1000.0 * 102 + NEWBORN_SECONDS)
    assert not inquest._newborn
