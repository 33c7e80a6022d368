"""Many kernels end at once: none is lost, none counted twice, also if the daemon is killed.

``STORM_KERNELS=1000`` in the environment makes it the whole storm, ``STORM_RESTARTS`` and
``STORM_SEED`` kill the daemon more often and at other moments.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench_kernels import Fleet
from support.daemon import Daemon, running_daemon
from support.jupyter import wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("gcc"), reason="stand-ins for kernels are compiled"),
]

KERNELS = int(os.environ.get("STORM_KERNELS", "300"))
PER_SECOND = 100.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)
REASONS = ("killed", "terminated", "segfault")
RESTARTS = int(os.environ.get("STORM_RESTARTS", "4"))
"""How often the daemon is killed."""
SEED = int(os.environ.get("STORM_SEED", "20260102"))
MIB = 1 << 20


@dataclass
class Storm:
    """Stand-ins for kernels of one user, and their ends."""

    fleet: Fleet
    user: str

    def counted(self, daemon: Daemon) -> dict[str, float]:
        """The death counters of this user, those above 0, by reason.

        On a machine that is too busy for the first look, a kernelspec may be unknown for a tick.
        """
        totals: dict[str, float] = {}
        for labels, value in daemon.series("jupyter_kernel_deaths_total").items():
            if f'username="{self.user}"' in labels and value:
                reason = labels.partition('reason="')[2].partition('"')[0]
                totals[reason] = totals.get(reason, 0.0) + value
        return totals

    def end_them(self, pids: Sequence[int], per_second: float) -> None:
        """At a steady pace, by different signals."""
        begun = time.monotonic()
        for number, (pid, sent) in enumerate(zip(pids, itertools.cycle(SIGNALS), strict=False)):
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            os.kill(pid, sent)


@pytest.fixture
def storm(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storm]:
    """As many as the test asks for; none of them is left in the end."""
    user = f"storm-{os.getpid()}-{request.param}"
    monkeypatch.setenv("JUPYTERHUB_USER", user)
    fleet = Fleet(tmp_path)
    try:
        fleet.start_standins(request.param)
        yield Storm(fleet, user)
    finally:
        fleet.end()


def reap(fleet: Fleet, share: float) -> None:
    """Fetch the status of some that have ended, as a server does; the others stay zombies."""
    for process in list(fleet._processes.values())[: int(len(fleet.pids) * share)]:
        process.poll()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("storm", [KERNELS], indirect=True)
def test_no_death_is_lost(tmp_path: Path, storm: Storm) -> None:
    """A hundred in a second: each is counted once, for its reason, and all can be looked up.

    Meanwhile the daemon answers, and stays within bounds.
    """
    pids = storm.fleet.pids
    with running_daemon(tmp_path) as daemon:
        wait_until(lambda: storm.fleet.kernel_ids <= daemon.kernel_ids(), "all are found")
        process = psutil.Process(daemon.process.pid)
        rss, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
        begun = time.monotonic()
        worker = threading.Thread(target=storm.end_them, args=(pids, PER_SECOND))
        worker.start()
        answers: list[float] = []
        highest = rss
        while worker.is_alive() or sum(storm.counted(daemon).values()) < len(pids):
            asked = time.monotonic()
            storm.counted(daemon)
            answers.append(time.monotonic() - asked)
            highest = max(highest, process.memory_info().rss)
            reap(storm.fleet, 0.9)
            time.sleep(0.1)
            assert time.monotonic() - begun < 240, storm.counted(daemon)
        worker.join()
        took = time.monotonic() - begun
        used = sum(process.cpu_times()[:2]) - cpu
        print(
            f"{len(pids)} deaths in {len(pids) / PER_SECOND:g} s; all known after {took:.1f} s,"
            f" with {used:.1f} s of CPU and {(highest - rss) / MIB:.1f} MiB more;"
            f" slowest of {len(answers)} scrapes: {max(answers):.2f} s"
        )
        expected = {r: len(pids[n :: len(SIGNALS)]) for n, r in enumerate(REASONS)}
        assert storm.counted(daemon) == expected
        rows: dict[int, str] = {}
        for reason in REASONS:
            query = {"username": storm.user, "reason": reason, "limit": "1000"}
            found = daemon.http.get("/api/v1/deaths", params=query).json()["deaths"]
            rows |= {row["pid"]: row["reason"] for row in found}
        assert rows == dict(zip(pids, itertools.cycle(REASONS), strict=False))
        assert max(answers) < 5.0
        assert highest - rss < 64 * MIB
        assert used < took + len(pids) * 0.02
        with contextlib.suppress(AssertionError):
            wait_until(lambda: False, "nothing more is counted", within=1.0)
        assert storm.counted(daemon) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("storm", [20 * RESTARTS], indirect=True)
def test_killed_in_the_middle(tmp_path: Path, storm: Storm) -> None:
    """The daemon, at any moment: no counter ever goes down, and each death counts once."""
    chance = random.Random(SEED)
    pids = storm.fleet.pids
    state = f"--state-dir={tmp_path / 'state'}"
    with running_daemon(tmp_path, state, ends_with=-signal.SIGKILL) as daemon:
        wait_until(lambda: storm.fleet.kernel_ids <= daemon.kernel_ids(), "all are found")
        daemon.process.kill()
    worker = threading.Thread(target=storm.end_them, args=(pids, 10.0))
    worker.start()
    seen: dict[str, float] = {}

    def look(daemon: Daemon) -> float:
        now = storm.counted(daemon)
        assert all(now.get(reason, 0.0) >= before for reason, before in seen.items()), (seen, now)
        seen.update(now)
        return sum(now.values())

    for _ in range(RESTARTS):
        with running_daemon(tmp_path, state, ends_with=-signal.SIGKILL) as daemon:
            end = time.monotonic() + chance.uniform(0.0, 1.5)
            while time.monotonic() < end:
                look(daemon)
                reap(storm.fleet, 0.7)
            daemon.process.kill()
    with running_daemon(tmp_path, state) as daemon:
        worker.join()
        wait_until(lambda: look(daemon) >= len(pids), "all deaths are known")
        query = {"username": storm.user, "limit": "1000"}
        rows = daemon.http.get("/api/v1/deaths", params=query).json()["deaths"]
        assert sorted(row["pid"] for row in rows) == sorted(pids)
        assert look(daemon) == len(pids)
        # Whatever was not seen as it was is unknown, and nothing else.
        for row in rows:
            assert row["reason"] in {REASONS[pids.index(row["pid"]) % len(REASONS)], "unknown"}
    assert seen["unknown"] > 0
