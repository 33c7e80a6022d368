"""What watching costs, beside process-exporter: on the same kernels, in the same run.

    make bench                     all of it, some eight minutes; exit status 1 on a missed target
    make bench ARGS=--quick        fewer kernels and rounds, two minutes; nothing is judged

The daemon runs as it is out of the box, as a process of its own. What is measured and why is said
in docs/performance.md.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from bench_exporters import (
    GROUP_NAMES,
    Exporter,
    kernels_of_ours,
    processes_of_process_exporter,
    run_ours,
    run_process_exporter,
)
from bench_kernels import BenchError, Fleet
from bench_measure import measure_floor, measure_latency, measure_tick, measure_work
from bench_table import Row, Verdict, growth, render


class Size(NamedTuple):
    """How much is started, and how long it is looked at."""

    real: int = 100
    standins: tuple[int, int, int] = (100, 300, 1000)
    rounds: int = 21
    work_seconds: float = 60.0
    tick_seconds: float = 30.0


QUICK = Size(real=10, standins=(30, 60, 120), rounds=5, work_seconds=15.0, tick_seconds=10.0)


class Promise(NamedTuple):
    """What is promised of one shape: shares of process-exporter's, and MiB."""

    latency: float
    work: float | None
    memory: float


REAL = Promise(latency=1 / 20, work=1 / 4, memory=80)
STANDINS = Promise(latency=1 / 7, work=None, memory=140)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
YOUTH_SECONDS = 15.0
"""New processes are looked at more often at first."""
GROWTH = 2.0
"""What one more kernel costs may rise so much from the first step to the second: a thousand are too
many for the processor's caches. What grew with the square would rise by 3.25."""


def measure_shape(
    shape: str, fleet: Fleet, ours: Exporter, peer: Exporter, *, size: Size, promise: Promise
) -> list[Row]:
    """All measures of both exporters over the kernels that are there."""
    say(f"{shape}: {size.rounds} rounds of scrapes")
    latency = measure_latency(ours, peer, size.rounds)
    say(f"{shape}: {size.work_seconds:g} s of work")
    work = measure_work(ours, size.work_seconds)
    floor = measure_floor(fleet.pids, size.rounds)
    mine, others = ours.memory(), peer.memory()
    return [
        Row(shape, "scrape, gzip", "ms", latency.ours, latency.peer, promise.latency),
        Row(shape, "scrape, plain", "ms", latency.ours_plain, latency.peer_plain),
        Row(shape, "CPU: our 15 s, its one scrape", "ms", work, latency.peer_cpu, promise.work),
        Row(shape, "memory, peak", "MiB", mine.peak, others.peak, most=promise.memory),
        Row(shape, "memory, at the end", "MiB", mine.now, others.now),
        Row(shape, "one tick, as the daemon says", "ms", latency.ours_tick),
        Row(shape, "an answer that reads nothing", "ms", latency.ours_page),
        Row(shape, "floor: one bare look at stat", "ms", floor.look),
        Row(shape, "floor: CPU of 15 such looks", "ms", floor.work_cpu),
    ]


@contextlib.contextmanager
def a_fleet(directory: Path) -> Iterator[Fleet]:
    """Kernels, for as long as the context lasts."""
    directory.mkdir()
    fleet = Fleet(directory)
    try:
        yield fleet
    finally:
        fleet.end()


@contextlib.contextmanager
def exporters(fleet: Fleet, directory: Path, groups: str) -> Iterator[tuple[Exporter, Exporter]]:
    """Both exporters, once they show all kernels."""
    with (
        run_ours(fleet.runtime_dir, directory) as ours,
        run_process_exporter(fleet.runtime_dir, directory, groups) as peer,
    ):
        wait_for_all(fleet, ours, peer)
        yield ours, peer


def wait_for_all(fleet: Fleet, ours: Exporter, peer: Exporter) -> None:
    """Wait until both exporters show every kernel that was started."""
    wanted = fleet.kernel_ids
    ours.wait_for("all kernels", lambda body: wanted <= kernels_of_ours(body))
    peer.wait_for("all kernels", lambda body: processes_of_process_exporter(body) == len(wanted))


def bench_real(directory: Path, size: Size, groups: str) -> list[Row]:
    """Real ipykernels."""
    with a_fleet(directory) as fleet:
        shape = f"{size.real} ipykernels"
        say(f"{shape}: starting them")
        fleet.start_real(size.real)
        fleet.settle()
        with exporters(fleet, directory, groups) as (ours, peer):
            return measure_shape(shape, fleet, ours, peer, size=size, promise=REAL)


def bench_standins(directory: Path, size: Size, groups: str) -> list[Row]:
    """Stand-ins, more and more of them; all measures at the most."""
    costs = []
    with a_fleet(directory) as fleet:
        fleet.start_standins(size.standins[0])
        with exporters(fleet, directory, groups) as (ours, peer):
            for count in size.standins:
                fleet.start_standins(count - len(fleet.pids))
                fleet.settle()
                wait_for_all(fleet, ours, peer)
                time.sleep(YOUTH_SECONDS)
                say(f"{count} stand-ins: {size.tick_seconds:g} s of ticks")
                costs.append((count, measure_tick(ours, size.tick_seconds)))
            shape = f"{size.standins[-1]} stand-ins"
            rows = measure_shape(shape, fleet, ours, peer, size=size, promise=STANDINS)
    ticks = [Row(f"{count} stand-ins", "CPU of a tick", "ms", cost) for count, cost in costs]
    steps = " to ".join(map(str, size.standins))
    grown = Row(steps, "growth of a kernel's cost", "", growth(costs), most=GROWTH)
    return [*rows, *ticks, grown]


def say(sentence: str) -> None:
    """Tell how far it is, beside the table."""
    print(sentence, file=sys.stderr, flush=True)


def interrupt(*_: object) -> None:
    """End in an orderly way; a second signal must not cut that short."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer of all; nothing is judged")
    parser.add_argument(
        "--shape", choices=("real", "standins"), help="only one of the two (default: both)"
    )
    parser.add_argument(
        "--groups",
        choices=tuple(GROUP_NAMES),
        default="kernel",
        help="how process-exporter groups: a group for each kernel, or one for all"
        " (default: kernel)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a target was missed or the benchmark cannot be run."""
    arguments = parse_arguments(argv)
    size = QUICK if arguments.quick else Size()
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix="jke-bench-") as name:
            if arguments.shape != "standins":
                rows += bench_real(Path(name) / "real", size, arguments.groups)
            if arguments.shape != "real":
                rows += bench_standins(Path(name) / "standins", size, arguments.groups)
    except (BenchError, OSError, HTTPException, subprocess.CalledProcessError) as error:
        say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        say("bench: interrupted")
        return 130
    if arguments.quick:
        rows = [row._replace(most_ratio=None, most=None) for row in rows]
    print(render(rows))
    return int(any(row.verdict is Verdict.MISS for row in rows))


if __name__ == "__main__":
    sys.exit(main())
