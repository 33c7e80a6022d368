"""An end is noted once, by whichever source works, and never another process' end."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths import watch as watching
from jupyter_kernel_exporter.deaths.watch import Ended, Noted, Watch
from jupyter_kernel_exporter.linux import pidfd
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.procevents import Reading
from jupyter_kernel_exporter.linux.procmessage import Event, Exec, Exit
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sources import Unavailable
from support.jupyter import wait_until
from support.procfs import FakeProc

SLEEPER = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
KERNEL = ("python3", "-m", "ipykernel_launcher", "-f", "/r/kernel-1.json")
DEADLINE = 20.0


class FakeEvents:
    """Process events that a test makes up; a pipe is what is waited for."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._waiting: list[Event] = []
        self._gap = False
        self._broken = False

    def tell(
        self, events: Sequence[Event] = (), *, gap: bool = False, broken: bool = False
    ) -> None:
        """These come next."""
        self._waiting += events
        self._gap, self._broken = gap, broken
        os.write(self._write, b"x")

    def fileno(self) -> int:
        """For epoll."""
        return self._read

    def read(self) -> Reading:
        """As ProcEvents has it."""
        try:
            os.read(self._read, 100)
        except BlockingIOError:
            return Reading([], gap=False)
        if self._broken:
            raise Unavailable("linux has stopped to send")
        events, self._waiting = self._waiting, []
        return Reading(events, self._gap)

    def close(self) -> None:
        """Hear no more."""
        os.close(self._read)
        os.close(self._write)


class Watched:
    """A watch of a test, and everything that it noted."""

    def __init__(self, procfs: str = "/proc", **more: object) -> None:
        self.woken = threading.Event()
        self.watch = Watch(procfs, self.woken.set, **more)  # type: ignore[arg-type]
        self.noted = Noted([], [], [], gap=False)
        self.watch.start()

    def look(self) -> Noted:
        """Everything up to now."""
        new = self.watch.take()
        self.noted = Noted(
            self.noted.ended + new.ended,
            self.noted.newborn + new.newborn,
            self.noted.oom_kills + new.oom_kills,
            self.noted.gap or new.gap,
        )
        return self.noted

    def ended(self, number: int = 1) -> list[Ended]:
        """The ends, as soon as there are so many."""
        wait_until(lambda: len(self.look().ended) >= number, "the end is noted", within=DEADLINE)
        return self.noted.ended


@pytest.fixture
def stop_all() -> Iterator[list[Watched]]:
    """Watches that are stopped in the end."""
    made: list[Watched] = []
    yield made
    for watched in made:
        watched.watch.stop()


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that somebody may end."""
    with subprocess.Popen(SLEEPER) as process:
        yield process
        process.kill()


def identity(pid: int) -> ProcessId:
    """A live process as the table has it."""
    stat = read_stat("/proc", pid)
    assert stat is not None
    return ProcessId(pid, stat.start_ticks)


@pytest.mark.parametrize("pidfds", [True, False], ids=["pidfd", "scans only"])
def test_an_end_is_noted_once(
    pidfds: bool, stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """With its status, taken from the zombie, and its parent; again looked at, it stays one."""
    stop_all.append(watched := Watched(pidfds=pidfds))
    process = identity(sleeper.pid)
    watched.watch.follow([process])
    assert not watched.look().ended
    sleeper.send_signal(signal.SIGTERM)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    watched.watch.follow([process])
    (ended,) = watched.ended()
    assert (ended.process, ended.status) == (process, WaitStatus(None, signal.SIGTERM))
    assert ended.exact is pidfds
    assert ended.parent == os.getpid()
    assert ended.pending_signals == frozenset({signal.SIGTERM.value})
    sleeper.wait()
    watched.watch.follow([process])
    watched.watch.gone([process])
    assert len(watched.look().ended) == 1
    assert watched.watch.status_of(process) in (
        (None, ended.status) if pidfds else (None,)
    )  # told since linux 6.15


def test_one_that_is_gone_already_is_noted(stop_all: list[Watched]) -> None:
    """Between the scan that found it and the moment in which it is followed."""
    with subprocess.Popen(SLEEPER) as process:
        gone = identity(process.pid)
        process.kill()
    stop_all.append(watched := Watched())
    watched.watch.follow([gone])
    (ended,) = watched.ended()
    assert (ended.process, ended.exact, ended.status) == (gone, False, None)
    assert ended.parent is None
    assert ended.pending_signals is None


def test_a_pid_that_was_given_again(
    stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """The old process has ended; the new one, whose end this is not, is left alone."""
    stop_all.append(watched := Watched())
    old = identity(sleeper.pid)._replace(start_ticks=1)
    watched.watch.follow([old])
    (ended,) = watched.ended()
    assert (ended.process, ended.status, ended.parent) == (old, None, None)
    watched.watch.follow([identity(sleeper.pid)])
    sleeper.kill()
    ended = watched.ended(2)[1]
    assert ended.process == identity(sleeper.pid)
    assert ended.status == WaitStatus(None, signal.SIGKILL)


def test_who_is_not_followed_any_more_is_not_noted(
    stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """A kernel that is forgotten may end in peace."""
    stop_all.append(watched := Watched())
    watched.watch.follow([identity(sleeper.pid)])
    watched.watch.follow([])
    sleeper.kill()
    sleeper.wait()
    watched.watch.gone([identity_of_the_dead := ProcessId(sleeper.pid, 1)])
    assert watched.watch.status_of(identity_of_the_dead) is None
    assert not watched.look().ended


def test_events_bear_the_status_of_who_is_taken_away_at_once(
    stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """No zombie is left to read when a shell fetches the status of its child."""
    events = FakeEvents()
    stop_all.append(watched := Watched(events=events, pidfds=False))
    process = identity(sleeper.pid)
    watched.watch.follow([process])
    sleeper.kill()
    sleeper.wait()
    events.tell([Exit(process.pid, process.pid, signal.SIGKILL, 1234.5)])
    (ended,) = watched.ended()
    assert ended.status == WaitStatus(None, signal.SIGKILL)
    assert (ended.at, ended.exact) == (1234.5, True)


def test_the_end_of_a_thread_is_no_end(
    stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """Every thread's end is told."""
    events = FakeEvents()
    stop_all.append(watched := Watched(events=events, pidfds=False))
    process = identity(sleeper.pid)
    watched.watch.follow([process])
    events.tell([Exit(process.pid + 1, process.pid, 0, 1.0)], gap=True)
    wait_until(lambda: watched.look().gap, "the event is read", within=DEADLINE)
    assert not watched.noted.ended


def test_lost_events_show_as_a_gap(stop_all: list[Watched]) -> None:
    """And somebody is woken, to look for himself."""
    events = FakeEvents()
    stop_all.append(watched := Watched(events=events))
    events.tell(gap=True)
    assert watched.woken.wait(DEADLINE)
    assert watched.look().gap
    assert not watched.watch.take().gap, "each gap is told once"


def test_without_events_it_goes_on(
    stop_all: list[Watched], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """When linux stops to send them, pidfds still tell."""
    events = FakeEvents()
    stop_all.append(watched := Watched(events=events))
    events.tell(broken=True)
    wait_until(lambda: watched.watch.problem, "the problem is told", within=DEADLINE)
    assert watched.watch.events is None
    watched.watch.follow([identity(sleeper.pid)])
    sleeper.kill()
    assert watched.ended()[0].exact
    assert watched.watch.is_alive


def test_a_storm_of_new_programs(stop_all: list[Watched], tmp_path: Path) -> None:
    """So many command lines a second and no more; the rest is left to the next scan."""
    proc = FakeProc(tmp_path / "proc")
    for pid in range(1, watching.LOOKS_PER_SECOND + 2):
        if pid in {watching.LOOKS_PER_SECOND, watching.LOOKS_PER_SECOND + 1}:
            proc.add(pid, KERNEL, environ={"JPY_PARENT_PID": "1"})
    events = FakeEvents()
    stop_all.append(watched := Watched(proc.root, events=events, pidfds=False))
    storm = [Exec(pid, 7.5) for pid in range(1, watching.LOOKS_PER_SECOND + 2)]
    events.tell(storm)
    wait_until(lambda: watched.look().gap, "the limit is reached", within=DEADLINE)
    assert [born.process.pid for born in watched.noted.newborn] == [watching.LOOKS_PER_SECOND]
    events.tell([Exec(watching.LOOKS_PER_SECOND + 1, 8.0)])
    wait_until(lambda: len(watched.look().newborn) == 2, "the next second", within=DEADLINE)


def test_a_new_process_is_followed_until_somebody_asks_for_it(
    stop_all: list[Watched], tmp_path: Path
) -> None:
    """Or until so long after its birth that it cannot have been a kernel."""
    now = [100.0]
    proc = FakeProc(tmp_path / "proc")
    born = proc.add(4711, KERNEL, environ={"JPY_PARENT_PID": "1"}).id
    events = FakeEvents()
    watched = Watched(proc.root, events=events, pidfds=False, clock=lambda: now[0])
    stop_all.append(watched)
    events.tell([Exec(4711, 100.0)])
    wait_until(lambda: watched.look().newborn, "it is born", within=DEADLINE)
    watched.watch.follow([])
    proc.remove(4711)
    watched.watch.gone([born])
    assert [ended.process for ended in watched.look().ended] == [born]
    now[0] += watching.NEWBORN_SECONDS + 0.1
    watched.watch.follow([])
    assert not watched.watch._followed


def test_another_program_in_the_same_process_is_still_followed(
    stop_all: list[Watched], tmp_path: Path
) -> None:
    """A shell that becomes the kernel keeps its pid."""
    proc = FakeProc(tmp_path / "proc")
    process = proc.add(4711, KERNEL, environ={"JPY_PARENT_PID": "1"}).id
    events = FakeEvents()
    stop_all.append(watched := Watched(proc.root, events=events, pidfds=False))
    events.tell([Exec(4711, 1.0), Exec(4711, 1.1)])
    wait_until(lambda: len(watched.look().newborn) == 2, "both are seen", within=DEADLINE)
    assert {born.process for born in watched.noted.newborn} == {process}
    assert not watched.noted.ended


def test_out_of_descriptors(
    stop_all: list[Watched],
    sleeper: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then scans must do; who lives is not taken for dead, and the thread lives on."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(pidfd, "open_process", refuse)
    stop_all.append(watched := Watched())
    process = identity(sleeper.pid)
    watched.watch.follow([process])
    assert not watched.look().ended
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    watched.watch.follow([process])
    (ended,) = watched.ended()
    assert (ended.status, ended.exact) == (WaitStatus(None, signal.SIGKILL), False)


def test_what_piles_up_is_bounded(stop_all: list[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may ask for hours."""
    monkeypatch.setattr(watching, "NOTED_MAX", 3)
    stop_all.append(watched := Watched(pidfds=True))
    # Nobody has these pids: each is noted as gone at once.
    watched.watch.follow([ProcessId(2**22 + n, 1) for n in range(50)])
    assert len(watched.look().ended) <= watching.NOTED_MAX
