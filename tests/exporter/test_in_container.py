"""A daemon that is in a container with its kernels: numbers of processes are not the machine's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.apart import needs_unshare
from support.memory_cgroup import may_make

TESTS = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.timeout(180),
    needs_unshare,
    pytest.mark.skipif(not may_make(), reason="needs root and a memory cgroup"),
]


def test_an_oom_kill_is_known_from_the_counters(tmp_path: Path) -> None:
    """Linux' log names the victim by a number that means somebody else here, or nobody."""
    alone = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    told = subprocess.run(
        [*alone, sys.executable, "-m", "support.in_container", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    sources = {source["source"]: source for source in found["sources"]}
    assert not sources["kmsg"]["up"]
    assert "host's pid namespace" in sources["kmsg"]["problem"]
    assert sources["cgroup"]["up"]
    death = found["death"]
    assert (death["reason"], death["certain"]) == ("oom_suspected", False), death
    assert death["evidence"]["cgroup_oom"]["kills"] == 1
    assert "kmsg" in death["missing"]
