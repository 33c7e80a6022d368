"""From the first byte of a leak to Slack, with everything real but Slack itself.

A real kernel leaks 8 MB each second in a cgroup of 1 GiB, a second one cannot start, and a third
one behaves well beside them. The shipped Prometheus and Alertmanager configurations are used as
they are, with their own waits.
"""

import contextlib
import queue
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.boards import Board, filled, targets
from support.daemon import Daemon, running_daemon
from support.jupyter import Server, kernelspec, running_server, wait_until
from support.memory_cgroup import may_make, memory_cgroup
from support.prometheus import needs_prometheus, running_prometheus, shipped_config
from support.shell import tell
from support.slack import Alertmanager, Slack, running_alertmanager, running_slack

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not may_make(), reason="needs root and a memory cgroup"),
    needs_prometheus,
    pytest.mark.skipif(
        not shutil.which("prometheus-alertmanager"), reason="needs prometheus-alertmanager"
    ),
]

PERSON = "olga"
LIMIT_BYTES = 1 << 30
LEAK_BYTES = 8_000_000
LEAD_SECONDS = 45.0
NOT_HERE = re.compile(
    # The hub's groups, a GPU, a worker process that is killed, an idle hour, an error in a cell;
    # waiting for a disk, of which linux tells nothing by default; records of every five minutes.
    r"usergroup|user_group|gpu|worker_oom|3600|errors|io_wait|max5m|limit_bytes:min"
)
"""Of what the dashboards ask for, that which does not happen in these minutes."""
LEAK = f"""
import time
kept, begun = [], time.monotonic()
while True:
    kept.append(bytearray(b"x" * ({LEAK_BYTES} // 4)))
    time.sleep(max(0, begun + len(kept) / 4 - time.monotonic()))
"""
TIDY = """
import time
kept = bytearray(b"x" * 100_000_000)
while True:
    table = bytearray(b"x" * 20_000_000)
    del table
    time.sleep(0.5)
"""


def telling(config: dict[str, Any], alertmanager: Alertmanager) -> dict[str, Any]:
    """A configuration of Prometheus that tells of its alerts there.

    The daemon sees all kernels of this machine. Those of other tests end as well, and a host on
    which several people's kernels die is an alert of its own, which mutes those of persons.
    """
    targets = [{"targets": [alertmanager.address]}]
    mine = {"source_labels": ["username"], "regex": f"{PERSON}|", "action": "keep"}
    config["scrape_configs"][0]["metric_relabel_configs"] = [mine]
    return {**config, "alerting": {"alertmanagers": [{"static_configs": targets}]}}


def pid_of(daemon: Daemon, kernel_id: str) -> int:
    """The process of a kernel, once the daemon shows it."""

    def found() -> int | None:
        answer = daemon.http.get(f"/api/v1/kernels/{kernel_id}")
        kernel = answer.json().get("kernel") if answer.status_code == 200 else None
        return int(kernel["pid"]) if kernel else None

    pid = wait_until(found, f"{kernel_id} is shown")
    assert pid is not None
    return pid


def deaths_of(daemon: Daemon, kernel_id: str) -> list[dict[str, object]]:
    """What is written down of a kernel's ends, newest first."""
    answer = daemon.http.get("/api/v1/deaths", params={"kernel_id": kernel_id})
    found: list[dict[str, object]] = answer.json()["deaths"]
    return found


def read_slack(slack: Slack, until: float) -> list[tuple[float, str]]:
    """All messages up to a moment, with the time each came: title and text."""
    said = []
    while (left := until - time.time()) > 0:
        with contextlib.suppress(queue.Empty):
            at, message = slack.messages.get(timeout=left)
            (attachment,) = message["attachments"]
            said.append((at, f"{attachment['title']}\n{attachment['text']}"))
    return said


def silent_panels(prometheus: httpx.Client, kernels: Sequence[str], killed_at: float) -> list[str]:
    """The queries of the dashboards that have nothing to say, just before the kill and now."""
    now = time.time()

    def has_data(name: str, target: Board) -> bool:
        for kernel in kernels if "$kernel" in target["expr"] else ("",):
            expr = filled(target["expr"], rate_interval="20s", span="300s", kernel=kernel)
            # What is asked for a moment is asked for each in which something was different.
            span = {"start": now - 300, "end": now, "step": 5}
            if target.get("instant", False):
                span = {"start": killed_at - 5, "end": now, "step": now - killed_at + 5}
            answer = prometheus.get("/api/v1/query_range", params={"query": expr, **span})
            assert answer.status_code == 200, (name, answer.text)
            if answer.json()["data"]["result"]:
                return True
        return False

    return [
        name
        for name, target in targets().items()
        if not NOT_HERE.search(target["expr"]) and not has_data(name, target)
    ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Jupyter server that also has a kernel that cannot start."""
    # Like real ones it gets some way first: Python alone is done in 15 ms, which is too short for a
    # daemon on a machine as busy as that of a test.
    code = "import asyncio, http.client, json, time; time.sleep(0.2); import no_such_module"
    broken = kernelspec(["python3", "-c", code, "{connection_file}"])
    person = {"JUPYTERHUB_USER": PERSON}
    with running_server(tmp_path, kernelspecs={"broken": broken}, environ=person) as running:
        yield running


def test_a_leak_is_told_in_time_and_its_end_by_its_name(tmp_path: Path, server: Server) -> None:
    """Slack hears of the leak 45 s before the kill, then of the kill; of a crash loop once.

    And the dashboards have something to say of all that.
    """
    home = tmp_path / "prometheus"
    with (
        memory_cgroup(LIMIT_BYTES) as cgroup,
        running_daemon(
            tmp_path,
            f"--state-dir={tmp_path}/state",
            f"--runtime-dir={server.folders.runtime}",
        ) as daemon,
        running_slack() as slack,
        running_alertmanager(_made(tmp_path / "alertmanager"), slack, {}) as alertmanager,
        running_prometheus(
            home, telling(shipped_config(home, daemon.port), alertmanager)
        ) as prometheus,
    ):
        leaking = server.start_kernel(notebook="leaking.ipynb")
        tidy = server.start_kernel(notebook="tidy.ipynb")
        (cgroup / "cgroup.procs").write_text(str(pid_of(daemon, leaking)))
        pid_of(daemon, tidy)
        for kernel_id, code in ((leaking, LEAK), (tidy, TIDY)):
            server.execute(kernel_id, "1")
            tell(server.connection_file(kernel_id), code)
        looping = server.start_kernel("broken", notebook="broken.ipynb")
        wait_until(lambda: deaths_of(daemon, leaking), "the leak has ended", within=240)
        (death, *_) = deaths_of(daemon, leaking)
        killed_at = death["end_time_seconds"]
        assert isinstance(killed_at, float)
        assert (death["reason"], death["certain"]) == ("oom_cgroup", True)
        said = read_slack(slack, until=killed_at + 75)
        loop = deaths_of(daemon, looping)
        silent = silent_panels(prometheus, (leaking, tidy, looping), killed_at)

    everything = "\n---\n".join(f"{at - killed_at:+.1f} s {text}" for at, text in said)
    early = [at for at, text in said if "leaking.ipynb" in text and at < killed_at]
    assert early, everything
    assert killed_at - early[0] >= LEAD_SECONDS, everything
    assert any("oom_cgroup" in text for at, text in said if at > killed_at), everything
    assert "tidy.ipynb" not in everything
    assert len(loop) == 6, loop
    assert {one["reason"] for one in loop} == {"startup_failed"}
    assert sum("broken.ipynb" in text for _, text in said) == 1, everything
    assert not silent
    print(f"told {killed_at - early[0]:.1f} s before the kill\n{everything}")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
