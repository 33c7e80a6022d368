"""Which processes may become kernels, judged by the command line that they run since a moment."""

from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.deaths.newborn import Newborn, look
from support.procfs import FakeProc

KERNEL = ("python3", "-m", "ipykernel_launcher", "-f", "/r/../r/kernel-1.json")
LAUNCHED = {"JPY_PARENT_PID": "42", "JUPYTERHUB_USER": "eva", "JUPYTERHUB_API_TOKEN": "secret"}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """An empty /proc."""
    return FakeProc(tmp_path / "proc")


def test_a_kernel(proc: FakeProc) -> None:
    """All that would be gone with it is noted, and nothing of its secrets."""
    process = proc.add(4711, KERNEL, ppid=42, uid=None, environ=LAUNCHED)
    uid = (proc.folder / "4711").stat().st_uid
    born = look(proc.root, 4711, 12.5)
    assert born == Newborn(process.id, 42, "/r/kernel-1.json", uid, 12.5, "eva")
    assert "secret" not in repr(born)


def test_a_wrapper(proc: FakeProc) -> None:
    """It names the file inside of a string."""
    proc.add(1, ["bash", "-c", "python -m ipykernel_launcher -f /r/kernel-1.json; true"])
    (proc.folder / "1/environ").write_bytes(b"JPY_PARENT_PID=42\0")
    born = look(proc.root, 1, 1.0)
    assert born is not None
    assert born.path == "/r/kernel-1.json"


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        pytest.param(["sleep", "1"], {}, id="another program"),
        pytest.param([], {}, id="a zombie, which has no command line"),
        pytest.param(KERNEL, {"session": 7}, id="a worker, in the kernel's session"),
        pytest.param(KERNEL, {"environ": {}}, id="nobody launched it: somebody looks at the file"),
        pytest.param(["python3", "-f", "kernel-1.json"], {}, id="a path that leads nowhere"),
        pytest.param(["diff", "/r/kernel-1.json", "/r/kernel-2.json"], {}, id="two files"),
        pytest.param(["python3", "-f", "/r/other.json"], {}, id="a file with another name"),
    ],
)
def test_no_kernel(proc: FakeProc, arguments: list[str], more: dict[str, Any]) -> None:
    """Whatever else is started all the time."""
    proc.add(4711, arguments, **{"environ": LAUNCHED} | more)
    assert look(proc.root, 4711, 1.0) is None


def test_gone_between_two_reads(proc: FakeProc) -> None:
    """A command line, and then nothing more to be read."""
    proc.add(4711, KERNEL, environ=LAUNCHED)
    (proc.folder / "4711/stat").unlink()
    assert look(proc.root, 4711, 1.0) is None
    assert look(proc.root, 4712, 1.0) is None
