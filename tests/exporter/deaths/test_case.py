"""Evidence of one end: when each fact was learnt, whose status it is, what could not be asked."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.deaths.case import WRAPPER_SECONDS, Around, Case, Clocks
from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.ear import Ear
from jupyter_kernel_exporter.deaths.heard import Heard, Moment, Shutdown
from jupyter_kernel_exporter.deaths.oomwatch import OomWatch
from jupyter_kernel_exporter.deaths.patience import look
from jupyter_kernel_exporter.deaths.record import Evidence, ShutdownReply
from jupyter_kernel_exporter.deaths.watch import Ended
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import Kernel, Look, ProcessId, Sample
from support.procfs import FakeProc
from support.snapshots import BARE_SAMPLE

KERNEL, SHELL, SERVER = ProcessId(20, 9_000), ProcessId(19, 8_900), ProcessId(10, 1_000)
END = 100.0
"""CLOCK_MONOTONIC; the kernel was started 10 s before."""
KILLED, ENDED_WELL = WaitStatus(None, 9), WaitStatus(0, None)
SILENT = Ear("1").facts(Moment(0.0, 0.0))
SAMPLE = BARE_SAMPLE._replace(cpu_user_seconds=8.5, cpu_system_seconds=1.0)


def clocks(after: float) -> Clocks:
    """So many seconds after the end."""
    return Clocks(1_700_000_000.0 + after, END + after, END + after)


def around(**facts: Any) -> Around:
    """Nothing is heard, nothing counted."""
    given: dict[str, Any] = {
        "oom": OomWatch(lambda _: {}, log_is_heard=False),
        "heard": None,
        "period_seconds": 3.0,
        "lag_seconds": 0.1,
        "missing": frozenset(),
    }
    return Around(**given | facts)


def case(dossier: Dossier | None = None, **facts: Any) -> Case:
    """An end that has just been noted."""
    given: dict[str, Any] = {"process": KERNEL, "at": END, "exact": True, "status": KILLED}
    return Case(dossier or Dossier(Kernel("1", KERNEL, "eva")), Ended(**given | facts))


def evidence(of: Case, after: float = 0.0, **facts: Any) -> Evidence:
    """As of so many seconds after the end."""
    return of.evidence(clocks(after), around(**facts))


def nothing() -> WaitStatus | None:
    """No late status."""
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files of a kernel and of its server."""
    for name in ("kernel-1.json", "jpserver-10.json"):
        (tmp_path / name).write_text("{}")
    return tmp_path


@pytest.fixture
def dossier(folder: Path) -> Dossier:
    """A kernel whose files can be seen."""
    return Dossier(
        Kernel("1", KERNEL, "eva"),
        parent=SERVER,
        server=SERVER,
        file=f"{folder}/kernel-1.json",
        server_file=f"{folder}/jpserver-10.json",
    )


def test_times_of_the_end() -> None:
    """On three clocks, which all go on by the second."""
    facts = evidence(case(), after=2.0)
    assert facts.ended_at == pytest.approx(1_700_000_000.0)
    assert facts.age_seconds == pytest.approx(10.0)
    assert facts.observed_seconds == pytest.approx(2.0)
    assert case().evidence(clocks(2.0), around(), final=True).observed_seconds == inf


def test_nothing_could_be_asked() -> None:
    """A kernel of which only the process is known."""
    facts = evidence(case())
    assert facts.missing == {"iopub", "runtime_dir", "cgroup"}
    assert facts.file_deleted_seconds is None
    assert facts.server_file_deleted_seconds is None
    assert facts.server_died_seconds is None
    assert facts.shutdown_reply is None
    assert facts.exit_cell is None
    assert facts.parent_changed is None


def test_files_that_nobody_can_ask_for(dossier: Dossier) -> None:
    """A home that does not answer: not as if they were there still, nor as if they were gone."""
    looked = case(dossier)
    looked.look("/nowhere", END + 0.02, nothing, {})
    assert (looked.file_deleted_at, looked.server_file_deleted_at) == (None, None)
    assert looked.files == []
    assert "runtime_dir" in evidence(looked, 0.02).missing


def test_files_that_stay(dossier: Dossier, folder: Path) -> None:
    """They may still go."""
    looked = case(dossier)
    looked.look(str(folder / "no-proc"), END + 0.02, nothing, look(looked.files))
    facts = evidence(looked, 0.02)
    assert (facts.file_deleted_seconds, facts.server_file_deleted_seconds) == (inf, inf)
    assert facts.server_died_seconds == inf


def test_a_deletion_is_dated_to_the_look_before_it(dossier: Dossier, folder: Path) -> None:
    """It happened right after it, perhaps: who looks late must not say that it was late."""
    looked = case(dossier)
    looked.look("/nowhere", END + 0.02, nothing, look(looked.files))
    (folder / "kernel-1.json").unlink()
    looked.look("/nowhere", END + 3.0, nothing, look(looked.files))
    assert evidence(looked, 3.0).file_deleted_seconds == pytest.approx(0.02)
    looked.look("/nowhere", END + 4.0, nothing, look(looked.files))
    assert evidence(looked, 4.0).file_deleted_seconds == pytest.approx(0.02)


def test_what_is_gone_at_the_first_look_went_before_the_end(dossier: Dossier, folder: Path) -> None:
    """A server that stops deletes its own file first."""
    (folder / "jpserver-10.json").unlink()
    looked = case(dossier)
    looked.look("/nowhere", END + 0.7, nothing, look(looked.files))
    assert evidence(looked, 0.7).server_file_deleted_seconds == 0.0


def test_a_server_file_that_went_while_the_kernel_lived(dossier: Dossier) -> None:
    """With the time of then."""
    dossier.server_file_deleted_at = END - 2.5
    assert evidence(case(dossier)).server_file_deleted_seconds == -2.5


def test_files_are_lost_with_the_view_of_their_server(tmp_path: Path) -> None:
    """The path leads through /proc/PID/root of a container; nothing there was deleted."""
    proc = FakeProc(tmp_path / "proc")
    proc.add(10, ["server"], root=str(tmp_path))
    way = f"{proc.root}/10/root"
    for name in ("kernel-1.json", "jpserver-10.json"):
        (tmp_path / name).write_text("{}")
    looked = case(
        Dossier(
            Kernel("1", KERNEL, "eva"),
            server=SERVER,
            file=f"{way}/kernel-1.json",
            server_file=f"{way}/jpserver-10.json",
        )
    )
    proc.remove(10)
    looked.server_ended_at = END - 0.1
    looked.look(proc.root, END + 0.1, nothing, look(looked.files))
    facts = evidence(looked, 0.1)
    assert facts.file_deleted_seconds is None
    assert facts.server_file_deleted_seconds is None
    assert facts.server_died_seconds == pytest.approx(-0.1)


def test_no_server_file_and_yet_a_place_to_look(dossier: Dossier) -> None:
    """A console's kernel: there never was one."""
    dossier.server_file = None
    assert evidence(case(dossier)).server_file_deleted_seconds == inf


def test_the_reap(tmp_path: Path) -> None:
    """A zombie that is gone, or whose pid is another's; unknown where the end itself is."""
    proc = FakeProc(tmp_path / "proc")
    proc.add(20, ["python"], started=90.0)
    looked = case(status=None)
    looked.look(proc.root, END + 0.02, nothing, look(looked.files))
    assert evidence(looked, 0.02).reaped_seconds == inf
    assert evidence(looked, 0.02).status_pending
    proc.add(20, ["sleep"], started=200.0)
    looked.look(proc.root, END + 0.5, lambda: KILLED, look(looked.files))
    facts = evidence(looked, 0.5)
    assert facts.reaped_seconds == pytest.approx(0.5)
    assert (facts.status, facts.status_pending) == (KILLED, False)
    assert evidence(case(exact=False)).reaped_seconds is None


@pytest.mark.parametrize(
    ("status", "wrapper_at", "expected"),
    [
        pytest.param(KILLED, END + 0.01, (KILLED, ENDED_WELL, False), id="both known"),
        pytest.param(None, END + 0.01, (ENDED_WELL, ENDED_WELL, True), id="the shell's alone"),
        pytest.param(
            None, END + WRAPPER_SECONDS + 1, (None, ENDED_WELL, False), id="not at the same time"
        ),
    ],
)
def test_whose_status(
    status: WaitStatus | None, wrapper_at: float, expected: tuple[object, ...]
) -> None:
    """A shell's tells nothing if the kernel's own is known, and little otherwise."""
    wrapped = case(Dossier(Kernel("1", KERNEL, "eva"), wrapper=SHELL), status=status)
    wrapped.wrapper = Ended(SHELL, wrapper_at, exact=True, status=ENDED_WELL)
    facts = evidence(wrapped)
    assert (facts.status, facts.wrapper_status, facts.status_is_wrappers) == expected


def test_a_shell_is_waited_for_a_moment() -> None:
    """Where the kernel's own status is lost, as its child was reaped at once."""
    wrapped = case(Dossier(Kernel("1", KERNEL, "eva"), wrapper=SHELL), status=None)
    wrapped.reaped_at = END
    assert evidence(wrapped, WRAPPER_SECONDS - 0.1).status_pending
    assert not evidence(wrapped, WRAPPER_SECONDS + 0.1).status_pending


def heard(**facts: Any) -> Heard:
    """What was heard of the kernel, over a line that is up since before."""
    given: dict[str, Any] = {"connected": True, "line_changed": Moment(0.0, END - 5)}
    return replace(SILENT, **given | facts)


@pytest.mark.parametrize(
    ("facts", "listened"),
    [
        pytest.param({}, True, id="up all the time"),
        pytest.param(
            {"connected": False, "line_changed": Moment(0.0, END + 0.01)}, True, id="down with it"
        ),
        pytest.param(
            {"connected": False, "line_changed": Moment(0.0, END - 3)}, False, id="down before"
        ),
        pytest.param(
            {"line_changed": Moment(0.0, END + 0.1)}, False, id="up again, with the next process"
        ),
        pytest.param({"line_changed": None, "connected": False}, False, id="never up"),
    ],
)
def test_was_it_listened_to(facts: dict[str, Any], listened: bool) -> None:
    """Silence says something only where somebody was listening."""
    found = evidence(case(), heard=heard(**facts))
    assert found.shutdown_request_seen is (False if listened else None)
    assert ("iopub" in found.missing) is not listened


def test_a_line_that_was_up_is_remembered() -> None:
    """When it is up again, for the next process, nobody could tell."""
    looked = case()
    evidence(looked, heard=heard())
    later = evidence(looked, 1.0, heard=heard(line_changed=Moment(0.0, END + 0.5)))
    assert later.shutdown_reply is ShutdownReply.NONE


@pytest.mark.parametrize(
    ("at", "restart", "expected"),
    [
        (END - 0.2, True, ShutdownReply.RESTART),
        (END - 0.2, False, ShutdownReply.SHUTDOWN),
        (END - 0.2, None, ShutdownReply.NONE),
        (END - 11.0, True, None),  # by the process before
        (END + 0.6, True, None),  # by the next one
    ],
)
def test_what_it_said(at: float, restart: bool | None, expected: ShutdownReply | None) -> None:
    """Of late, and this process; also where the line was not up all the time."""
    said = (Shutdown(Moment(0.0, at), "s", restart),)
    facts = evidence(case(), heard=heard(shutdowns=said, line_changed=None, connected=False))
    assert facts.shutdown_reply is expected
    assert facts.shutdown_request_seen is (None if expected is None else True)


def test_an_exit_cell_is_of_this_process() -> None:
    """One that ran in the process before is no reason."""
    assert evidence(case(), heard=heard(exit_cell=Moment(0.0, END - 1))).exit_cell is True
    assert evidence(case(), heard=heard(exit_cell=Moment(0.0, END - 11))).exit_cell is False


def test_who_spoke_was_ready() -> None:
    """Whatever is known of its ports."""
    of = Kernel("1", KERNEL, "eva", ready=False)
    spoke = heard(session_since=Moment(0.0, END - 1))
    before = heard(session_since=Moment(0.0, END - 11))
    assert evidence(case(Dossier(of)), heard=spoke).ready is True
    assert evidence(case(Dossier(of)), heard=before).ready is False
    assert evidence(case()).ready is None


@pytest.mark.parametrize(
    ("limit", "sample", "stillborn", "expected"),
    [
        (None, SAMPLE, False, False),
        (None, None, True, None),
        (11, SAMPLE, False, True),
        (12, SAMPLE, False, False),
        (11, None, False, None),
    ],
)
def test_cpu_limit(
    limit: int | None, sample: Sample | None, stillborn: bool, expected: bool | None
) -> None:
    """By the last look, which is a second old."""
    of = Dossier(
        Kernel("1", KERNEL, "eva"),
        cpu_limit_seconds=limit,
        last_look=Look(sample) if sample is not None else None,
        stillborn=stillborn,
    )
    assert evidence(case(of)).cpu_limit_reached is expected


def test_the_next_process() -> None:
    """Counted from the start of what the server started: the shell, if there is one."""
    wrapped = case(Dossier(Kernel("1", KERNEL, "eva"), wrapper=SHELL))
    wrapped.successor = ProcessId(30, 10_103)
    facts = evidence(wrapped, 2.0)
    assert facts.successor_seconds == pytest.approx(1.03)
    assert facts.phase_seconds == pytest.approx(0.03)
    alone = case()
    alone.successor = ProcessId(30, 9_990)
    assert evidence(alone, 2.0).successor_seconds == 0.0, "never before the end"


def test_another_parent(dossier: Dossier) -> None:
    """Linux gives orphans to somebody else."""
    assert evidence(case(dossier, parent=10)).parent_changed is False
    assert evidence(case(dossier, parent=1)).parent_changed is True
    assert evidence(case(dossier, parent=None)).parent_changed is None
