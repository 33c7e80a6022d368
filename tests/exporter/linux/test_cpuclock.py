"""The CPU clock of another process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.cpuclock import CpuClock, is_own_namespace

SPIN = """
import sys, threading, time
def spin():
    end = time.thread_time() + 0.1
    while time.thread_time() < end: pass
threads = [threading.Thread(target=spin) for _ in range(2)]
[t.start() for t in threads]; [t.join() for t in threads]
print(time.process_time(), flush=True)
sys.stdin.read()
"""


def test_all_threads_count() -> None:
    """What the process says of itself, to the millisecond; and it stands still at rest."""
    command = [sys.executable, "-c", SPIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        clock = CpuClock(child.pid)
        own = float(child.stdout.readline())
        told = clock.read()
        assert told is not None
        assert 0.2 < own <= told < own + 0.05
        time.sleep(0.2)
        again = clock.read()
        assert again is not None
        assert again - told < 0.02
        child.communicate()
    assert clock.read() is None


def test_nobody_has_no_clock() -> None:
    """A pid that nobody has."""
    assert CpuClock(4_194_305).read() is None


@pytest.mark.parametrize(("target", "own"), [(str(os.getpid()), True), ("1", False), (None, False)])
def test_whose_pids_they_are(tmp_path: Path, target: str | None, own: bool) -> None:
    """A /proc of another pid namespace means other processes by the same numbers."""
    if target is not None:
        (tmp_path / "self").symlink_to(target)
    assert is_own_namespace(str(tmp_path)) is own
