"""A real kernel fills its memory within seconds, and whoever looks sees its end coming."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.daemon import Daemon, running_daemon
from support.jupyter import running_server, wait_until
from support.memory_cgroup import may_make, memory_cgroup
from support.shell import tell

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.skipif(not may_make(), reason="needs root and a memory cgroup"),
]

LIMIT_BYTES = 1 << 30
BALLOON = """
import time
kept, begun = [], time.monotonic()
while True:
    kept.append(bytearray(b"x" * 15_000_000))
    time.sleep(max(0, begun + len(kept) / 4 - time.monotonic()))
"""
"""60 MB/s."""
LEAD_SECONDS = 5.0
SOON_SECONDS = 60.0


def in_metrics(daemon: Daemon, kernel_id: str) -> bool:
    """Whether the forecast says that the kernel's memory ends soon."""
    series = daemon.series("jupyter_kernel_memory_exhaustion_seconds")
    return any(kernel_id in labels and value < SOON_SECONDS for labels, value in series.items())


def on_page(daemon: Daemon, kernel_id: str) -> bool:
    """Whether its row is red and says how many seconds are left."""
    page = daemon.http.get("/", params={"q": "balloon.ipynb"}).text
    row = re.search(rf'<tr[^>]*data-id="{kernel_id}"[^>]*>.*?</tr>', page, re.DOTALL)
    if row is None:
        return False
    left = re.search(r'data-field="exhaustion">(\d+) s<', row[0])
    return left is not None and 'data-level="full"' in row[0]


def test_a_balloon_is_seen_before_it_bursts(tmp_path: Path) -> None:
    """1 GiB at 60 MB/s: on the page and in the metrics at least five seconds before the kill."""
    home = tmp_path / "jupyter"
    home.mkdir()
    with (
        memory_cgroup(LIMIT_BYTES) as cgroup,
        running_server(home) as server,
        running_daemon(tmp_path, f"--runtime-dir={server.folders.runtime}") as daemon,
    ):
        kernel_id = server.start_kernel(notebook="balloon.ipynb")
        server.execute(kernel_id, f"print(open('{cgroup}/cgroup.procs', 'w').write('0'))")
        wait_until(lambda: kernel_id in daemon.kernel_ids(), "it is shown")
        tell(server.connection_file(kernel_id), BALLOON)
        seen: dict[Callable[[Daemon, str], bool], float] = {}

        def deaths() -> list[dict[str, float | str]]:
            for shown in (in_metrics, on_page):
                if shown not in seen and shown(daemon, kernel_id):
                    seen[shown] = time.time()
            answer = daemon.http.get("/api/v1/deaths", params={"kernel_id": kernel_id})
            found: list[dict[str, float | str]] = answer.json()["deaths"]
            return found

        (death,) = wait_until(deaths, "it is killed", within=90, every=0.1)
    assert death["reason"] == "oom_cgroup"
    ended_at = death["end_time_seconds"]
    assert isinstance(ended_at, float)
    leads = {shown.__name__: ended_at - at for shown, at in seen.items()}
    print(leads)
    assert leads.keys() == {"in_metrics", "on_page"}
    assert min(leads.values()) >= LEAD_SECONDS, leads
