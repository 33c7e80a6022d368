"""From the end of a kernel to /metrics: at once, where the reason is known at once."""

import os
import re
import shutil
import signal
import statistics
import time
from pathlib import Path

import pytest

from bench_kernels import Fleet
from support.daemon import Daemon, running_daemon
from support.jupyter import wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("gcc"), reason="stand-ins for kernels are compiled"),
]

KERNELS = 20
MEDIAN_SECONDS = 0.05
"""On a machine that has time for us."""
OVERLOADED_SECONDS = 1.0
"""Where more wants to run than can: nothing to be proud of, yet sooner than the next tick."""


def shown(daemon: Daemon, kernel_id: str) -> float:
    """Wait until /metrics shows the crash of a kernel; when that was."""
    line = re.compile(
        rf'^jupyter_kernel_last_death_timestamp_seconds{{kernel_id="{kernel_id}".*'
        r'reason="segfault".*status="SIGSEGV"',
        re.MULTILINE,
    )
    wait_until(lambda: line.search(daemon.metrics()), f"{kernel_id} is shown", every=0.001)
    return time.monotonic()


def test_a_crash_is_shown_at_once(tmp_path: Path) -> None:
    """Its status says all, so nothing is waited for; the time of a scrape is in it."""
    fleet = Fleet(tmp_path)
    try:
        fleet.start_standins(KERNELS)
        arguments = f"--state-dir={tmp_path}/state", f"--runtime-dir={fleet.runtime_dir}"
        with running_daemon(tmp_path, *arguments) as daemon:
            wait_until(lambda: fleet.kernel_ids <= daemon.kernel_ids(), "all are found")
            kernels = [(name, fleet._processes[name].pid) for name in fleet.kernel_ids]
            took = []
            for kernel_id, pid in kernels:
                began = time.monotonic()
                os.kill(pid, signal.SIGSEGV)
                took.append(shown(daemon, kernel_id) - began)
    finally:
        fleet.end()
    median = statistics.median(took)
    print(f"median {median * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")
    overloaded = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert median < (OVERLOADED_SECONDS if overloaded else MEDIAN_SECONDS), took
