"""OOM kills and counters around an end: whose they are, how long they are kept."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from jupyter_kernel_exporter.deaths.oomwatch import KEPT_SECONDS, OomWatch
from jupyter_kernel_exporter.deaths.record import OomRecord, OomRise
from jupyter_kernel_exporter.linux.oomcounters import Counter, Kind
from jupyter_kernel_exporter.linux.oomlog import OomKill
from jupyter_kernel_exporter.model import ProcessId, Scope

HOST = Counter(Kind.HOST, "")
KERNEL, SHELL = ProcessId(20, 2000), ProcessId(19, 1900)
A, B = "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory/b"


def local(path: str) -> Counter:
    """Counts the victims in one cgroup."""
    return Counter(Kind.LOCAL, path)


@dataclass
class Counters:
    """Counters that a test turns; remembers for which cgroups they were read."""

    now: dict[Counter, int] = field(default_factory=lambda: {HOST: 5})
    asked: list[set[str]] = field(default_factory=list)

    def read(self, paths: Iterable[str]) -> dict[Counter, int]:
        """As linux does: those that are there."""
        wanted = set(paths)
        self.asked.append(wanted)
        return {
            counter: value
            for counter, value in self.now.items()
            if counter == HOST or counter.path in wanted
        }


@pytest.fixture
def counters() -> Counters:
    """Two cgroups that have seen kills before."""
    return Counters({HOST: 5, local(A): 3, local(B): 0})


def kill(pid: int, at: float, task_path: str | None = "/a", **more: object) -> OomKill:
    """Linux' log names a victim."""
    scope = more.get("scope", Scope.CGROUP)
    assert scope is None or isinstance(scope, Scope)
    return OomKill(pid, "python", scope, "/a", task_path, 0, 0, 0, 0, at, 1)


def test_a_rise_since_before_the_end(counters: Counters) -> None:
    """What was counted long ago does not matter."""
    oom = OomWatch(counters.read, log_is_heard=False)
    oom.look([A, B], 10.0)
    oom.look([A, B], 11.0)
    counters.now |= {HOST: 6, local(A): 4}
    assert oom.rises(A, [KERNEL], 11.5) == (OomRise(1), OomRise(1))
    assert oom.rises(B, [KERNEL], 11.5) == (OomRise(0), OomRise(1))


def test_quiet_ticks_read_one_counter(counters: Counters) -> None:
    """While the machine's stands still, no other is read: there may be thousands of cgroups."""
    oom = OomWatch(counters.read, log_is_heard=True)
    for tick in range(5):
        oom.look([A, B], float(tick))
    assert counters.asked == [set(), {A, B}, set(), set(), set(), set()]


def test_a_cgroup_that_comes_later_is_read_when_it_comes(counters: Counters) -> None:
    """What its counter says from before is no kill of now."""
    oom = OomWatch(counters.read, log_is_heard=True)
    oom.look([A], 1.0)
    oom.look([A, B], 2.0)
    assert counters.asked[-1] == {B}
    assert oom.rises(B, [KERNEL], 2.5) == (OomRise(0), OomRise(0))


def test_a_rise_long_before_is_another_end(counters: Counters) -> None:
    """Only the readings around this one are compared."""
    oom = OomWatch(counters.read, log_is_heard=False)
    oom.look([A], 1.0)
    counters.now |= {HOST: 6, local(A): 4}
    for tick in range(2, 10):
        oom.look([A], float(tick))
    assert oom.rises(A, [KERNEL], 9.5) == (OomRise(0), OomRise(0))


def test_others_that_are_named(counters: Counters) -> None:
    """A kill of a neighbour explains a rise, one elsewhere does not."""
    oom = OomWatch(counters.read, log_is_heard=True)
    oom.look([A], 10.0)
    oom.note([kill(77, 11.0), kill(78, 11.0, task_path="/elsewhere")])
    counters.now |= {HOST: 7, local(A): 4}
    assert oom.rises(A, [KERNEL], 11.1) == (OomRise(1, others=1), OomRise(2, others=2))
    assert oom.rises(A, [ProcessId(77, 7)], 11.1)[0] == OomRise(1, others=0)


def test_records_name_the_kernel_or_its_shell(counters: Counters) -> None:
    """By the pid, which is the machine's."""
    oom = OomWatch(counters.read, log_is_heard=True)
    assert oom.records_of([KERNEL], 11.0) == ()
    oom.note([kill(19, 11.0), kill(77, 11.0), kill(20, 11.0, scope=None)])
    assert oom.records_of([KERNEL, SHELL], 11.0) == (
        OomRecord(Scope.CGROUP, "/a"),
        OomRecord(Scope.CGROUP, "/a"),
    )
    assert oom.records_of([KERNEL], 11.0 + KEPT_SECONDS) == (), "that pid was another process then"


def test_without_a_log_nobody_is_named(counters: Counters) -> None:
    """It could not be asked, which is not the same as nothing."""
    assert OomWatch(counters.read, log_is_heard=False).records_of([KERNEL], 1.0) is None


def test_before_the_first_look_nothing_is_known(counters: Counters) -> None:
    """Nor for a cgroup that was never read, nor one that is gone with its counters."""
    oom = OomWatch(counters.read, log_is_heard=False)
    assert oom.rises(A, [KERNEL], 1.0) == (None, None)
    oom.look([A], 2.0)
    assert oom.rises(B, [KERNEL], 2.5)[0] is None
    del counters.now[local(A)]
    assert oom.rises(A, [KERNEL], 2.5) == (None, OomRise(0))
    assert oom.rises(None, [KERNEL], 2.5) == (None, OomRise(0))


def test_nothing_is_kept_for_ever(counters: Counters) -> None:
    """A day of kills, one each second."""
    oom = OomWatch(counters.read, log_is_heard=True)
    for tick in range(2000):
        counters.now[HOST] += 1
        oom.note([kill(tick, float(tick))])
        oom.look([A], float(tick))
    assert len(oom._readings) <= KEPT_SECONDS + 2
    assert len(oom._kills) <= KEPT_SECONDS + 2
