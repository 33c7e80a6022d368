"""A daemon that is killed at any moment of a storm of deaths."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_kernel_exporter.publish.deathrow import counter_key
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.store import DEATHS_KEPT

pytestmark = pytest.mark.real

ROUNDS = 20
KEY = counter_key("deaths_total", {})

DAEMON = """
import itertools, os, sys, threading
sys.path[:0] = sys.argv[3].split(os.pathsep)
from jupyter_kernel_exporter.publish.history import History
from support.deathrows import death
history = History.open(sys.argv[1])
def keep():
    while True:
        history.sync()
threading.Thread(target=keep, daemon=True).start()
for number in itertools.count(int(sys.argv[2])):
    new = history.record_death(death(number), [("deaths_total", {})])
    os.write(1, b"%d %d\\n" % (number, new))
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Nothing that was acknowledged is lost, nothing counted twice, no counter goes down.

    Each daemon finds the last deaths of the one before again, as at a real start.
    """
    chance = random.Random(20260101)
    known = counted = 0
    path = os.pathsep.join(sys.path)
    rounds = 0
    # A fast machine must not come to where the oldest deaths make room.
    while rounds < ROUNDS and known < 0.7 * DEATHS_KEPT:
        rounds += 1
        begin = max(0, known - 5)
        command = [sys.executable, "-c", DAEMON, str(tmp_path), str(begin), path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            assert daemon.stdout is not None
            said = [daemon.stdout.readline()]
            time.sleep(chance.uniform(0, 0.1))
            daemon.send_signal(signal.SIGKILL)
            said += daemon.stdout.read().splitlines()
        acknowledged = [[int(word) for word in line.split()] for line in said]
        assert [number for number, _ in acknowledged] == list(
            range(begin, begin + len(acknowledged))
        )
        # What this daemon found again had been counted.
        assert all(new == (number >= known) for number, new in acknowledged)
        known = max(known, begin + len(acknowledged))

        history = History.open(str(tmp_path))
        assert history.problem() == ""
        remembered = {row.process.start_ticks for row in history.deaths(DEATHS_KEPT)}
        total = history.counters()[KEY]
        history.close()
        assert total >= counted
        assert total == len(remembered)
        # The last one may have been written without there being time to say so.
        assert remembered in (set(range(known)), set(range(known + 1)))
        known, counted = len(remembered), int(total)
    assert rounds > 3
    assert counted > ROUNDS
    assert not list(tmp_path.glob("*.damaged-*"))
