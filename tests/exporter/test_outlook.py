"""Which numbers a forecast is fed with, and for whom."""

import math

import pytest

from jupyter_kernel_exporter.model import MemoryLimit, ProcessId, Sample, Scope
from jupyter_kernel_exporter.outlook import Outlooks, Series, choose, find_tightest
from support.snapshots import BARE_SAMPLE, GIB, MIB

ADA, GRACE = ProcessId(1, 1), ProcessId(2, 2)
HOST = MemoryLimit(Scope.HOST, 16 * GIB, 8 * GIB)


def cgroup(headroom: int, place: str = "/pod") -> MemoryLimit:
    """A limit of 1 GiB."""
    return MemoryLimit(Scope.CGROUP, GIB, headroom, place)


def sample(*limits: MemoryLimit, anonymous: int = 100 * MIB) -> Sample:
    """A look at a kernel below these limits."""
    return BARE_SAMPLE._replace(limits=limits, anonymous_bytes=anonymous)


@pytest.mark.parametrize(
    ("limits", "sharers", "series"),
    [
        ((), 1, None),
        ((HOST,), 1, Series("own", 100 * MIB, 100 * MIB + 8 * GIB)),
        ((cgroup(200 * MIB), HOST), 1, Series("cgroup /pod", GIB - 200 * MIB, GIB)),
        ((cgroup(200 * MIB), HOST), 2, Series("own", 100 * MIB, 300 * MIB)),
        (
            (MemoryLimit(Scope.RLIMIT, 2 * GIB, 50 * MIB), cgroup(200 * MIB)),
            2,
            Series("rlimit ", 2 * GIB - 50 * MIB, 2 * GIB),
        ),
        (
            (cgroup(200 * MIB), MemoryLimit(Scope.HOST, 16 * GIB, 90 * MIB)),
            1,
            Series("own", 100 * MIB, 190 * MIB),
        ),
    ],
    ids=["no limit", "host", "own cgroup", "shared cgroup", "rlimit", "full machine"],
)
def test_what_is_observed(
    limits: tuple[MemoryLimit, ...], sharers: int, series: Series | None
) -> None:
    """What counts against the limit that would strike first."""
    assert choose(sample(*limits), find_tightest(limits), {"/pod": sharers}) == series


def test_who_grows_is_named_and_who_sits_beside_is_not() -> None:
    """Two kernels share a cgroup; one leaks 8 MiB each second."""
    outlooks = Outlooks()
    seconds = {}
    for at in range(60):
        left = cgroup(900 * MIB - 8 * MIB * at)
        leaking = sample(left, HOST, anonymous=(50 + 8 * at) * MIB)
        seconds = outlooks.update({ADA: leaking, GRACE: sample(left, HOST)}, 1000.0 + at)
    assert seconds[GRACE] == math.inf
    assert seconds[ADA] == pytest.approx((900 - 8 * 59) / 8, rel=0.25)


def test_a_cgroup_of_its_own() -> None:
    """What the cgroup counts is observed: also what the kernel's processes do not show."""
    outlooks = Outlooks()
    seconds = {}
    for at in range(60):
        on_tmpfs = sample(cgroup(900 * MIB - 8 * MIB * at), HOST)
        seconds = outlooks.update({ADA: on_tmpfs}, 1000.0 + at)
    assert seconds[ADA] == pytest.approx((900 - 8 * 59) / 8, rel=0.25)


def test_nothing_is_carried_over() -> None:
    """A kernel that is gone is forgotten, and so is a series when another one takes its place."""
    outlooks = Outlooks()
    for at in range(60):
        outlooks.update({ADA: sample(cgroup(900 * MIB - 8 * MIB * at))}, 1000.0 + at)
    shared = {ADA: sample(cgroup(400 * MIB)), GRACE: sample(cgroup(400 * MIB))}
    assert outlooks.update(shared, 1060.0)[ADA] == math.inf
    assert outlooks.update({}, 1061.0) == {}
    assert outlooks.update({ADA: sample(cgroup(400 * MIB))}, 1062.0)[ADA] == math.inf


def test_no_limit_no_forecast() -> None:
    """A kernel without any known limit has none, not an endless one."""
    assert Outlooks().update({ADA: sample()}, 1000.0) == {}
