"""Looking at real processes; they stand in for kernels, of which the sampler knows only the pid."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cgroup import CgroupMemory
from jupyter_kernel_exporter.linux.families import Families
from jupyter_kernel_exporter.linux.host import HostMemory
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.proctable import ProcessTable
from jupyter_kernel_exporter.linux.swap import Swap
from jupyter_kernel_exporter.model import (
    Kernel,
    Look,
    MemoryLimit,
    ProcessId,
    Said,
    Sample,
    Scope,
    State,
)
from jupyter_kernel_exporter.sample import RENEWAL_TICKS, Around, Sampler
from jupyter_kernel_exporter.sample.files import STILL_LOOKS

pytestmark = pytest.mark.real

SIZE = 24 << 20
LISTEN = """
import sys
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Puppet:
    """A Python process that runs the lines it is told."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self.child = child
        stat = read_stat("/proc", child.pid)
        assert stat is not None
        self.id = ProcessId(child.pid, stat.start_ticks)
        self.kernel = Kernel("k", self.id, "alice", started_at=1.0, ready=True)

    def run(self, line: str) -> None:
        """Run one line and wait until it is done."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline(), "the puppet died"


@contextmanager
def puppet() -> Iterator[Puppet]:
    """A puppet in a session of its own, ended with all of its session."""
    child = subprocess.Popen(
        [sys.executable, "-c", LISTEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        try:
            yield Puppet(child)
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)


class Eye:
    """A sampler with all it needs, that looks at one puppet."""

    def __init__(self, cgroups: CgroupMemory | None = None) -> None:
        self.descriptors = Descriptors(1000)
        self.problems: dict[str, str] = {}
        self.sampler = Sampler("/proc", cgroups, self.descriptors, self.problems.__setitem__)
        self.table = ProcessTable()
        self.families = Families()
        self.tick = 0
        self.newest: Look | None = None

    def look(self, who: Puppet, around: Around | None = None) -> Sample | None:
        """One tick."""
        self.see(who, around)
        return self.newest.sample if self.newest is not None else None

    def see(self, who: Puppet, around: Around | None = None) -> None:
        """One tick, with all that there is to see."""
        changes = self.table.scan()
        self.families.update([who.id], self.table.processes, changes.came, changes.went)
        self.tick += 1
        around = around or Around(now=time.time(), monotonic=time.monotonic(), tick=self.tick)
        self.sampler.begin(around, self.families.by_root)
        self.newest = self.sampler.look(who.kernel)


def rss_of_mappings(pid: int) -> int:
    """What linux finds in the page tables, bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Rss:"))


@pytest.mark.parametrize(
    "said",
    [None, Said(State.UNKNOWN, None, None, 0, 0)],
    ids=["nobody listens", "it has not said anything yet"],
)
def test_who_stops_to_work_is_idle_soon(said: Said | None) -> None:
    """Judged from CPU time, also while nothing of the process moves any more."""
    eye = Eye()
    with puppet() as who:
        who.run("pass")
        for second in range(6):
            if second == 2:
                who.run("import time; end = time.process_time() + 0.3")
                who.run("while time.process_time() < end: pass")
            moment = Around(now=100.0 + second, monotonic=float(second), tick=second)
            eye.sampler.begin(moment, said={} if said is None else {who.kernel.id: said})
            look = eye.sampler.look(who.kernel)
            assert look is not None
            if second >= 2:
                assert look.sample.state is (State.BUSY if second == 2 else State.IDLE)


def test_who_rests_is_not_read_again_but_for_what_is_left() -> None:
    """Until it works, or its turn comes to be read whether it works or not."""
    eye = Eye()
    with puppet() as who:

        def look(tick: int) -> Look:
            host = HostMemory(1 << 40, (1 << 39) + tick)
            tick -= who.id.pid
            eye.see(who, Around(now=100.0 + tick, monotonic=float(tick), tick=tick, host=host))
            assert eye.newest is not None
            return eye.newest

        who.run("import os; descriptors = []")
        look(1)
        first = look(2)
        resting = look(3)
        assert resting.sample is first.sample
        assert resting.limits == (MemoryLimit(Scope.HOST, 1 << 40, (1 << 39) + 3),)
        # Not enough to be noticed by the pulse: it is in its turn.
        who.run("descriptors.append(os.open('/', 0))")
        later = look(RENEWAL_TICKS)
        assert later.sample.open_fds == (first.sample.open_fds or 0) + 1
        look(RENEWAL_TICKS + 1)
        who.run(f"exec({BURN!r})")
        after = look(RENEWAL_TICKS + 2)
        assert cpu_seconds(after.sample) - cpu_seconds(first.sample) > 0.27


def test_memory_follows_the_process() -> None:
    """RSS within 2 % of the page tables while it grows and after it shrank; the peak stays."""
    eye = Eye()
    with puppet() as who:
        sample = eye.look(who)
        for line in ("pass", "x = b'x' * (200 << 20)", "y = b'y' * (100 << 20)", "del x"):
            who.run(line)
            sample = eye.look(who)
            assert sample is not None
            assert sample.rss_bytes == pytest.approx(rss_of_mappings(who.id.pid), rel=0.02)
        assert sample is not None
        assert sample.peak_rss_bytes is not None
        assert sample.peak_rss_bytes > 300 << 20
        assert sample.rss_bytes < 150 << 20


def test_memory_that_moves_without_any_work_is_seen_soon() -> None:
    """What somebody else does to it, as linux does that swaps out: a look or some later."""
    eye = Eye()
    with puppet() as who:
        who.run(f"import mmap; pages = mmap.mmap(-1, {SIZE})")
        before, resting = eye.look(who), eye.look(who)
        while resting is not before:
            before, resting = resting, eye.look(who)
        assert before is not None
        maps = Path(f"/proc/{who.id.pid}/maps").read_text().splitlines()
        ranges = (line.split()[0].split("-") for line in maps)
        (at,) = (int(a, 16) for a, b in ranges if int(b, 16) - int(a, 16) == SIZE)
        with open(f"/proc/{who.id.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(at)
            memory.write(b"x" * SIZE)
        seen = [eye.look(who) for _ in range(STILL_LOOKS + 1)]
        grown = [s.rss_bytes - before.rss_bytes for s in seen if s is not None]
        assert len(grown) == STILL_LOOKS + 1
        # It rested: all the work was ours.
        assert grown[0] < SIZE
        assert grown[-1] == pytest.approx(SIZE, rel=0.02)


def test_cpu_of_children_that_exited_is_not_lost() -> None:
    """Waited for or not, the sum is within 2 % of what linux charged this test's children with."""
    burn = "\\nimport time\\nend=time.process_time()+%s\\nwhile time.process_time()<end: pass"
    eye = Eye()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    totals = []
    with puppet() as who:
        who.run("import subprocess, sys, signal, os, time")
        eye.look(who)
        # Ended and waited for, between two looks and across them.
        who.run(f"p = subprocess.Popen([sys.executable, '-c', '{burn % 1.5}'])")
        sample = eye.look(who)
        assert sample is not None
        assert sample.children == 1
        assert sample.children_rss_bytes > 0
        who.run("p.wait()")
        totals.append(eye.look(who))
        # Each look at work sees more than the one before.
        who.run(f"p = subprocess.Popen([sys.executable, '-c', '{burn % 1.5}'])")
        for _ in range(5):
            who.run("time.sleep(0.05)")
            totals.append(eye.look(who))
        who.run("p.wait()")
        totals.append(eye.look(who))
        who.child.stdin.close()  # type: ignore[union-attr]
        who.child.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = [s.cpu_user_seconds + s.cpu_system_seconds for s in totals if s is not None]
    assert len(seconds) == len(totals)
    assert seconds == sorted(seconds)
    charged = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # 3 s were burnt. What the puppet itself took to end came after the last look.
    assert seconds[-1] == pytest.approx(charged, rel=0.02, abs=0.06)


def test_cpu_of_a_child_that_nobody_waits_for_is_kept() -> None:
    """With SIGCHLD ignored linux drops what the child burnt since its birth."""
    eye = Eye()
    with puppet() as who:
        who.run("import subprocess, sys, signal, os, time")
        who.run("signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
        burn = "exec('while time.process_time() < 0.5: pass')"
        child = f"({burn}, os.write(w, b'.'), time.sleep(60))"
        who.run(f"r, w = os.pipe(); pid = os.fork(); pid or {child}")
        who.run("os.read(r, 1)")
        at_work = eye.look(who)
        who.run("os.kill(pid, 9)")
        while read_stat("/proc", next(iter(eye.families.members(who.id))).pid) is not None:
            time.sleep(0.01)
        after = eye.look(who)
    assert at_work is not None
    assert after is not None
    assert after.children == 0
    burnt = [s.cpu_user_seconds + s.cpu_system_seconds for s in (at_work, after)]
    assert burnt[1] >= burnt[0] >= 0.45


def test_threads_descriptors_io_and_score() -> None:
    """Counted as the process has them."""
    eye = Eye()
    with puppet() as who:
        who.run("import threading, os, time")
        who.run("sleep = lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True)")
        who.run("[sleep().start() for _ in range(7)]")
        who.run("fds = [os.dup(0) for _ in range(20)]")
        who.run("import tempfile; f = tempfile.TemporaryFile(dir='/var/tmp')")
        who.run("f.write(bytes(1 << 20)); f.flush(); os.fsync(f.fileno())")
        sample = eye.look(who)
        assert sample is not None
        assert sample.threads == 8
        assert sample.open_fds == len(os.listdir(f"/proc/{who.id.pid}/fd"))
        assert sample.io_write_bytes is not None
        assert sample.io_write_bytes >= 1 << 20
        assert sample.oom_score is not None
        assert sample.swap_bytes == 0
        assert eye.problems == {}


def test_limits_are_the_process_own_and_the_hosts() -> None:
    """The address space counts for RLIMIT_AS, not RSS."""
    eye = Eye()
    with puppet() as who:
        who.run("import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))")
        around = Around(0.0, 0.0, tick=-who.id.pid, host=HostMemory(1000, 400))
        sample = eye.look(who, around)
        stat = read_stat("/proc", who.id.pid)
    assert sample is not None
    assert stat is not None
    assert eye.newest is not None
    assert eye.newest.limits == (
        MemoryLimit(Scope.RLIMIT, 1 << 33, (1 << 33) - stat.vsize),
        MemoryLimit(Scope.HOST, 1000, 400),
    )


@pytest.mark.parametrize(
    ("swap_max", "limit"),
    [
        ("max", MemoryLimit(Scope.HOST, 1500, 700, "with swap")),
        ("0", MemoryLimit(Scope.HOST, 1000, 400)),
    ],
)
def test_swap_of_the_machine_counts_for_who_may_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap_max: str, limit: MemoryLimit
) -> None:
    """Made-up files, for the machines of these tests have no swap."""
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    unit = tmp_path / "unit"
    unit.mkdir()
    (unit / "memory.swap.max").write_text(f"{swap_max}\n")
    monkeypatch.setattr(CgroupMemory, "directory", lambda *_: str(unit))
    eye = Eye(CgroupMemory(str(tmp_path), Descriptors(1000)))
    with puppet() as who:
        eye.look(who, Around(0.0, 0.0, -who.id.pid, host=HostMemory(1000, 400, Swap(500, 300))))
    assert eye.newest is not None
    assert eye.newest.limits == (limit,)


def test_gpu_memory_is_that_of_the_whole_family() -> None:
    """A worker's GPU memory belongs to the kernel."""
    eye = Eye()
    with puppet() as who:
        who.run("import subprocess; p = subprocess.Popen(['sleep', '60'])")
        eye.look(who)
        worker = next(iter(eye.families.members(who.id))).pid
        gpu = {who.id.pid: {"0": 1, "1": 2}, worker: {"0": 10}, 1: {"0": 100}}
        sample = eye.look(who, Around(0.0, 0.0, 1, gpu=gpu))
    assert sample is not None
    assert sample.gpu_memory_bytes == {"0": 11, "1": 2}


def test_what_is_not_told_is_not_zero() -> None:
    """Without delay accounting linux writes 0; that is not a time."""
    eye = Eye()
    with puppet() as who:
        moment = Around(0.0, 0.0, 1)
        sample = eye.look(who, moment)
        assert sample is not None
        assert sample.io_wait_seconds is None
        assert sample.pss_bytes is None
        sample = eye.look(who, Around(0.0, 0.0, 1, pss={who.id: 5}, delay_accounting=True))
        assert sample is not None
        assert sample.io_wait_seconds is not None
        assert sample.pss_bytes == 5


def test_an_ended_process_is_no_sample_even_as_a_zombie() -> None:
    """Nobody has waited for it yet, and it is over."""
    eye = Eye()
    with puppet() as who:
        assert eye.look(who) is not None
        os.kill(who.id.pid, signal.SIGKILL)
        os.waitid(os.P_PID, who.id.pid, os.WEXITED | os.WNOWAIT)
        assert eye.look(who) is None
    assert eye.look(who) is None
    assert eye.descriptors.kept > 0
    eye.sampler.forget_all_but(set())
    assert eye.descriptors.kept == 0


def test_another_process_with_the_pid_is_no_sample() -> None:
    """A pid is no identity."""
    eye = Eye()
    with puppet() as who:
        who.id = ProcessId(who.id.pid, who.id.start_ticks - 1)
        who.kernel = Kernel("k", who.id, "alice")
        assert eye.look(who) is None


def test_a_main_thread_that_ended_is_not_the_end() -> None:
    """pthread_exit() in the main thread: linux calls the leader a zombie, the others live on."""
    eye = Eye()
    with puppet() as who:
        who.run("import ctypes, threading, time")
        who.run("threading.Thread(target=time.sleep, args=(60,)).start()")
        before = eye.look(who)
        assert who.child.stdin is not None
        who.child.stdin.write(b"ctypes.CDLL(None).syscall(60, 0)\n")  # exit(2) of this thread
        who.child.stdin.flush()
        while (stat := read_stat("/proc", who.id.pid)) is None or stat.state != "Z":
            time.sleep(0.01)
        sample = eye.look(who)
    assert before is not None
    assert sample is not None
    assert sample.threads == 2
    # Linux shows the leader's memory as 0 from now on. One that is being killed looks the same for
    # a moment, and its last memory is what people will want to know.
    assert sample.rss_bytes == before.rss_bytes > 0


BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


def cpu_seconds(sample: Sample | None) -> float:
    """User and system time together."""
    assert sample is not None
    return sample.cpu_user_seconds + sample.cpu_system_seconds


def test_counters_go_on_when_a_wrapper_hands_over() -> None:
    """The id is the same and the wrapper lives on: its CPU time stays counted."""
    burn = f"exec({BURN!r})"
    line = f"{burn}\n".encode()
    eye = Eye()
    with puppet() as wrapper:
        wrapper.run("import subprocess, sys")
        wrapper.run(
            f"p = subprocess.Popen([sys.executable, '-c', {LISTEN!r}], stdin=-1, stdout=-1)"
        )
        wrapper.run(burn)
        wrapper.run(f"p.stdin.write({line!r}); p.stdin.flush(); p.stdout.readline()")
        first = eye.look(wrapper)
        (child,) = eye.families.members(wrapper.id)
        eye.families.update([child], eye.table.processes, (), ())
        kernel = Kernel("k", child, "alice", started_at=2.0, ready=True)
        around = Around(now=time.time(), monotonic=time.monotonic(), tick=2)
        eye.sampler.begin(around, eye.families.by_root)
        look = eye.sampler.look(kernel)
        eye.sampler.forget_all_but({child})
        assert first is not None
        assert look is not None
        second = look.sample
        assert (first.children, second.children) == (1, 0)
        assert cpu_seconds(first) > 0.55
        assert cpu_seconds(second) == pytest.approx(cpu_seconds(first), abs=0.03)
        wrapper.run(f"p.stdin.write({line!r}); p.stdin.flush(); p.stdout.readline()")
        look = eye.sampler.look(kernel)
        assert look is not None
        assert cpu_seconds(look.sample) - cpu_seconds(second) == pytest.approx(0.3, abs=0.05)


def test_a_restart_begins_anew() -> None:
    """The old process has ended, though nobody has waited for it yet."""
    eye = Eye()
    with puppet() as first, puppet() as second:
        first.run(f"exec({BURN!r})")
        assert cpu_seconds(eye.look(first)) > 0.27
        os.kill(first.id.pid, signal.SIGKILL)
        os.waitid(os.P_PID, first.id.pid, os.WEXITED | os.WNOWAIT)
        assert cpu_seconds(eye.look(second)) < 0.27
        eye.sampler.forget_all_but({second.id})
        assert eye.look(second) is not None


class Meanwhile(dict[ProcessId, ProcessId]):
    """Descendants; something happens after the kernel was read, and before they are."""

    def __init__(self, members: Mapping[ProcessId, ProcessId], happens: Callable[[], None]) -> None:
        super().__init__(members)
        self._happens: list[Callable[[], None]] = [happens]

    def __iter__(self) -> Iterator[ProcessId]:
        while self._happens:
            self._happens.pop()()
        return super().__iter__()


def test_no_time_is_counted_twice_while_a_child_ends() -> None:
    """It is alive, then ends, then is waited for just between two reads."""
    eye = Eye()
    with puppet() as who:
        who.run("import subprocess, sys")
        who.run(f"p = subprocess.Popen([sys.executable, '-c', {LISTEN!r}], stdin=-1, stdout=-1)")
        line = f"exec({BURN!r})\n".encode()
        who.run(f"p.stdin.write({line!r}); p.stdin.flush(); p.stdout.readline()")
        alive = eye.look(who)
        who.run("import os; p.stdin.close(); os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)")
        ended = eye.look(who)
        members = Meanwhile(eye.families.members(who.id), lambda: who.run("p.wait()"))
        assert len(members) == 1
        around = Around(now=time.time(), monotonic=time.monotonic(), tick=3)
        eye.sampler.begin(around, {who.id: members})
        look = eye.sampler.look(who.kernel)
        later = eye.look(who)
    assert alive is not None
    assert ended is not None
    assert look is not None
    waited_for = look.sample
    assert [alive.children, ended.children, waited_for.children] == [1, 0, 0]
    assert alive.children_rss_bytes > 0
    assert ended.children_rss_bytes == 0
    for sample in (alive, ended, waited_for, later):
        assert 0.27 < cpu_seconds(sample) < 0.5


AS_NOBODY = """
import os, sys
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.sample.files import Details
os.setgroups([]); os.setgid(65534); os.setuid(65534)
details = Details("/proc", int(sys.argv[1]), Descriptors(10), io=False)
for _ in range(2):
    print(list(details.look()), details.open_fds, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_the_descriptors_of_a_process_that_ends() -> None:
    """It has none any more, which is no sign of missing rights."""
    with puppet() as who:
        looker = subprocess.Popen(
            [sys.executable, "-c", AS_NOBODY, str(who.id.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with looker:
            assert looker.stdin is not None
            assert looker.stdout is not None
            first = looker.stdout.readline()
            os.kill(who.id.pid, signal.SIGKILL)
            os.waitid(os.P_PID, who.id.pid, os.WEXITED | os.WNOWAIT)
            looker.stdin.write("\n")
            looker.stdin.flush()
            second = looker.stdout.readline()
    if first.startswith("[("):
        pytest.skip("needs linux 6.2: it tells the number to everybody")
    assert first == second == "[] 3\n"
