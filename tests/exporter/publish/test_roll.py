"""Who is alive, written down for the next daemon."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.publish.deathrow import Identity
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.roll import Roll


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A history of its own."""
    history = History.open(str(tmp_path / "state"))
    yield history
    history.close()


def dossier(number: int, name: str = "eva") -> Dossier:
    """Of the kernel with this number."""
    return Dossier(Kernel(f"k-{number}", ProcessId(number, number), name))


def test_it_is_written_when_it_changes(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each tick."""
    told: list[object] = []
    remember = history.remember

    def listen(alive: Mapping[Identity, str]) -> None:
        told.append(alive)
        remember(alive)

    monkeypatch.setattr(history, "remember", listen)
    roll = Roll(history, "boot")
    one, two = dossier(1), dossier(2)
    roll.write([one, two])
    roll.write([two, one])
    assert len(told) == 1
    roll.write([one, dossier(2, "bob")])
    roll.write([one])
    roll.write([one])
    assert len(told) == 3
    assert [*history.remembered()] == [Identity("boot", 1, 1)]


def test_it_is_read_by_the_next(history: History) -> None:
    """Apart by boots: another one's pids and ticks mean nothing in this one."""
    Roll(history, "boot-1").write([dossier(1), dossier(2)])
    same = Roll(history, "boot-1").read()
    assert [d.kernel for d in same.here] == [dossier(1).kernel, dossier(2).kernel]
    assert same.of_another_boot == []
    later = Roll(history, "boot-2").read()
    assert later.here == []
    assert [(b, d.kernel.id) for b, d in later.of_another_boot] == [
        ("boot-1", "k-1"),
        ("boot-1", "k-2"),
    ]


def test_notebooks_are_reduced(tmp_path: Path) -> None:
    """What an earlier daemon might show, this one might not even write down again."""
    kernel = Kernel("k-1", ProcessId(1, 1), "eva", notebook="/home/eva/x.ipynb")
    folder = str(tmp_path / "state")
    for mode, seen in (("path", "/home/eva/x.ipynb"), ("basename", "x.ipynb"), ("none", "")):
        history = History.open(folder, notebook="path")
        Roll(history, "boot").write([Dossier(kernel)])
        history.close()
        history = History.open(folder, notebook=mode)
        before = Roll(history, "boot").read()
        history.close()
        assert [d.kernel for d in before.here] == [replace(kernel, notebook=seen)]


def test_what_is_damaged_is_refused(history: History) -> None:
    """As one error."""
    history.remember({Identity("boot", 1, 1): "{}"})
    with pytest.raises(ValueError, match="nothing that was remembered"):
        Roll(history, "boot").read()
