"""Kernels that end while no daemon is there: the next one finds out, once, and claims no more."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.daemon import Daemon, running_daemon
from support.jupyter import Server, client_of, end, running_server, wait_until
from support.processes import needs_root

pytestmark = [pytest.mark.patient, pytest.mark.real]

USER = f"downtime-{os.getpid()}"
LIMIT = 100 << 20
HOG = """
import os
open({procs!r}, "w").write(str(os.getpid()))
hog = []
while True: hog.append(bytearray(b"x" * (1 << 20)))
"""


@contextlib.contextmanager
def cgroup() -> Iterator[Path]:
    """A cgroup (version 1 of the memory controller) with a limit of 100 MiB."""
    folder = Path(f"/sys/fs/cgroup/memory/jke-{USER}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"cannot make a cgroup here: {error}")
    try:
        yield folder
    finally:

        def removed() -> bool:
            with contextlib.suppress(OSError):  # somebody in it is not quite gone yet
                folder.rmdir()
            return not folder.exists()

        wait_until(removed, "the cgroup is empty")


def process_of(server: Server, kernel_id: str, other_than: int = 0) -> int:
    """Pid of a kernel."""

    def look() -> int | None:
        for process in server.folders.processes():
            with contextlib.suppress(psutil.Error):
                named = any(kernel_id in argument for argument in process.cmdline())
                if named and process.pid != other_than:
                    return process.pid
        return None

    return wait_until(look, f"a process of {kernel_id}")


def deaths(daemon: Daemon) -> dict[int, dict[str, Any]]:
    """The deaths of this test's kernels by pid, each of which died once."""
    answer = daemon.http.get("/api/v1/deaths", params={"username": USER, "limit": "100"})
    found = answer.raise_for_status().json()["deaths"]
    by_pid = {row["pid"]: row for row in found}
    assert len(by_pid) == len(found), found
    return by_pid


def counted(daemon: Daemon) -> dict[str, float]:
    """The counters of this test's user, those above 0, by reason."""
    series = daemon.series("jupyter_kernel_deaths_total")
    return {
        labels.partition('reason="')[2].partition('"')[0]: value
        for labels, value in series.items()
        if f'username="{USER}"' in labels and value
    }


@contextlib.contextmanager
def killed_daemon(home: Path) -> Iterator[Daemon]:
    """A daemon that knows everybody who is alive; killed in the end."""
    with running_daemon(home, f"--state-dir={home / 'state'}", ends_with=-signal.SIGKILL) as daemon:
        yield daemon
        daemon.process.kill()
        daemon.process.wait()


@needs_root
def test_what_ended_while_the_daemon_was_down(tmp_path: Path) -> None:
    """Killed, out of memory, restarted, shut down, stopped with the server.

    Each is there once, right or honestly unknown, whenever the daemon is killed and started again.
    """
    with (
        cgroup() as folder,
        running_server(tmp_path, environ={"JUPYTERHUB_USER": USER}) as server,
    ):
        names = ("killed", "oom", "restarted", "shut", "alive")
        ids = {name: server.start_kernel() for name in names}
        pids = {name: process_of(server, kernel_id) for name, kernel_id in ids.items()}
        with client_of(server.connection_file(ids["oom"])) as client:
            with killed_daemon(tmp_path) as daemon:
                wait_until(lambda: daemon.kernel_ids() >= set(ids.values()), "all are found")
            left_at = time.time()
            client.execute(HOG.format(procs=str(folder / "cgroup.procs")))
            os.kill(pids["killed"], signal.SIGKILL)
            server.restart_kernel(ids["restarted"])
            server.shut_down_kernel(ids["shut"])
            for name in ("killed", "oom", "restarted"):
                process_of(server, ids[name], other_than=pids[name])

        found: dict[int, dict[str, Any]] = {}

        def all_are_found(daemon: Daemon, number: int) -> bool:
            found.update(deaths(daemon))
            return len(found) == number

        with killed_daemon(tmp_path) as daemon:
            started_at = time.time()
            wait_until(lambda: all_are_found(daemon, 4), "all deaths are found")
            total = counted(daemon)
            assert total == {"oom_cgroup": 1, "shutdown_requested": 1, "unknown": 2}
            wait_until(lambda: pids["alive"] in shown(daemon), "who lives is shown")
        verdicts = {name: found[pid] for name, pid in pids.items() if name != "alive"}
        assert {name: row["reason"] for name, row in verdicts.items()} == {
            "killed": "unknown",
            "oom": "oom_cgroup",
            "restarted": "unknown",
            "shut": "shutdown_requested",
        }
        assert [name for name, row in verdicts.items() if row["certain"]] == ["oom"]
        assert "as Jupyter's restarter does" in verdicts["killed"]["because"]
        for row in found.values():
            assert left_at - 1.5 < row["end_time_seconds"] < started_at
            assert row["because"].endswith("no daemon was watching then")
            assert 0 <= row["evidence"]["lag_seconds"] < started_at - left_at + 1.5
        before = dict(found)

        # Once more, and nobody is counted again.
        with running_daemon(tmp_path, f"--state-dir={tmp_path / 'state'}") as daemon:
            alive = {pids["alive"], *(process_of(server, ids[n], pids[n]) for n in names[:3])}
            wait_until(lambda: shown(daemon) >= alive, "who lives is shown")
            assert deaths(daemon) == before
            assert counted(daemon) == total

        # A daemon that ends well leaves the same behind.
        end(server.process)
        with killed_daemon(tmp_path) as daemon:
            wait_until(lambda: all_are_found(daemon, 8), "the server's kernels are found")
            assert {found[pid]["reason"] for pid in alive} == {"server_shutdown"}
            assert counted(daemon) == {**total, "server_shutdown": 4}


def shown(daemon: Daemon) -> set[int]:
    """Pids of the kernels that are shown alive, or were a while ago."""
    infos = daemon.series("jupyter_kernel_info")
    return {int(labels.partition('pid="')[2].partition('"')[0]) for labels in infos}


@needs_root
def test_who_had_died_before_the_first_start_is_no_death(tmp_path: Path) -> None:
    """A connection file that nobody has deleted is no kernel that has ended."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    name = "0badcafe-0000-4000-8000-000000000000"
    (runtime / f"kernel-{name}.json").write_text(
        '{"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5,'
        ' "ip": "127.0.0.1", "key": "", "transport": "tcp", "kernel_name": "python3"}'
    )
    with running_daemon(tmp_path, f"--runtime-dir={runtime}") as daemon:
        taken = daemon.series("jupyter_kernel_exporter_sample_duration_seconds")
        wait_until(
            lambda: daemon.series("jupyter_kernel_exporter_sample_duration_seconds") != taken,
            "another tick",
        )
        answer = daemon.http.get("/api/v1/deaths", params={"kernel_id": name})
        assert answer.json()["deaths"] == []
        assert name not in daemon.metrics()
