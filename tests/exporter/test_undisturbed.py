"""Watching changes nothing: not what Jupyter thinks of a kernel, not how fast a kernel prints.

``PRINT_ROUNDS=20`` in the environment measures longer, for a number to rely on.
"""

import datetime
import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.daemon import Daemon, running_daemon
from support.jupyter import Server, running_server, wait_until

pytestmark = pytest.mark.real

CULL_SECONDS = 12
LATE_SECONDS = 6.0
"""The culler looks each second, the kernel takes a moment to end, and the machine is busy."""
ROUNDS = int(os.environ.get("PRINT_ROUNDS", "3"))
MEGABYTES = 60
"""Printed in each round."""
SLOWER_AT_MOST, COSTLIER_AT_MOST = 1.5, 1.25
"""By the clock, which other tests that run beside this one move as well, and in the kernel's own
CPU time. What is measured with more rounds is a few percent."""
MIB = 1 << 20

PRINTER = """
import pathlib, sys, threading, time

def work(folder):
    chunk = "x" * 1_000_000
    number = 0
    while True:
        while not (folder / f"go-{{number}}").exists():
            time.sleep(0.005)
        begun, used = time.perf_counter(), time.process_time()
        for _ in range({megabytes}):
            sys.stdout.write(chunk)
            sys.stdout.flush()
        took = time.perf_counter() - begun, time.process_time() - used
        (folder / "part").write_text("%f %f" % took)
        (folder / "part").rename(folder / f"done-{{number}}")
        number += 1

threading.Thread(target=work, args=(pathlib.Path({folder!r}),), daemon=True).start()
"""


def ask(server: Server, kernel_id: str) -> dict[str, Any] | None:
    """What the server says of a kernel."""
    found: list[dict[str, Any]] = server.ask("GET", "kernels")
    return next((kernel for kernel in found if kernel["id"] == kernel_id), None)


def is_heard(daemon: Daemon, connection_file: Path) -> bool:
    """Whether the daemon is connected with a kernel's iopub."""
    port = json.loads(connection_file.read_text())["iopub_port"]
    connections = psutil.Process(daemon.process.pid).net_connections("tcp")
    return any(c.status == "ESTABLISHED" and c.raddr.port == port for c in connections)


@pytest.fixture
def culling_server(tmp_path: Path) -> Iterator[Server]:
    """A Jupyter server that culls what is idle for some seconds."""
    arguments = (
        f"--MappingKernelManager.cull_idle_timeout={CULL_SECONDS}",
        "--MappingKernelManager.cull_interval=1",
    )
    with running_server(tmp_path, arguments=arguments) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Jupyter server that keeps its kernels."""
    with running_server(tmp_path) as running:
        yield running


@pytest.mark.patient
def test_the_culler_is_not_held_off(culling_server: Server, tmp_path: Path) -> None:
    """last_activity stays where it was, as do connections and state; the culler comes in time."""
    server = culling_server
    kernel_id = server.start_kernel()
    server.execute(kernel_id, "1")
    wait_until(lambda: (ask(server, kernel_id) or {}).get("connections") == 0, "nobody is there")
    time.sleep(0.2)  # the end of the cell reaches the server
    before = ask(server, kernel_id)
    assert before is not None
    assert before["execution_state"] == "idle"
    with running_daemon(tmp_path) as daemon:
        file = server.connection_file(kernel_id)
        wait_until(lambda: is_heard(daemon, file), "the daemon listens")
        looks = 0
        while (now := ask(server, kernel_id)) is not None:
            assert now == before
            looks += 1
            time.sleep(0.1)
        gone_at = time.time()
        assert looks > 5
        active = datetime.datetime.fromisoformat(before["last_activity"]).timestamp()
        assert CULL_SECONDS <= gone_at - active < CULL_SECONDS + LATE_SECONDS
        assert daemon.series("jupyter_kernel_exporter_source_up")['{source="iopub"}'] == 1


def test_a_kernel_that_prints_a_lot_is_not_slowed(server: Server, tmp_path: Path) -> None:
    """Rounds with the daemon and without take turns; its memory stays bounded."""
    kernel_id = server.start_kernel()
    server.execute(kernel_id, PRINTER.format(megabytes=MEGABYTES, folder=str(tmp_path)))
    file = server.connection_file(kernel_id)
    number = 0

    def measure() -> tuple[float, float]:
        """Seconds by the clock, and of the kernel's CPU time."""
        nonlocal number
        (tmp_path / f"go-{number}").touch()
        done = tmp_path / f"done-{number}"
        wait_until(done.exists, "all is printed", every=0.01)
        number += 1
        took, used = done.read_text().split()
        return float(took), float(used)

    measure()
    without, watched, grown, spent = [], [], [], []
    for _ in range(ROUNDS):
        without.append(measure())
        with running_daemon(tmp_path) as daemon:
            wait_until(lambda: is_heard(daemon, file), "the daemon listens")
            process = psutil.Process(daemon.process.pid)
            rss, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
            watched.append(measure())
            grown.append(process.memory_info().rss - rss)
            spent.append(sum(process.cpu_times()[:2]) - cpu)
    rates, costs = [], []
    for rounds in (without, watched):
        took, used = zip(*rounds, strict=True)
        rates.append(MEGABYTES / statistics.median(took))
        costs.append(statistics.median(used) / MEGABYTES * 1000)
    print(
        f"{rates[0]:.0f} MB/s without the daemon, {rates[1]:.0f} MB/s with it; per GB"
        f" {costs[0]:.2f} s and {costs[1]:.2f} s of the kernel's CPU; the daemon used"
        f" {statistics.median(spent) / MEGABYTES * 1000:.2f} s and grew by"
        f" {max(grown) / MIB:.1f} MiB"
    )
    assert rates[0] / rates[1] < SLOWER_AT_MOST
    assert costs[1] / costs[0] < COSTLIER_AT_MOST
    assert max(grown) < 30 * MIB
