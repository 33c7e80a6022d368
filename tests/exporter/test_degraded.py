"""Disks that refuse, a directory that is taken, a file that is damaged: it serves and counts."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_kernels import Fleet
from jupyter_kernel_exporter.publish.store import FILE
from support.daemon import Daemon, free_port, running_daemon
from support.jupyter import wait_until
from support.processes import needs_root
from support.small_disk import small_disk

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("gcc"), reason="stand-ins for kernels are compiled"),
]

USER = f"degraded-{os.getpid()}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Stand-ins for kernels: one for each death."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTERHUB_USER", USER)
        fleet = Fleet(tmp_path_factory.mktemp("fleet"))
        try:
            fleet.start_standins(8)
            yield fleet
        finally:
            fleet.end()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    with small_disk(tmp_path / "disk", 1) as folder:
        yield folder


def counted(daemon: Daemon, reason: str) -> float:
    """How many kernels of this test have ended so."""
    series = daemon.series("jupyter_kernel_deaths_total")
    found = [v for s, v in series.items() if f'"{USER}"' in s and f'reason="{reason}"' in s]
    return sum(found)


def history_is_up(daemon: Daemon) -> bool:
    """What the metrics say of it."""
    return daemon.series("jupyter_kernel_exporter_source_up")['{source="history"}'] == 1


def a_death_counts(daemon: Daemon, fleet: Fleet) -> str:
    """The next kernel that is left crashes; its id."""
    wait_until(lambda: fleet.kernel_ids <= daemon.kernel_ids() | DEAD, "all are found")
    kernel_id = next(name for name in fleet.kernel_ids if name not in DEAD)
    before = counted(daemon, "segfault")
    DEAD.add(kernel_id)
    os.kill(fleet._processes[kernel_id].pid, signal.SIGSEGV)
    wait_until(lambda: counted(daemon, "segfault") == before + 1, "the death is counted")
    assert daemon.http.get("/").status_code == 200
    return kernel_id


def reasons(daemon: Daemon, kernel_id: str) -> list[str]:
    """Of the deaths of a kernel that can be looked up."""
    rows = daemon.http.get("/api/v1/deaths", params={"kernel_id": kernel_id}).json()["deaths"]
    return [row["reason"] for row in rows]


DEAD: set[str] = set()
"""Kernels that were ended already."""


def said(daemon: Daemon, sentence: str) -> list[str]:
    """The lines of its log that say so."""
    return [line for line in daemon.log.splitlines() if f'msg="{sentence}"' in line]


@needs_root
def test_a_full_disk(disk: Path, tmp_path: Path, fleet: Fleet) -> None:
    """Deaths are kept in memory, and written as soon as there is room."""
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * (2 << 20))
    with running_daemon(tmp_path, f"--state-dir={disk}") as daemon:
        assert not history_is_up(daemon)
        kernel_id = a_death_counts(daemon, fleet)
        assert reasons(daemon, kernel_id) == ["segfault"]
        [line] = said(daemon, "history is not written")
        assert "full" in line or "No space left" in line
        assert said(daemon, "source gives less")
        filler.unlink()
        wait_until(lambda: history_is_up(daemon), "it is written", within=20)
        assert said(daemon, "history is written again")
    with running_daemon(tmp_path, f"--state-dir={disk}") as daemon:
        assert counted(daemon, "segfault") == 1
        assert reasons(daemon, kernel_id) == ["segfault"]


@needs_root
def test_a_read_only_disk(disk: Path, tmp_path: Path, fleet: Fleet) -> None:
    """What it holds counts, and goes on from there in memory."""
    with running_daemon(tmp_path, f"--state-dir={disk}") as daemon:
        a_death_counts(daemon, fleet)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with running_daemon(tmp_path, f"--state-dir={disk}") as daemon:
        assert not history_is_up(daemon)
        assert counted(daemon, "segfault") == 1
        assert reasons(daemon, a_death_counts(daemon, fleet)) == ["segfault"]
        assert counted(daemon, "segfault") == 2
        [line] = said(daemon, "history is not written")
        assert "ead-only" in line


def test_two_daemons_on_one_directory(tmp_path: Path) -> None:
    """The second says so in one line and ends; the first does not notice."""
    with running_daemon(tmp_path, f"--state-dir={tmp_path / 'state'}") as daemon:
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "jupyter_kernel_exporter",
                f"--web.listen-address=127.0.0.1:{free_port()}",
                f"--state-dir={tmp_path / 'state'}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr == (
            f"jupyter-kernel-exporter: another daemon (pid {daemon.process.pid}) uses the state"
            f" directory {tmp_path / 'state'}\n"
        )
        assert history_is_up(daemon)


def test_a_damaged_database(tmp_path: Path, fleet: Fleet) -> None:
    """It is set aside, and one line says where; what follows is counted in a new one."""
    state = tmp_path / "state"
    state.mkdir()
    (state / FILE).write_bytes(b"no database " * 1000)
    with running_daemon(tmp_path, f"--state-dir={state}") as daemon:
        assert history_is_up(daemon)
        a_death_counts(daemon, fleet)
        [line] = said(daemon, "history was damaged and is begun anew")
        [aside] = state.glob("*.damaged-*")
        assert aside.name in line
        # And once more, while it is open: the rows are lost, the counters are not. What is written
        # at the same time may mend the file before anybody reads it.
        before, deaths = counted(daemon, "segfault"), 0

        def noticed() -> bool:
            return len(said(daemon, "history was damaged and is begun anew")) == 2

        while not noticed():
            for name in (FILE, f"{FILE}-wal"):
                # It may be on its way to be set aside.
                with contextlib.suppress(FileNotFoundError), (state / name).open("r+b") as file:
                    file.write(b"\xa5" * (state / name).stat().st_size)
            a_death_counts(daemon, fleet)
            deaths += 1
            with contextlib.suppress(AssertionError):
                wait_until(noticed, "it is begun anew", within=10)
        wait_until(lambda: history_is_up(daemon), "it is written", within=20)
        total = counted(daemon, "segfault")
        assert total == before + deaths
    with running_daemon(tmp_path, f"--state-dir={state}") as daemon:
        assert counted(daemon, "segfault") == total
