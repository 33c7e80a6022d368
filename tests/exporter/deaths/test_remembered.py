"""Dossiers on paper."""

import json

import pytest

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.deaths.remembered import from_text, to_text
from jupyter_kernel_exporter.model import Kernel, ProcessId

PROCESS = ProcessId(4711, 98765)
KERNEL = Kernel("k-1", PROCESS, "eva", "python3", "a.ipynb", ":8888", "c", "/r/k.json", 1.5, True)


def fields(dossier: Dossier) -> dict[str, object]:
    """All of it; dossiers are told apart by identity."""
    return {name: getattr(dossier, name) for name in Dossier.__slots__}


@pytest.mark.parametrize(
    "dossier",
    [
        Dossier(KERNEL),
        Dossier(KERNEL, ProcessId(1, 2), ProcessId(3, 4), ProcessId(5, 6), "/f", "/s", 7, True),
    ],
    ids=["bare", "full"],
)
def test_there_and_back(dossier: Dossier) -> None:
    """Everything but what belongs to a moment."""
    assert fields(from_text(PROCESS, to_text(dossier))) == fields(dossier)


def test_a_name_that_is_no_utf8() -> None:
    """As linux allows it."""
    kernel = Kernel("k", PROCESS, "caf\udce9")
    text = to_text(Dossier(kernel))
    assert text.isascii()
    assert from_text(PROCESS, text).kernel == kernel


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"kernel":{"no":1}}', "null"])
def test_what_is_none_is_refused(text: str) -> None:
    """With one error, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        from_text(PROCESS, text)


def test_what_is_written_down() -> None:
    """A new field is looked at before it goes to disk: it must hold no secret."""
    facts = json.loads(to_text(Dossier(KERNEL)))
    assert set(facts) == {
        "kernel", "parent", "wrapper", "server", "file", "server_file", "cpu_limit_seconds",
        "stillborn",
    }  # fmt: skip
    assert set(facts["kernel"]) == {
        "id", "username", "kernel_name", "notebook", "server", "container", "connection_file",
        "started_at", "ready", "promised_bytes",
    }  # fmt: skip
