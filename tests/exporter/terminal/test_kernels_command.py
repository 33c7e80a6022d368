"""The command ``kernels``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_kernel_exporter.serve.api import kernels_model
from jupyter_kernel_exporter.terminal.kernels import as_lines
from jupyter_kernel_exporter.terminal.text import width
from support.jupyter import running_server, wait_until
from support.snapshots import GIB, MIB, NOW, full_snapshot, live, snapshot


def test_the_table() -> None:
    """Every kernel is a line of at most 80 columns, the largest first."""
    lines = as_lines(kernels_model(full_snapshot(), {}), 80, colour=False)
    assert lines[0].split() == [
        "PERSON", "NOTEBOOK", "KERNEL", "STATE", "MEMORY", "LEFT", "ENDS", "IN", "CPU", "UP",
    ]  # fmt: skip
    assert lines[1].startswith("ada ")
    assert "1.2 GiB" in lines[1]
    assert " 12 min " in lines[1]
    assert all(width(line) <= 80 for line in lines[:4])
    assert "\n" not in "".join(lines)
    assert lines[-1] == "environ: 3 kernels keep theirs <b>secret</b>"


def test_trouble_comes_first() -> None:
    """A small kernel that runs out soon stands above a large one that does not."""
    small = live("small", username="small", rss_bytes=50 * MIB, exhaustion_seconds=40.0)
    large = live("large", username="large", rss_bytes=9 * GIB)
    lines = as_lines(kernels_model(snapshot(large, small), {}), 80, colour=False)
    assert [line.split()[0] for line in lines[1:3]] == ["small", "large"]


def test_colour_shows_pressure() -> None:
    """A kernel with less than a fifth of its limit left stands out."""
    plain = as_lines(kernels_model(full_snapshot(), {}), 80, colour=False)
    painted = as_lines(kernels_model(full_snapshot(), {}), 80, colour=True)
    assert "\x1b[" not in "".join(plain)
    assert "\x1b[" in "".join(painted)


def test_nobody_is_there() -> None:
    """An empty host is told in words."""
    (line,) = as_lines(kernels_model(snapshot(taken_at=NOW), {}), 80, colour=False)
    assert line == "no Jupyter kernel is running that can be seen"


@pytest.mark.real
def test_a_real_kernel(tmp_path: Path) -> None:
    """It shows a real kernel, without any daemon, as a table and as JSON."""
    with running_server(tmp_path) as server:
        kernel_id = server.start_kernel(notebook="seen.ipynb")
        command = [
            sys.executable,
            "-m",
            "jupyter_kernel_exporter",
            "kernels",
            f"--runtime-dir={server.folders.runtime}",
        ]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("JKE_")}

        def shown() -> bool:
            said = subprocess.run(
                [*command, "--json"], env=environ, capture_output=True, check=True, text=True
            )
            return kernel_id in {k["kernel_id"] for k in json.loads(said.stdout)["kernels"]}

        wait_until(shown, "the kernel is shown")
        said = subprocess.run(command, env=environ, capture_output=True, check=True, text=True)
        assert "seen.ipynb" in said.stdout
        assert "\x1b" not in said.stdout
