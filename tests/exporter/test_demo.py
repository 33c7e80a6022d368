"""The demo's kernels play their parts, and nothing is left of them however the demo ends."""

import asyncio
import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest

from jupyter_kernel_exporter.demo import DemoError, demo_kernels
from jupyter_kernel_exporter.demo_notebooks import PARTS, Part, play
from jupyter_kernel_exporter.demo_server import (
    Server,
    as_notebook,
    playing_kernels,
    running_server,
)

IN_A_DEMO = """
import signal
from jupyter_kernel_exporter.demo import demo_kernels

with demo_kernels() as kernels:
    print(*kernels.values(), flush=True)
    signal.pause()
"""


class CurtainError(Exception):
    """The test has seen enough."""


class ScriptedKernel:
    """Answers in order, and loses what it was asked when its script says it dies."""

    def __init__(self, dies_of: tuple[str, ...] = (), stop_after: int = 5) -> None:
        self.ran: list[str] = []
        self._dies_of = dies_of
        self._stop_after = stop_after
        self._asked = 0
        self._answers: list[str] = []

    def execute(self, code: str, *, silent: bool, store_history: bool) -> str:
        """Take a cell, and answer it unless the cell is deadly."""
        assert not silent
        assert not store_history
        if len(self.ran) == self._stop_after:
            raise CurtainError
        self.ran.append(code)
        return self._question(answered=code not in self._dies_of)

    def kernel_info(self) -> str:
        """Answer with a sign of life."""
        return self._question(answered=True)

    async def get_shell_msg(self, *, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109  # theirs
        """Hand out the next answer, and wait for none."""
        del timeout
        if not self._answers:
            raise queue.Empty
        return {"parent_header": {"msg_id": self._answers.pop(0)}}

    def _question(self, *, answered: bool) -> str:
        self._asked += 1
        if answered:
            self._answers.append(str(self._asked))
        return str(self._asked)


@pytest.mark.parametrize(
    ("rounds", "dies_of", "ran", "restarts"),
    [
        pytest.param(0, (), ["setup", "cell", "cell", "cell", "cell"], 0, id="for ever"),
        pytest.param(1, (), ["setup", "cell", "setup", "cell", "setup"], 2, id="restarted"),
        pytest.param(0, ("cell",), ["setup", "cell", "setup", "cell", "setup"], 0, id="crashes"),
        pytest.param(1, ("setup",), ["setup"] * 5, 0, id="crashes in its first cell"),
    ],
)
def test_a_new_process_plays_its_part_from_the_top(
    rounds: int, dies_of: tuple[str, ...], ran: list[str], restarts: int
) -> None:
    """The setup cell runs once in each process; a restart is asked for after the last round."""
    kernel = ScriptedKernel(dies_of)
    restarted: list[str] = []
    part = Part("a.ipynb", "", "setup", "cell", every_seconds=0.0, rounds=rounds)

    async def restart() -> None:
        restarted.append(part.notebook)

    with pytest.raises(CurtainError):
        asyncio.run(play(part, kernel, restart))
    assert (kernel.ran, len(restarted)) == (ran, restarts)


def test_the_five_parts_have_names_of_their_own() -> None:
    """A notebook's name tells its part, so no two share one."""
    assert len({part.notebook for part in PARTS}) == len(PARTS) == 5


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.notebook)
def test_a_notebook_shows_what_is_played(part: Part) -> None:
    """Whoever opens it reads the story and the two cells, in a notebook that Jupyter takes."""
    notebook = nbformat.from_dict(as_notebook(part))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] == [part.story, part.setup, part.cell]


def test_a_missing_library_is_one_clear_line() -> None:
    """Without the extra the demo says what to install, and starts nothing."""
    demo = demo_kernels(needed=("json", "no_such_library"))
    with pytest.raises(DemoError, match=r"needs no_such_library: pip install"):
        demo.__enter__()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def never(seconds: float) -> bool:
    """Nobody ends the demo from outside; wait as long as asked."""
    time.sleep(seconds)
    return False


def kernel_pids(server: Server, kernel_id: str) -> set[int]:
    """The processes that play a kernel now: one, or none between two."""
    pids = set()
    for child in psutil.Process(server.process.pid).children():
        try:
            if any(kernel_id in word for word in child.cmdline()):
                pids.add(child.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return pids


async def pids_after_restarts(server: Server, *parts: Part) -> set[int]:
    """Let each part play until its kernel has had two processes; all that were seen."""
    seen: set[int] = set()
    async with playing_kernels(server, parts) as kernels, asyncio.timeout(60):
        for kernel_id in kernels.values():
            pids: set[int] = set()
            while len(pids) < 2:
                pids |= kernel_pids(server, kernel_id)
                await asyncio.sleep(0.05)
            seen |= pids
    return seen


@pytest.mark.patient
@pytest.mark.real
def test_real_kernels_crash_and_are_restarted(tmp_path: Path) -> None:
    """A crash brings a new process by the server's own hand, a full round one by request."""
    crash = PARTS[3]._replace(every_seconds=0.1)
    full = Part("full.ipynb", "", "full = []", "full.append(1)", every_seconds=0.1, rounds=2)
    with running_server(never, str(tmp_path)) as server:
        pids = asyncio.run(pids_after_restarts(server, crash, full))
    assert not [pid for pid in (server.process.pid, *pids) if psutil.pid_exists(pid)]
    assert list(tmp_path.iterdir()) == []


async def start(server: Server, *parts: Part) -> None:
    """Start the kernels, and end them at once."""
    async with playing_kernels(server, parts):
        pass


def start_badly(folder: Path, seen: list[int]) -> None:
    """Start two notebooks of which the second cannot be written."""
    good = PARTS[4]
    bad = good._replace(notebook="no such folder/a.ipynb")
    with running_server(never, str(folder)) as server:
        seen.append(server.process.pid)
        asyncio.run(start(server, good, bad))


@pytest.mark.patient
@pytest.mark.real
def test_a_start_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    """Where the second notebook fails, the first one's kernel and the server go again."""
    seen: list[int] = []
    with pytest.raises(FileNotFoundError):
        start_badly(tmp_path, seen)
    assert not psutil.pid_exists(seen[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.patient
@pytest.mark.real
@pytest.mark.parametrize(
    "end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name
)
@pytest.mark.parametrize("when", ["playing", "starting"])
def test_nothing_is_left_however_it_ends(tmp_path: Path, end: signal.Signals, when: str) -> None:
    """Ctrl-C, an orderly end and a violent one take the server, the kernels and files along."""
    demo = subprocess.Popen(
        [sys.executable, "-c", IN_A_DEMO],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with demo:
        assert demo.stdout is not None
        try:
            me = psutil.Process(demo.pid)
            if when == "playing":
                assert len(demo.stdout.readline().split()) == len(PARTS)
            else:
                wait_for(lambda: len(me.children(recursive=True)) >= 2)
            family = me.children(recursive=True)
            assert len(family) >= (7 if when == "playing" else 2)
        finally:
            demo.send_signal(end)
        demo.wait(60)
        wait_for(lambda: not [child for child in family if child.is_running()])
        wait_for(lambda: list(tmp_path.iterdir()) == [])


@pytest.mark.patient
@pytest.mark.real
def test_its_page_is_where_it_says(tmp_path: Path) -> None:
    """As in a container, where people come in by another port than the one inside: a link with the
    token opens JupyterLab, and without it nobody gets in."""
    port = port_that_no_kernel_takes()
    told = tmp_path / "told"
    folder = tmp_path / "tmp"
    folder.mkdir()
    with told.open("wb") as out:
        demo = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_kernel_exporter.demo_server"),
                *("--host=0.0.0.0", f"--port={port}", "--shown-port=18889"),
            ],
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
        )
    with demo:
        assert demo.stdin is not None
        assert demo.stdout is not None
        demo.stdout.readline()
        link = re.search(
            r"^JupyterLab: http://localhost:18889(/lab\?token=\w+)$", told.read_text(), re.MULTILINE
        )
        assert link, told.read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            page = http.get(link[1])
            http.cookies.clear()
            locked = http.get("/lab")
        demo.stdin.close()
        assert demo.wait(60) == 0
    assert "jupyter-config-data" in page.text
    assert locked.status_code == 302
    assert list(folder.iterdir()) == []


def port_that_no_kernel_takes() -> int:
    """A free port below those that linux hands out: the kernels start before the daemon listens."""
    for port in range(21_000, 30_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@pytest.mark.patient
@pytest.mark.real
def test_the_daemon_watches_its_demo_until_it_is_interrupted(tmp_path: Path) -> None:
    """The command as people type it: five notebooks by name, and Ctrl-C is a good end."""
    port = port_that_no_kernel_takes()
    log = tmp_path / "log"
    folder = tmp_path / "tmp"
    folder.mkdir()
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_kernel_exporter", "demo"),
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    with demo, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

        def shown() -> bool:
            assert demo.poll() is None, log.read_text()
            try:
                kernels = http.get("/api/v1/kernels").json()["kernels"]
            except httpx.TransportError:
                return False
            return {part.notebook for part in PARTS} <= {k["notebook"] for k in kernels}

        try:
            wait_for(shown)
            family = psutil.Process(demo.pid).children(recursive=True)
            assert len(family) >= 7
        finally:
            demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0, log.read_text()
    assert not [child for child in family if child.is_running()]
    assert list(folder.iterdir()) == []
    assert "Traceback" not in log.read_text()
