"""The demo's own process: a real JupyterLab, its kernels, and those who drive them.

It lives apart from the daemon, so that the daemon's memory and threads are its own, and so that
nothing is left over however the daemon ends: this process waits for the end of its standard
input, which comes when the daemon closes it, is killed or crashes, and then takes everything down.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from jupyter_kernel_exporter.demo_notebooks import PARTS, Part, play

START_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 10.0
LOOPBACK = "127.0.0.1"

KERNELSPEC = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"}
}
"""JupyterLab asks nobody outside for news, and no visitor whether it may."""


class DemoError(RuntimeError):
    """The demo cannot run; the text is one clear line."""


class Server(NamedTuple):
    """A JupyterLab that answers."""

    process: "subprocess.Popen[bytes]"
    home: Path
    """Folder of everything it reads and writes."""
    port: int
    token: str

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the server's REST API; raises :exc:`DemoError` for a refusal."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"token {self.token}"})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 400:
            raise DemoError(f"the demo's JupyterLab refused {method} {path}: {answer.status}")
        return json.loads(content) if content else None


@contextlib.contextmanager
def running_server(
    ended: Callable[[float], bool], inside: str | None = None, host: str = LOOPBACK, port: int = 0
) -> Iterator[Server]:
    """A JupyterLab in a folder of its own; it, its kernels and the folder go in the end.

    ``ended`` waits for so many seconds for the end of the demo, and says whether it came. Port 0
    takes one that is free.
    """
    home = Path(tempfile.mkdtemp(prefix="jupyter-kernel-exporter-demo-", dir=inside))
    process: subprocess.Popen[bytes] | None = None
    try:
        process = _start(home, host, port)
        yield _wait_for_server(process, home, ended)
    finally:
        if process is not None:
            end_family(process)
        shutil.rmtree(home)


@contextlib.asynccontextmanager
async def playing_kernels(server: Server, parts: Sequence[Part]) -> AsyncIterator[dict[str, str]]:
    """A session for each part, and a task that drives it; yields kernel ids by notebook."""
    kernels = {}
    tasks = []
    try:
        for part in parts:
            (server.home / "notebooks" / part.notebook).write_text(json.dumps(as_notebook(part)))
            kernels[part.notebook] = kernel_id = await _open_session(server, part)
            tasks.append(asyncio.create_task(_drive(server, part, kernel_id)))
        yield kernels
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _play_until(ended: Callable[[float], bool], server: Server) -> int:
    async with playing_kernels(server, PARTS) as kernels:
        print(json.dumps({"port": server.port, "kernels": kernels}), flush=True)
        while server.process.poll() is None:
            if await asyncio.to_thread(ended, 1.0):
                return 0
    print("demo: JupyterLab ended by itself", file=sys.stderr)
    return 1


def main(words: Sequence[str] | None = None) -> int:
    """Run the demo until standard input ends; say in a line of JSON on standard output it runs."""
    parser = argparse.ArgumentParser(prog="demo_server", description=main.__doc__)
    parser.add_argument("--host", default=LOOPBACK, help="where JupyterLab listens")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--shown-port", type=int, help="where people find it, if that is another")
    options = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _leave)
    try:
        with running_server(_input_ends, host=options.host, port=options.port) as server:
            shown = options.shown_port or server.port
            # As JupyterLab itself does it: who may read this log may open the page.
            print(f"JupyterLab: http://localhost:{shown}/lab?token={server.token}", file=sys.stderr)
            return asyncio.run(_play_until(_input_ends, server))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def end_family(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, which should end its children; end by force those still there."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    try:
        process.wait(STOP_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # psutil compares the start time as well: a pid that was reused is left alone.
    left = [child for child in family if child.is_running()]
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left, STOP_WITHIN_SECONDS)


def _leave(*_: object) -> None:
    """Leave by way of the blocks that clean up, which a second signal must not cut short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def as_notebook(part: Part) -> dict[str, object]:
    """What a person reads who opens it in JupyterLab: the story, and the cells that are played."""
    cells: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "story", "metadata": {}, "source": part.story}
    ]
    for name, source in (("setup", part.setup), ("cell", part.cell)):
        code: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}
        cells.append({**code, "id": name, "metadata": {}, "source": source})
    spec = {"name": "python3", "display_name": KERNELSPEC["display_name"]}
    return {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}


def _start(home: Path, host: str, port: int) -> "subprocess.Popen[bytes]":
    for folder in ("runtime", "tmp", "data/kernels/python3", "ipython", "notebooks", "settings"):
        (home / folder).mkdir(parents=True)
    (home / "data/kernels/python3/kernel.json").write_text(json.dumps(KERNELSPEC))
    (home / "settings/overrides.json").write_text(json.dumps(SETTINGS))
    environment = {
        **os.environ,
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        # Not on the command line, which every user of the machine may read.
        "JUPYTER_TOKEN": secrets.token_hex(),
        # Jupyter's own temporary folders are never removed; here they go with all else.
        "TMPDIR": str(home / "tmp"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    settings = {
        "ServerApp.ip": host,
        "ServerApp.port": port,
        "ServerApp.root_dir": home / "notebooks",
        "ServerApp.terminals_enabled": False,
        "LabApp.app_settings_dir": home / "settings",
        "LabApp.extension_manager": "readonly",
    }
    command += [f"--{name}={value}" for name, value in settings.items()]
    with open(home / "server.log", "wb") as log:
        return subprocess.Popen(
            command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _wait_for_server(
    process: "subprocess.Popen[bytes]", home: Path, ended: Callable[[float], bool]
) -> Server:
    """JupyterLab writes down its port and token once it listens."""
    told = home / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + START_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            said = json.loads(told.read_text())
            server = Server(process, home, said["port"], said["token"])
            with contextlib.suppress(ConnectionRefusedError):
                server.ask("GET", "/api/status")
                return server
        if ended(0.1):
            sys.exit(0)
    log = (home / "server.log").read_text(errors="replace").strip()
    last = log.rpartition("\n")[2] or "it said nothing"
    raise DemoError(f"the demo's JupyterLab did not start: {last}")


async def _open_session(server: Server, part: Part) -> str:
    session = await asyncio.to_thread(
        server.ask,
        "POST",
        "/api/sessions",
        {
            "path": part.notebook,
            "name": part.notebook,
            "type": "notebook",
            "kernel": {"name": "python3"},
        },
    )
    return str(session["kernel"]["id"])


async def _drive(server: Server, part: Part, kernel_id: str) -> None:
    from jupyter_client.asynchronous.client import AsyncKernelClient  # noqa: PLC0415  # slow

    async def restart() -> None:
        await asyncio.to_thread(server.ask, "POST", f"/api/kernels/{kernel_id}/restart")

    client = AsyncKernelClient()
    client.load_connection_file(str(server.home / "runtime" / f"kernel-{kernel_id}.json"))
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    try:
        await play(part, client, restart)
    except (TimeoutError, DemoError, OSError, http.client.HTTPException) as error:
        print(f"demo: {part.notebook} stopped playing: {error!r}", file=sys.stderr)
    finally:
        client.stop_channels()


def _input_ends(within_seconds: float) -> bool:
    """Nobody writes to standard input: that it can be read means that it ended."""
    return bool(select.select([sys.stdin], [], [], within_seconds)[0])


if __name__ == "__main__":
    sys.exit(main())
