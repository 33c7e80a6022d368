"""Whether a /proc hides processes, on made-up ones and on this machine's."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.hiding import what_hides


@pytest.mark.parametrize(
    ("processes", "sentence"),
    [
        ({1: "systemd", 2: "kthreadd"}, ""),
        ({7: "python"}, "hides the processes of other users"),
        ({1: "tini", 2: "python"}, "one container or sandbox"),
        ({1: "tini"}, "one container or sandbox"),
    ],
)
def test_made_up(tmp_path: Path, processes: dict[int, str], sentence: str) -> None:
    """The first process and linux' own show it."""
    for pid, name in processes.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    found = what_hides(str(tmp_path))
    assert sentence in found
    assert bool(sentence) == bool(found)
