"""How much of a notebook's path may be seen."""

import pytest

from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.privacy import Privacy, reduce_notebook


@pytest.mark.parametrize(
    ("notebook", "mode", "seen"),
    [
        ("/home/a/thesis/x.ipynb", "path", "/home/a/thesis/x.ipynb"),
        ("/home/a/thesis/x.ipynb", "basename", "x.ipynb"),
        ("/home/a/thesis/x.ipynb", "none", ""),
        ("x.ipynb", "basename", "x.ipynb"),
        ("/home/a/thesis/", "basename", "thesis/"),
        ("/", "basename", "/"),
        ("", "basename", ""),
        ("/home/a//", "basename", "a/"),
    ],
)
def test_modes(notebook: str, mode: str, seen: str) -> None:
    """A directory stays recognisable as one."""
    assert reduce_notebook(notebook, mode) == seen


def test_the_same_kernel_gives_the_same_object() -> None:
    """What is prepared once per kernel is kept by its identity."""
    kernel = Kernel("a", ProcessId(1, 2), "alice", notebook="/home/alice/x.ipynb")
    privacy = Privacy("basename")
    (first,) = privacy.reduce([kernel])
    (second,) = privacy.reduce([kernel])
    assert first is second
    assert first.notebook == "x.ipynb"
    renamed = Kernel("a", ProcessId(1, 2), "alice", notebook="/home/alice/y.ipynb")
    assert privacy.reduce([renamed])[0].notebook == "y.ipynb"
