"""A real JupyterLab with a few real kernels that behave well and badly, to look at.

The server and the kernels live in a process of their own (:mod:`.demo_server`), which is ended
with everything below it when the block is left, and ends by itself when this process is gone.
"""

import contextlib
import importlib.util
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from jupyter_kernel_exporter.demo_notebooks import PARTS
from jupyter_kernel_exporter.demo_server import (
    START_WITHIN_SECONDS,
    STOP_WITHIN_SECONDS,
    DemoError,
    end_family,
)

__all__ = ["DemoError", "demo_kernels"]

NEEDED = ("jupyterlab", "ipykernel")
"""What the extra ``demo`` brings."""


@contextlib.contextmanager
def demo_kernels(needed: Sequence[str] = NEEDED) -> Iterator[Mapping[str, str]]:
    """Run the demo's kernels while the block runs; yields their ids by notebook.

    Raises :exc:`DemoError` where the demo cannot start; nothing is left of it then.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(
            f"the demo needs {' and '.join(missing)}: pip install 'jupyter-kernel-exporter[demo]'"
        )
    print("Starting JupyterLab with these notebooks:", file=sys.stderr)
    for part in PARTS:
        print(f"  {part.notebook:28} {part.story}", file=sys.stderr)
    stage = subprocess.Popen(
        [sys.executable, "-m", "jupyter_kernel_exporter.demo_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C at a terminal is for this process, which then ends the demo in good order.
        start_new_session=True,
    )
    try:
        yield _wait_until_playing(stage)
    finally:
        _end(stage)


def _wait_until_playing(stage: "subprocess.Popen[bytes]") -> Mapping[str, str]:
    assert stage.stdout is not None
    within = START_WITHIN_SECONDS + 60  # the server, then its kernels
    if not select.select([stage.stdout], [], [], within)[0]:
        raise DemoError(f"the demo did not start within {within:g} s")
    line = stage.stdout.readline()
    if not line:
        raise DemoError("the demo did not start")
    kernels: dict[str, str] = json.loads(line)["kernels"]
    return kernels


def _end(stage: "subprocess.Popen[bytes]") -> None:
    """Closing its standard input ends the demo, and everything that it started."""
    print("Ending the demo's kernels ...", file=sys.stderr)
    assert stage.stdin is not None
    assert stage.stdout is not None
    stage.stdin.close()
    try:
        stage.wait(3 * STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        end_family(stage)
    stage.stdout.close()
