"""The command ``deaths``."""

import json
from pathlib import Path

import pytest

from jupyter_kernel_exporter.cli import main
from jupyter_kernel_exporter.publish.history import History
from support.deathrows import death


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine in London, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with three deaths, whose daemon is at work."""
    history = History.open(str(tmp_path))
    history.record_death(death(0, because="nobody asked", reason="killed", status="SIGKILL"))
    history.record_death(
        death(1, notebook="a\x1b[2J\n.ipynb", because="it was " + "very " * 40, certain=False)
    )
    history.record_death(death(2, reason="restart_requested", status="exit 0"))
    return tmp_path


def test_newest_first(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its reason, its status, and its sentence below it."""
    assert main(["deaths", f"--state-dir={state}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["WHEN", "PERSON", "NOTEBOOK", "REASON", "STATUS"]
    assert [line.split()[4] for line in lines[1:] if not line.startswith(" ")] == [
        "restart_requested",
        "segfault",
        "killed",
    ]
    assert lines[-1] == "    nobody asked"
    assert any(line.startswith("    probably: it was very") for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_nothing_to_be_obeyed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook's name cannot clear the screen."""
    main(["deaths", f"--state-dir={state}"])
    assert "\x1b" not in capsys.readouterr().out


def test_as_json(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same model as the API's, as many as asked for."""
    assert main(["deaths", f"--state-dir={state}", "--json", "--limit=2"]) == 0
    found = json.loads(capsys.readouterr().out)["deaths"]
    assert [one["kernel_id"] for one in found] == ["k-2", "k-1"]
    assert found[1]["certain"] is False


@pytest.mark.parametrize(
    ("mode", "seen"), [("path", "/home/eva/x.ipynb"), ("basename", "x.ipynb"), ("none", "")]
)
def test_notebooks_of_the_past(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, seen: str
) -> None:
    """No more of them than may be seen now, whatever was written down."""
    history = History.open(str(tmp_path))
    history.record_death(death(1, notebook="/home/eva/x.ipynb"))
    history.close()
    arguments = ["deaths", f"--state-dir={tmp_path}", f"--privacy.notebook={mode}"]
    assert main([*arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["deaths"]
    assert found["notebook"] == seen
    assert main(arguments) == 0
    assert ("x.ipynb" in capsys.readouterr().out) is (mode != "none")


def test_nobody_died(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a history there is nothing to tell, and no error."""
    assert main(["deaths", f"--state-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == "no death has been written down\n"


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is told in one line."""
    (tmp_path / "history.sqlite3").write_text("not a database, but long enough to be one" * 40)
    assert main(["deaths", f"--state-dir={tmp_path}"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"cannot read {tmp_path}/history.sqlite3: damaged")


@pytest.mark.parametrize("limit", ["0", "x", "99999"])
def test_a_senseless_limit(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and status 2."""
    with pytest.raises(SystemExit) as leaving:
        main(["deaths", f"--limit={limit}"])
    assert leaving.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
