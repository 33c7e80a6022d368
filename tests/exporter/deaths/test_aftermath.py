"""Kernels that are gone when the daemon comes back, and what may be said of them."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.deaths.aftermath import (
    MET_SECONDS,
    Aftermath,
    gone_with_machine,
    read_old_kills,
)
from jupyter_kernel_exporter.deaths.case import Clocks
from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.record import Death, Reason, RestartCause
from jupyter_kernel_exporter.linux.oomlog import OomKill
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, read_stat
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel, ProcessId, Scope
from jupyter_kernel_exporter.sources import Unavailable

WALL = 1_800_000_000.0
NOW = 5000.0
"""On both of the other clocks: the machine never slept."""
STARTED = 1000
GONE = ProcessId(2**22 - 7, STARTED * CLOCK_TICKS)
"""Above all pids of a test machine."""
SERVER = ProcessId(2**22 - 9, 900 * CLOCK_TICKS)
DOWN = 600.0
"""How long nobody watched."""


def kill(pid: int, at: float, scope: Scope | None = Scope.CGROUP) -> OomKill:
    """A record of linux."""
    return OomKill(pid, "python3", scope, "/pod", "/pod/x", 4, 3, 2, 1, at, 1)


@dataclass
class Scene:
    """One kernel that is remembered, and how the world looks now."""

    folder: Path
    kills: list[OomKill] | None = field(default_factory=list)
    process: ProcessId = GONE
    server: ProcessId | None = SERVER
    server_lives: bool = True
    file: bool = True
    server_file: bool = True
    successor: float | None = None
    """Start of the next process, seconds after that of the first."""
    since: float | None = WALL - DOWN

    def dossier(self) -> Dossier:
        """What is remembered."""
        file, server_file = self.folder / "file", self.folder / "server_file"
        for path, there in ((file, self.file), (server_file, self.server_file)):
            if there:
                path.touch()
        kernel = Kernel("k", self.process, "eva", "python3", started_at=WALL - 4000, ready=False)
        return Dossier(
            kernel,
            parent=self.server,
            server=self.server,
            file=str(file),
            server_file=str(server_file),
        )

    def table(self) -> Mapping[int, Process]:
        """Who is there."""
        found = {1: Process(ProcessId(1, 1), 0, 1)}
        if self.server_lives and self.server is not None:
            found[self.server.pid] = Process(self.server, 1, self.server.pid)
        return found

    def alive(self) -> list[Dossier]:
        """Kernels that are found now."""
        if self.successor is None:
            return []
        ticks = self.process.start_ticks + round(self.successor * CLOCK_TICKS)
        return [Dossier(Kernel("k", ProcessId(2**22 - 8, ticks), "eva"))]

    def death(self, after: float = 10.0) -> Death | None:
        """What is said of it that many seconds after the start."""
        aftermath = Aftermath("/proc", 1.3, self.since, self.kills)
        aftermath.recall([self.dossier()], NOW)
        aftermath.search([], self.table(), NOW)
        assert aftermath.open_cases == len(list(aftermath.unexplained))
        for seconds in (0.0, after):
            clocks = Clocks(WALL + seconds, NOW + seconds, NOW + seconds)
            deaths = aftermath.look(self.alive(), self.table(), clocks, frozenset())
            if deaths:
                assert aftermath.open_cases == 0
                assert not list(aftermath.unexplained)
                return deaths[0]
        assert aftermath.open_cases == 1
        return None


@pytest.mark.parametrize(
    ("scene", "reason", "words"),
    [
        pytest.param({}, Reason.UNKNOWN, "what is left does not say why", id="nothing"),
        pytest.param({"file": False}, Reason.SHUTDOWN_REQUESTED, "file is gone", id="file"),
        pytest.param(
            {"file": False, "server_file": False, "server_lives": False},
            Reason.SERVER_SHUTDOWN,
            "server was stopped in an orderly way",
            id="server stopped",
        ),
        pytest.param({"server_lives": False}, Reason.UNKNOWN, "left does not", id="server gone"),
        pytest.param({"server": None}, Reason.UNKNOWN, "left does not", id="no server"),
        pytest.param({"successor": 2403.02}, Reason.UNKNOWN, "Jupyter's restarter", id="auto"),
        pytest.param({"successor": 2401.5}, Reason.UNKNOWN, "when a person asks", id="restart"),
        pytest.param(
            {"kills": [kill(GONE.pid, 4700)]}, Reason.OOM_CGROUP, "the cgroup /pod", id="victim"
        ),
        pytest.param(
            {"kills": [kill(GONE.pid, 4700, Scope.HOST)], "successor": 3702.0},
            Reason.OOM_HOST,
            "the machine had run out",
            id="host's victim, restarted",
        ),
        pytest.param(
            {"kills": [kill(GONE.pid, 4700)], "file": False},
            Reason.OOM_CGROUP,
            "linux' OOM killer",
            id="victim, then shut down",
        ),
        pytest.param(
            {"kills": [kill(GONE.pid, 900)]}, Reason.UNKNOWN, "left does not", id="pid before it"
        ),
        pytest.param(
            {"kills": [kill(4242, 4700)]}, Reason.UNKNOWN, "left does not", id="another victim"
        ),
        pytest.param({"kills": None}, Reason.UNKNOWN, "left does not", id="no log"),
    ],
)
def test_what_may_be_said(
    tmp_path: Path, scene: dict[str, Any], reason: Reason, words: str
) -> None:
    """Only what linux has written down is certain; each sentence says that nobody watched."""
    death = Scene(tmp_path, **scene).death()
    assert death is not None
    assert death.verdict.reason is reason
    assert death.verdict.certain is (reason in {Reason.OOM_CGROUP, Reason.OOM_HOST})
    assert words in death.verdict.because
    assert death.verdict.because.endswith("; no daemon was watching then")
    assert death.evidence.status is None
    assert death.evidence.ready is None
    assert "iopub" in death.evidence.missing
    assert death.last_look is None


def test_when_it_was(tmp_path: Path) -> None:
    """The latest moment that is possible, and how much earlier it may have been."""
    death = Scene(tmp_path, file=False).death()
    assert death is not None
    assert death.evidence.ended_at == pytest.approx(WALL)
    assert death.evidence.lag_seconds == pytest.approx(DOWN)
    succeeded = Scene(tmp_path, successor=3900.0).death()
    assert succeeded is not None
    assert succeeded.evidence.ended_at == pytest.approx(WALL - 100)
    assert succeeded.evidence.lag_seconds == pytest.approx(DOWN - 100)
    killed = Scene(tmp_path, kills=[kill(GONE.pid, 4990.5), kill(GONE.pid, 4710.0)]).death()
    assert killed is not None
    assert killed.evidence.ended_at == pytest.approx(WALL - 290)
    assert killed.evidence.lag_seconds == 0
    unknown = Scene(tmp_path, since=None).death()
    assert unknown is not None
    assert unknown.evidence.lag_seconds == pytest.approx(NOW - STARTED)


def test_who_started_the_next_one(tmp_path: Path) -> None:
    """By the phase, as ever."""
    for successor, cause in ((2403.02, RestartCause.AUTOMATIC), (2401.5, RestartCause.REQUESTED)):
        death = Scene(tmp_path, successor=successor).death()
        assert death is not None
        assert death.restart is cause


def test_the_restarter_is_waited_for(tmp_path: Path) -> None:
    """It may have ended just before the daemon came back."""
    assert Scene(tmp_path).death(after=3.0) is None
    assert Scene(tmp_path).death(after=6.0) is not None


def test_a_victim_that_is_named_late(tmp_path: Path) -> None:
    """It ended between the reading of the log and the look at it."""
    scene = Scene(tmp_path)
    aftermath = Aftermath("/proc", 1.3, None, [])
    aftermath.recall([scene.dossier()], NOW)
    aftermath.search([], scene.table(), NOW)
    aftermath.note([kill(GONE.pid, NOW - 0.01)])
    clocks = Clocks(WALL, NOW, NOW)
    [death] = aftermath.look([], scene.table(), clocks, frozenset())
    assert death.verdict.reason is Reason.OOM_CGROUP


def test_who_is_alive_is_waited_for(tmp_path: Path) -> None:
    """Until it is found among the kernels, ends before that, or is no kernel any more."""
    scene = Scene(tmp_path)
    here = read_stat("/proc", 1)
    assert here is not None
    process = ProcessId(1, here.start_ticks)
    dossier = replace_process(scene.dossier(), process)
    table = {1: Process(process, 0, 1)}

    def begun() -> Aftermath:
        aftermath = Aftermath("/proc", 1.3, None, [])
        aftermath.recall([dossier], NOW)
        aftermath.search([], table, NOW)
        assert list(aftermath.unexplained) == [dossier]
        assert aftermath.open_cases == 0
        return aftermath

    met = begun()
    met.search([process], table, NOW)
    assert list(met.unexplained) == []
    ended = begun()
    ended.search([], {}, NOW)
    assert ended.open_cases == 1
    no_kernel = begun()
    no_kernel.search([], table, NOW + MET_SECONDS + 1)
    assert list(no_kernel.unexplained) == []


def replace_process(dossier: Dossier, process: ProcessId) -> Dossier:
    """The same of another process."""
    return Dossier(replace(dossier.kernel, process=process), file=dossier.file)


@pytest.mark.real
def test_a_zombie_still_tells(tmp_path: Path) -> None:
    """Whoever nobody has waited for keeps its status."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        while (stat := read_stat("/proc", child.pid)) is not None and stat.state != "Z":
            pass
        assert stat is not None
        process = ProcessId(child.pid, stat.start_ticks)
        aftermath = Aftermath("/proc", 1.3, None, [])
        aftermath.recall([replace_process(Scene(tmp_path).dossier(), process)], NOW)
        table = {child.pid: Process(process, 1, 1)}
        aftermath.search([], table, NOW)
        [death] = aftermath.look([], table, Clocks(WALL, NOW, NOW), frozenset())
    finally:
        child.wait()
    assert death.verdict.reason is Reason.SEGFAULT
    assert str(death.evidence.status) == "SIGSEGV"
    assert death.evidence.reaped_seconds is None


def test_gone_with_the_machine(tmp_path: Path) -> None:
    """Never certain; at the latest when the machine was started anew."""
    dossier = Scene(tmp_path).dossier()
    death = gone_with_machine(dossier, WALL - 50, WALL - DOWN)
    assert (death.verdict.reason, death.verdict.certain) == (Reason.UNKNOWN, False)
    assert "the machine has been started anew" in death.verdict.because
    assert (death.evidence.ended_at, death.evidence.lag_seconds) == (WALL - 50, DOWN - 50)
    assert gone_with_machine(dossier, WALL, None).evidence.lag_seconds == 4000


def test_the_log_is_read_from_its_start() -> None:
    """As far as it may be read here."""
    try:
        kills = read_old_kills("/proc")
    except Unavailable:
        pytest.skip("may not read /dev/kmsg")
    assert [kill.sequence for kill in kills] == sorted(kill.sequence for kill in kills)
