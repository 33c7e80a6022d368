"""Which numbers a forecast is fed with, and for whom."""

import math

import pytest

from jupyter_kernel_exporter.model import Look, MemoryLimit, ProcessId, Scope
from jupyter_kernel_exporter.outlook import Outlooks
from support.snapshots import BARE_SAMPLE, GIB, MIB

ADA, GRACE = ProcessId(1, 1), ProcessId(2, 2)
HOST = MemoryLimit(Scope.HOST, 16 * GIB, 8 * GIB)


def cgroup(headroom: int, place: str = "/pod") -> MemoryLimit:
    """A limit of 1 GiB."""
    return MemoryLimit(Scope.CGROUP, GIB, headroom, place)


def look(*limits: MemoryLimit, anonymous: int = 100 * MIB) -> Look:
    """A look at a kernel below these limits."""
    return Look(BARE_SAMPLE._replace(anonymous_bytes=anonymous), limits)


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


def test_two_limits_that_are_as_near_as_each_other() -> None:
    """Which of them is the tighter changes from look to look; the forecast stays."""
    outlooks = Outlooks()
    for at in range(90):
        left = 900 * MIB - 8 * MIB * at
        host = MemoryLimit(Scope.HOST, 16 * GIB, left + (50 * MIB if at % 2 else -50 * MIB))
        leaking = look(cgroup(left), host, anonymous=(50 + 8 * at) * MIB)
        seconds = outlooks.update({ADA: leaking}, 1000.0 + at)[ADA]
        if at > 40:
            assert seconds == pytest.approx((900 - 8 * at) / 8, abs=15)


def test_many_small_leaks_are_one_large_one() -> None:
    """Eight kernels fill what they share, none of them fast; who sits beside is left alone."""
    outlooks = Outlooks()
    others = [ProcessId(10 + one, 1) for one in range(7)]
    seconds: dict[ProcessId, float] = {}
    for at in range(100):
        limits = (cgroup(900 * MIB - 8 * MIB * at), HOST)
        leaking = look(*limits, anonymous=(50 + at) * MIB)
        idle = {GRACE: look(*limits)}
        seconds = outlooks.update({ADA: leaking} | dict.fromkeys(others, leaking) | idle, at)
    for process in (ADA, *others):
        assert seconds[process] == pytest.approx((900 - 8 * 99) / 8, rel=0.25)
    assert seconds[GRACE] == math.inf


def test_who_comes_in_changes_nothing() -> None:
    """A second kernel starts in a container that is filling up: the first is warned on."""
    outlooks = Outlooks()
    for at in range(80):
        left = cgroup(900 * MIB - 8 * MIB * at)
        looks = {ADA: look(left, HOST, anonymous=(50 + 8 * at) * MIB)}
        if at >= 60:
            looks[GRACE] = look(left, HOST, anonymous=50 * MIB)
        seconds = outlooks.update(looks, 1000.0 + at)
        if at > 45:
            assert seconds[ADA] == pytest.approx((900 - 8 * at) / 8, rel=0.25)


def test_a_machine_that_others_fill() -> None:
    """Something that is no kernel takes 100 MB each second: a kernel that grows a little is not to
    blame for that before it matters."""
    outlooks = Outlooks()
    for at in range(60):
        host = MemoryLimit(Scope.HOST, 16 * GIB, 8 * GIB - 100 * MIB * at)
        seconds = outlooks.update({ADA: look(host, anonymous=(100 + at // 4) * MIB)}, 1000.0 + at)
        assert seconds[ADA] == math.inf


def test_address_space() -> None:
    """What RLIMIT_AS counts is observed, whatever is in it."""
    outlooks = Outlooks()
    seconds = {}
    for at in range(60):
        limit = MemoryLimit(Scope.RLIMIT, 2 * GIB, 900 * MIB - 8 * MIB * at)
        seconds = outlooks.update({ADA: look(limit, HOST)}, 1000.0 + at)
    assert seconds[ADA] == pytest.approx((900 - 8 * 59) / 8, rel=0.25)


@pytest.mark.parametrize("shared", [False, True], ids=["own cgroup", "shared"])
def test_the_next_process_begins_anew(shared: bool) -> None:
    """A kernel that leaked is restarted and leaks again: where the first one got to is no ground
    that the second may walk on unseen."""
    outlooks = Outlooks()
    now = 1000.0
    for life in range(2):
        process = ProcessId(7, life)
        seconds = math.inf
        for at in range(60):
            left = cgroup(900 * MIB - 8 * MIB * at)
            looks = {process: look(left, HOST, anonymous=(50 + 8 * at) * MIB)}
            if shared:
                looks[GRACE] = look(left, HOST, anonymous=50 * MIB)
            now += 1.0
            seconds = outlooks.update(looks, now)[process]
        assert seconds == pytest.approx((900 - 8 * 59) / 8, rel=0.25)
    assert outlooks.update({}, now + 1.0) == {}


def test_no_limit_no_forecast() -> None:
    """A kernel without any known limit has none, not an endless one."""
    assert Outlooks().update({ADA: look()}, 1000.0) == {}
