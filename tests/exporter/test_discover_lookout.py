"""Whose command line is read when."""

from jupyter_kernel_exporter.discover.lookout import ROUND_SECONDS, Lookout
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import ProcessId


def process(pid: int, started: float) -> Process:
    """A process with a start in seconds since boot."""
    return Process(ProcessId(pid, int(started * CLOCK_TICKS)), 1, pid)


def test_new_processes_are_looked_at_once_if_they_are_old() -> None:
    """As all are when the exporter starts."""
    lookout = Lookout()
    table = {pid: process(pid, 1.0) for pid in (1, 2)}
    changes = lookout.follow(table, 100.0)
    assert changes.look == changes.came == list(table.values())
    assert lookout.follow(dict(table), 100.1) == ([], [], [])


def test_young_processes_are_looked_at_again_until_they_are_old() -> None:
    """They may yet exec."""
    lookout = Lookout()
    table = {1: process(1, 100.0)}
    assert lookout.follow(table, 100.5).look == [table[1]]
    assert lookout.follow(table, 109.0).look == [table[1]]
    assert lookout.follow(table, 111.0).look == [table[1]]
    assert lookout.follow(table, 111.5).look == []


def test_who_went_and_whose_pid_was_given_again() -> None:
    """Told apart by the start."""
    lookout = Lookout()
    old, new = process(1, 1.0), process(1, 99.0)
    lookout.follow({1: old, 2: process(2, 1.0)}, 50.0)
    assert lookout.follow({1: new}, 100.0) == ([new], [old, process(2, 1.0)], [new])
    assert lookout.follow({}, 101.0) == ([], [new], [])


def test_everybody_gets_a_turn_within_a_round() -> None:
    """A few at a time, each about once."""
    lookout = Lookout()
    table = {pid: process(pid, 1.0) for pid in range(1, 301)}
    lookout.follow(table, 1000.0)
    table = {pid: known for pid, known in table.items() if pid != 7}
    looks = []
    for second in range(1, int(ROUND_SECONDS) + 2):
        turn = lookout.follow(table, 1000.0 + second).look
        assert len(turn) <= 6
        looks += turn
    assert {p.id.pid for p in looks} == table.keys()
    assert len(looks) <= len(table) + 10


def test_a_quick_pace_leaves_nobody_out() -> None:
    """Ten calls a second with three processes: a turn now and then, not never."""
    lookout = Lookout()
    table = {pid: process(pid, 1.0) for pid in range(1, 4)}
    lookout.follow(table, 1000.0)
    ticks = range(1, int(ROUND_SECONDS) * 10 + 1)
    looks = [p for n in ticks for p in lookout.follow(table, 1000.0 + n / 10).look]
    assert sorted(p.id.pid for p in looks) == [1, 2, 3]
