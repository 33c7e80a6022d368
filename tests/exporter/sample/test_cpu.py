"""CPU time of a family that never goes down."""

from jupyter_kernel_exporter.linux.proc import Stat
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sample.cpu import FamilyCpu

KERNEL, A, B, C = (ProcessId(pid, pid) for pid in (1, 2, 3, 4))


def ticks(user: int, system: int = 0, waited: int = 0, waited_system: int = 0) -> Stat:
    """A look at a process that has burnt so much."""
    return Stat("S", 0, 0, 0, user, system, waited, waited_system, 1, 0, 0, 0, 0)


def test_adds_up_the_living_and_those_they_waited_for() -> None:
    """User and system time apart."""
    cpu = FamilyCpu()
    alive = {KERNEL: ticks(100, 10, 5, 1), A: ticks(50, 4)}
    assert cpu.update(alive, {A: KERNEL}) == (155, 15)


def test_a_child_that_was_waited_for_changes_nothing() -> None:
    """linux moves its time to its parent; what it burnt since the last look comes on top."""
    cpu = FamilyCpu()
    cpu.update({KERNEL: ticks(100), A: ticks(50, 5)}, {A: KERNEL})
    assert cpu.update({KERNEL: ticks(100, waited=53, waited_system=5)}, {}) == (153, 5)


def test_a_child_that_nobody_waited_for_is_kept() -> None:
    """Its parent ignores SIGCHLD: linux forgets its time, the sum does not."""
    cpu = FamilyCpu()
    cpu.update({KERNEL: ticks(100), A: ticks(50, 5)}, {A: KERNEL})
    assert cpu.update({KERNEL: ticks(110)}, {}) == (160, 5)
    assert cpu.update({KERNEL: ticks(120)}, {}) == (170, 5)


def test_a_child_handed_up_through_a_parent_that_ended_as_well() -> None:
    """Grandchild and child end between two looks; the kernel inherits both."""
    cpu = FamilyCpu()
    parents = {A: KERNEL, B: A}
    cpu.update({KERNEL: ticks(10), A: ticks(20), B: ticks(30)}, parents)
    assert cpu.update({KERNEL: ticks(10, waited=50)}, {}) == (60, 0)


def test_an_orphan_that_ends_later_is_kept() -> None:
    """Its parent ended first, so init waits for it and not the kernel."""
    cpu = FamilyCpu()
    cpu.update({KERNEL: ticks(10), A: ticks(20), B: ticks(30)}, {A: KERNEL, B: A})
    cpu.update({KERNEL: ticks(10, waited=20), B: ticks(35)}, {B: A})
    assert cpu.update({KERNEL: ticks(10, waited=20)}, {}) == (65, 0)


def test_one_of_two_was_waited_for() -> None:
    """What the parent took over is not counted again."""
    cpu = FamilyCpu()
    cpu.update({KERNEL: ticks(10), A: ticks(20), B: ticks(30)}, {A: KERNEL, B: KERNEL})
    assert cpu.update({KERNEL: ticks(10, waited=20)}, {}) == (60, 0)


def test_a_tick_that_linux_takes_back_does_not_show() -> None:
    """User and system are scaled anew at each read."""
    cpu = FamilyCpu()
    assert cpu.update({KERNEL: ticks(100, 50)}, {}) == (100, 50)
    assert cpu.update({KERNEL: ticks(99, 52)}, {}) == (100, 52)


def test_lineage_of_the_dead_does_not_pile_up() -> None:
    """A kernel that starts a process each second for years keeps nothing of them."""
    cpu = FamilyCpu()
    waited = 0
    for pid in range(10, 1000):
        child = ProcessId(pid, pid)
        cpu.update({KERNEL: ticks(1, waited=waited), child: ticks(1)}, {child: KERNEL})
        waited += 1
    assert cpu.update({KERNEL: ticks(1, waited=waited)}, {}) == (991, 0)
    assert not cpu._parents
    assert list(cpu._last) == [KERNEL]


def test_three_generations_whose_middle_is_gone() -> None:
    """The way from the living up to the kernel leads through the dead."""
    cpu = FamilyCpu()
    cpu.update({KERNEL: ticks(1), A: ticks(1), B: ticks(1)}, {A: KERNEL, B: A})
    cpu.update({KERNEL: ticks(1, waited=1), B: ticks(1), C: ticks(5)}, {B: A, C: B})
    cpu.update({KERNEL: ticks(1, waited=1), C: ticks(5)}, {C: B})
    assert cpu.update({KERNEL: ticks(1, waited=1)}, {}) == (8, 0)


def test_a_wrapper_hands_over() -> None:
    """What it and its other children burnt stays counted, and nothing is counted twice."""
    cpu = FamilyCpu()
    cpu.update({A: ticks(5, 1, waited=30), B: ticks(20, 2), C: ticks(7)}, {B: A, C: A})
    cpu.narrow_to({B})
    assert cpu.update({B: ticks(25, 2)}, {}) == (67, 3)
    assert cpu.update({B: ticks(25, 2, waited=9)}, {}) == (76, 3)


def test_a_wrapper_hands_over_to_one_it_never_saw() -> None:
    """A child that came since the last look."""
    cpu = FamilyCpu()
    cpu.update({A: ticks(5, 1)}, {})
    cpu.narrow_to({B})
    assert cpu.update({B: ticks(2)}, {}) == (7, 1)
