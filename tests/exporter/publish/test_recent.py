"""The recent past of kernels: complete, bounded, and safe to read while it is written."""

import threading
import tracemalloc
from dataclasses import replace

import pytest

from jupyter_kernel_exporter.model import LiveKernel, MemoryLimit, ProcessId, Scope
from jupyter_kernel_exporter.publish.recent import Point, Recent
from support.snapshots import GIB, MIB, NOW, crowd, live, snapshot

START = NOW - NOW % 10


def fed(recent: Recent, moments: list[float], *kernels: LiveKernel) -> Recent:
    """Append a snapshot of these kernels at each moment after the start."""
    for moment in moments:
        recent.append(snapshot(*kernels, taken_at=START + moment))
    return recent


def moments(recent: Recent, kernel_id: str) -> list[float]:
    return [point.taken_at - START for point in recent.points(kernel_id) or []]


def burning(cpu_seconds: float, process: int = 1) -> LiveKernel:
    return live(
        "a", process=process, cpu_user_seconds=cpu_seconds / 2, cpu_system_seconds=cpu_seconds / 2
    )


def test_a_point_every_ten_seconds() -> None:
    """Of many snapshots a second, the first of every ten seconds stays."""
    recent = fed(Recent(), [tick * 0.5 for tick in range(100)], live("a"))
    assert moments(recent, "a") == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("late", [0.02, 0.9])
def test_late_ticks_lose_no_point(late: float) -> None:
    """Ticks that are a little late do not stretch ten seconds to eleven."""
    recent = fed(Recent(), [tick + late * (tick % 3) for tick in range(58)], live("a"))
    assert len(moments(recent, "a")) == 6


def test_a_long_interval_gives_fewer_points() -> None:
    """With a snapshot each minute there is a point each minute and nothing between."""
    recent = fed(Recent(), [tick * 60.0 for tick in range(5)], live("a"))
    assert moments(recent, "a") == [0, 60, 120, 180, 240]


def test_what_a_point_holds() -> None:
    """Memory with the children's, processors since the point before, the tightest headroom."""
    recent = Recent()
    limits = (
        MemoryLimit(Scope.HOST, 900 * MIB, 300 * MIB),
        MemoryLimit(Scope.CGROUP, 200 * MIB, 64 * MIB),
    )
    for tick in range(21):
        recent.append(
            snapshot(
                live(
                    "a",
                    rss_bytes=128 * MIB,
                    children_rss_bytes=MIB,
                    cpu_user_seconds=tick * 1.5,
                    limits=limits if tick else (),
                ),
                taken_at=START + tick,
            )
        )
    assert recent.points("a") == [
        Point(START, 129 * MIB, None, None),
        Point(START + 10, 129 * MIB, 1.5, 64 * MIB),
        Point(START + 20, 129 * MIB, 1.5, 64 * MIB),
    ]


def test_two_hours_are_kept() -> None:
    """After three hours, the last two are there, oldest first."""
    recent = fed(Recent(), [tick * 10.0 for tick in range(1080)], live("a"))
    assert moments(recent, "a") == [tick * 10.0 for tick in range(360, 1080)]


def test_a_machine_asleep_leaves_a_gap() -> None:
    """What the ring held a lap ago does not come back in the slots that were passed over."""
    recent = Recent(step_seconds=10, span_seconds=100)
    fed(recent, [tick * 10.0 for tick in range(10)], live("a"))
    fed(recent, [150, 160], live("a"))
    assert moments(recent, "a") == [70, 80, 90, 150, 160]


def test_a_clock_set_back_keeps_the_order() -> None:
    """Points stay sorted and none lies in the future of the newest."""
    recent = fed(Recent(), [0, 10, 20, 30, 40], live("a"))
    fed(recent, [15, 25], live("a"))
    assert moments(recent, "a") == [0, 15, 25]


def test_a_new_kernel_starts_with_nothing() -> None:
    """A kernel has no points from before its start."""
    recent = fed(Recent(), [0, 10], live("a"))
    fed(recent, [20], live("a"), live("b"))
    assert moments(recent, "b") == [20]


def test_a_kernel_that_is_gone_is_kept_for_a_while() -> None:
    """For a quarter of an hour after its end its history can be had, then it is dropped."""
    recent = fed(Recent(), [0, 10], live("a"), live("b"))
    fed(recent, [tick * 10.0 for tick in range(2, 92)], live("b"))
    assert moments(recent, "a") == [0, 10]
    fed(recent, [920], live("b"))
    assert recent.points("a") is None
    assert recent.points("never seen") is None


def test_a_kernel_that_comes_back_goes_on() -> None:
    """A restart leaves a gap in the history and makes no rate of two processes."""
    recent = fed(Recent(), [0, 10], burning(50, process=1))
    fed(recent, [20])
    fed(recent, [30, 40], burning(1, process=2))
    assert moments(recent, "a") == [0, 10, 30, 40]
    assert [point.cpu_cores for point in recent.points("a") or []] == [None, 0.0, None, 0.0]


def test_at_most_so_many_kernels() -> None:
    """When it is full, those gone longest make room; with none gone, the new ones go without."""
    recent = Recent(most_kernels=3)
    fed(recent, [0], live("gone first"), live("gone next"), live("stays"))
    fed(recent, [10], live("gone next"), live("stays"))
    fed(recent, [20], live("stays"), live("new"))
    assert recent.points("gone first") is None
    assert moments(recent, "gone next") == [0, 10]
    fed(recent, [30], live("stays"), live("new"), *(live(f"more {n}") for n in range(5)))
    assert moments(recent, "stays") == [0, 10, 20, 30]
    assert len([n for n in range(5) if recent.points(f"more {n}")]) == 1
    assert len(recent._rings) == 3


def test_present_rates() -> None:
    """Processors in use are those between the last two snapshots, of live kernels only."""
    recent = Recent()
    recent.append(snapshot(burning(10), live("b"), taken_at=START))
    assert dict(recent.cpu_cores) == {}
    recent.append(snapshot(burning(12), live("b"), taken_at=START + 0.5))
    assert dict(recent.cpu_cores) == {"a": 4.0, "b": 0.0}
    recent.append(snapshot(burning(12.25), taken_at=START + 1))
    assert dict(recent.cpu_cores) == {"a": 0.5}


@pytest.mark.parametrize(
    ("second", "after_seconds"),
    [
        (burning(99, process=2), 1.0),
        (burning(5), 1.0),
        (burning(11), 0.0),
        (burning(11), -3600.0),
    ],
    ids=["another process", "less than before", "no time", "clock set back"],
)
def test_no_rate_is_made_up(second: LiveKernel, after_seconds: float) -> None:
    """Where two looks do not make a rate, there is none."""
    recent = Recent()
    recent.append(snapshot(burning(10), taken_at=START))
    recent.append(snapshot(second, taken_at=START + after_seconds))
    assert "a" not in recent.cpu_cores


def test_memory_of_a_kernel() -> None:
    """A full history takes less than 12 KiB a kernel, and does not grow any more."""
    population = crowd(100)
    tracemalloc.start()
    recent = Recent()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for tick in range(5):
            recent.append(replace(population, taken_at=START + tick * 10))
        early, _ = tracemalloc.get_traced_memory()
        for tick in range(5, 200):
            recent.append(replace(population, taken_at=START + tick * 10))
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (late - before) / 100 < 12 * 1024
    assert late - early < 50 * 1024


def test_readers_beside_the_writer() -> None:
    """Readers in other threads see whole points only: each one's three values belong together."""
    recent = Recent(step_seconds=1, span_seconds=50)
    stop = threading.Event()
    wrong: list[Point] = []

    def read() -> None:
        while not stop.is_set():
            for point in recent.points("a") or []:
                tick = point.taken_at - START
                if point.memory_bytes != tick * MIB or point.headroom_bytes != tick * 2 * MIB:
                    wrong.append(point)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for tick in range(500):
        limits = (MemoryLimit(Scope.HOST, 1, tick * 2 * MIB),)
        recent.append(
            snapshot(live("a", rss_bytes=tick * MIB, limits=limits), taken_at=START + tick)
        )
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_process_identity_is_more_than_a_pid() -> None:
    """The same pid with another start is another process."""
    recent = Recent()
    one = burning(10)
    other = one._replace(kernel=replace(one.kernel, process=ProcessId(1, 778)))
    recent.append(snapshot(one, taken_at=START))
    recent.append(snapshot(other, taken_at=START + 1))
    assert dict(recent.cpu_cores) == {}


def growing(at: float, bytes_a_second: float, process: int = 1) -> LiveKernel:
    return live("a", process=process, rss_bytes=int(GIB + at * bytes_a_second))


def test_growth_is_of_the_last_five_minutes() -> None:
    """What was before does not count; shrinking is negative; a constant does not grow."""
    recent = Recent()
    for at in range(0, 1200, 10):
        grown = growing(max(0, at - 600), 1000.0)
        recent.append(snapshot(grown, live("still"), taken_at=START + at))
    assert recent.memory_growth["a"] == pytest.approx(1000.0, rel=0.01)
    assert recent.memory_growth["still"] == 0
    for at in range(1200, 1600, 10):
        recent.append(snapshot(growing(1600 - at, 500.0), taken_at=START + at))
    assert recent.memory_growth["a"] == pytest.approx(-500.0, rel=0.01)
    assert "still" not in recent.memory_growth


@pytest.mark.parametrize(
    ("moments_known", "process_of_last", "known"),
    [
        ([0, 10, 20], 1, False),
        ([0, 10, 20, 30], 1, True),
        ([0, 10, 20, 30], 2, False),
        ([0, 600, 610], 1, False),
    ],
    ids=["too young", "old enough", "another process", "machine asleep"],
)
def test_no_growth_is_made_up(
    moments_known: list[float], process_of_last: int, known: bool
) -> None:
    """Two points of one process, half a minute apart and five at most, make a growth."""
    recent = Recent()
    for at in moments_known:
        process = process_of_last if at == moments_known[-1] else 1
        recent.append(snapshot(growing(at, 64.0, process), taken_at=START + at))
    assert ("a" in recent.memory_growth) == known


def test_no_growth_without_any_snapshot() -> None:
    """Before the first one there is nothing to tell."""
    assert dict(Recent().memory_growth) == {}
