"""Which numbers a forecast is fed with, and for whom."""

import math

import pytest

from jupyter_kernel_exporter.model import Look, MemoryLimit, ProcessId, Scope
from jupyter_kernel_exporter.outlook import Outlooks, Yardstick, choose
from support.snapshots import BARE_SAMPLE, GIB, MIB

ADA, GRACE = ProcessId(1, 1), ProcessId(2, 2)
HOST = MemoryLimit(Scope.HOST, 16 * GIB, 8 * GIB)


def cgroup(headroom: int, place: str = "/pod") -> MemoryLimit:
    """A limit of 1 GiB."""
    return MemoryLimit(Scope.CGROUP, GIB, headroom, place)


def look(*limits: MemoryLimit, anonymous: int = 100 * MIB) -> Look:
    """A look at a kernel below these limits."""
    return Look(BARE_SAMPLE._replace(anonymous_bytes=anonymous), limits)


@pytest.mark.parametrize(
    ("limits", "sharers", "yardstick"),
    [
        ((), 1, None),
        ((HOST,), 1, Yardstick("own", None, 8 * GIB)),
        ((cgroup(200 * MIB), HOST), 1, Yardstick("cgroup /pod", GIB - 200 * MIB, 200 * MIB)),
        ((cgroup(200 * MIB), HOST), 2, Yardstick("own", None, 200 * MIB)),
        (
            (MemoryLimit(Scope.RLIMIT, 2 * GIB, 50 * MIB), cgroup(200 * MIB)),
            2,
            Yardstick("rlimit ", 2 * GIB - 50 * MIB, 50 * MIB),
        ),
        (
            (cgroup(200 * MIB), MemoryLimit(Scope.HOST, 16 * GIB, 90 * MIB)),
            1,
            Yardstick("own", None, 90 * MIB),
        ),
    ],
    ids=["no limit", "host", "own cgroup", "shared cgroup", "rlimit", "full machine"],
)
def test_what_is_observed(
    limits: tuple[MemoryLimit, ...], sharers: int, yardstick: Yardstick | None
) -> None:
    """What counts against the limit that would strike first."""
    assert choose(limits, {"/pod": sharers}) == yardstick


def test_who_grows_is_named_and_who_sits_beside_is_not() -> None:
    """Two kernels share a cgroup; one leaks 8 MiB each second."""
    outlooks = Outlooks()
    seconds = {}
    for at in range(60):
        left = cgroup(900 * MIB - 8 * MIB * at)
        leaking = look(left, HOST, anonymous=(50 + 8 * at) * MIB)
        seconds = outlooks.update({ADA: leaking, GRACE: look(left, HOST)}, 1000.0 + at)
    assert seconds[GRACE] == math.inf
    assert seconds[ADA] == pytest.approx((900 - 8 * 59) / 8, rel=0.25)


def test_a_cgroup_of_its_own() -> None:
    """What the cgroup counts is observed: also what the kernel's processes do not show."""
    outlooks = Outlooks()
    seconds = {}
    for at in range(60):
        on_tmpfs = look(cgroup(900 * MIB - 8 * MIB * at), HOST)
        seconds = outlooks.update({ADA: on_tmpfs}, 1000.0 + at)
    assert seconds[ADA] == pytest.approx((900 - 8 * 59) / 8, rel=0.25)


def test_nothing_is_carried_over() -> None:
    """A kernel that is gone is forgotten, and so is a series when another one takes its place."""
    outlooks = Outlooks()
    for at in range(60):
        outlooks.update({ADA: look(cgroup(900 * MIB - 8 * MIB * at))}, 1000.0 + at)
    shared = {ADA: look(cgroup(400 * MIB)), GRACE: look(cgroup(400 * MIB))}
    assert outlooks.update(shared, 1060.0)[ADA] == math.inf
    assert outlooks.update({}, 1061.0) == {}
    assert outlooks.update({ADA: look(cgroup(400 * MIB))}, 1062.0)[ADA] == math.inf


def test_no_limit_no_forecast() -> None:
    """A kernel without any known limit has none, not an endless one."""
    assert Outlooks().update({ADA: look()}, 1000.0) == {}
