"""Real Jupyter servers and kernels for tests: on loopback, with folders of their own, and gone
without a trace afterwards.

    with running_server(tmp_path) as server:
        kernel_id = server.start_kernel("python3", notebook="a.ipynb")
        assert server.execute(kernel_id, "print(6 * 7)") == "42"
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_core.utils import ensure_event_loop

T = TypeVar("T")

DEADLINE_SECONDS = 60.0
"""Nothing that is waited for takes this long, even on a busy machine with two cores."""

WITHOUT_LAB = "--ServerApp.jpserver_extensions=" + str(
    dict.fromkeys(("jupyterlab", "jupyter_lsp", "notebook_shim"), False)
)
"""JupyterLab is there for the demo; each server of a test would only start later with it."""

RUN_VARIABLE = "JKE_TEST_RUN"
"""Marks every process that descends from a test's, whoever adopts it."""

PYTHON_ARGV = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")


def wait_until(
    look: Callable[[], T | None],
    what: str,
    *,
    within: float = DEADLINE_SECONDS,
    every: float = 0.05,
) -> T:
    """Look again and again until what is seen is true in Python's sense; return that."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(every)
    return seen


def kernelspec(argv: Sequence[str], language: str = "python", **more: object) -> dict[str, object]:
    """The contents of a ``kernel.json``."""
    return {"argv": list(argv), "display_name": "of a test", "language": language, **more}


@dataclass(slots=True)
class Folders:
    """Where Jupyter may read and write, all below one folder, and the mark of its processes."""

    home: Path
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def runtime(self) -> Path:
        """Jupyter's runtime directory."""
        return self.home / "runtime"

    @property
    def work(self) -> Path:
        """Where the notebooks are."""
        return self.home / "work"

    def make(self, kernelspecs: Mapping[str, Mapping[str, object]]) -> None:
        """Make the folders, with some kernelspecs in them."""
        for folder in (self.runtime, self.work, self.home / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        for name, spec in kernelspecs.items():
            folder = self.home / "data" / "kernels" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "kernel.json").write_text(json.dumps(spec))

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment for processes of this test; Jupyter's variables of ours are left out."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "JPY_", "JKE_", "XDG_", "IPYTHON"))
        }
        return {
            **inherited,
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "IPYTHONDIR": str(self.home / "ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            RUN_VARIABLE: self.run,
            **(more or {}),
        }

    def processes(self) -> list[psutil.Process]:
        """Every live process that bears the mark, adopted ones too."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(RUN_VARIABLE) == self.run:
                    found.append(process)
        return found

    def end_processes(self) -> None:
        """End whatever still bears the mark, each by its pid, and see that it is gone."""

        def kill_the_rest() -> bool:
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            # Children of ours are zombies until they are waited for.
            psutil.wait_procs(left, timeout=1.0)
            return not left

        wait_until(kill_the_rest, "every process of the test is gone", within=20.0)


def end(process: "subprocess.Popen[Any]", within: float = 20.0) -> int:
    """End a process of ours the polite way, then the other; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(within)


@dataclass(slots=True)
class Server:
    """A Jupyter server that answers."""

    process: "subprocess.Popen[bytes]"
    folders: Folders
    port: int
    token: str
    http: httpx.Client

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What the server and its kernels have written to their standard error so far."""
        return (self.folders.home / "server.log").read_text(errors="replace")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the REST API; what it answers, or ``None`` if that is empty."""
        answer = self.http.request(method, f"/api/{path}", json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}\n{self.log}"
        return answer.json() if answer.content else None

    def start_kernel(self, name: str = "python3", notebook: str | None = None) -> str:
        """Start a kernel, of a notebook's session or alone; its id. It may not be ready yet."""
        if notebook is None:
            return str(self.ask("POST", "kernels", {"name": name})["id"])
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": name}}
        return str(self.ask("POST", "sessions", body)["kernel"]["id"])

    def restart_kernel(self, kernel_id: str) -> None:
        """As a person does with the button."""
        self.ask("POST", f"kernels/{kernel_id}/restart")

    def shut_down_kernel(self, kernel_id: str) -> None:
        """As a person does with the button."""
        self.ask("DELETE", f"kernels/{kernel_id}")

    def kernels(self) -> list[str]:
        """Ids of the kernels that the server knows."""
        return [kernel["id"] for kernel in self.ask("GET", "kernels")]

    def connection_file(self, kernel_id: str) -> Path:
        """Where the server keeps a kernel's connection file."""
        return self.folders.runtime / f"kernel-{kernel_id}.json"

    def execute(self, kernel_id: str, code: str, within: float = DEADLINE_SECONDS) -> str:
        """Run code in a kernel and wait for its end; what it printed, or its result as text."""
        return execute(self.connection_file(kernel_id), code, within)


@contextlib.contextmanager
def running_server(
    home: Path,
    *,
    kernelspecs: Mapping[str, Mapping[str, object]] | None = None,
    environ: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[Server]:
    """A Jupyter server with everything that it reads and writes below ``home``.

    ``kernelspecs`` are there beside the installed ones; ``environ`` is added to its environment.
    In the end the server, its kernels and whatever they started are gone.
    """
    folders = Folders(home)
    folders.make(kernelspecs or {})
    token = secrets.token_hex(16)
    command = [
        # Under nohup kernels would inherit that SIGHUP is ignored.
        "env",
        "--default-signal=HUP",
        sys.executable,
        "-m",
        "jupyter_server",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={folders.work}",
        f"--IdentityProvider.token={token}",
        "--ServerApp.terminals_enabled=False",
        WITHOUT_LAB,
        *arguments,
    ]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=folders.environ(environ),
            cwd=folders.work,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        port = wait_until(lambda: _port_of(process, folders), "the server listens")
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"token {token}"},
            timeout=DEADLINE_SECONDS,
            trust_env=False,
        ) as http:
            yield Server(process, folders, port, token, http)
    finally:
        end(process)
        folders.end_processes()


def _port_of(process: "subprocess.Popen[bytes]", folders: Folders) -> int | None:
    """The port that a server has written down once it listens."""
    if process.poll() is not None:
        raise AssertionError((folders.home / "server.log").read_text(errors="replace"))
    try:
        text = (folders.runtime / f"jpserver-{process.pid}.json").read_text()
        return int(json.loads(text)["port"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


@contextlib.contextmanager
def client_of(connection_file: Path | str) -> Iterator[BlockingKernelClient]:
    """A client of a kernel that answers."""
    path = Path(connection_file)
    wait_until(lambda: path.exists() and path.stat().st_size, f"{path} is written")
    wait_until(lambda: _is_up(path), "the kernel listens")
    with zmq.Context() as context:
        client = BlockingKernelClient(connection_file=str(path), context=context)
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=DEADLINE_SECONDS)
            yield client
        finally:
            client.stop_channels()
            # jupyter_core keeps a loop per thread, and leaves it open when the thread is gone.
            loop = ensure_event_loop()
            if not loop.is_running():  # then it is somebody else's, as that of a browser is
                loop.close()


def _is_up(connection_file: Path) -> bool:
    """Whether a kernel's heartbeat can be heard: a client takes one that is slow to start for dead.

    Seen from outside, for whoever connects to a port where nobody listens may get that very port
    for itself, and then the kernel cannot have it.
    """
    connection = json.loads(connection_file.read_text())
    if connection["transport"] != "tcp":
        return True
    return any(
        c.status == psutil.CONN_LISTEN and getattr(c.laddr, "port", None) == connection["hb_port"]
        for c in psutil.net_connections("tcp")
    )


def execute(connection_file: Path | str, code: str, within: float = DEADLINE_SECONDS) -> str:
    """Run code in a kernel and wait for its end; what it printed, or its result as text.

    Raises :exc:`AssertionError` with the traceback if the code raised something.
    """
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            said.append(content["text"])
        elif message["msg_type"] in {"execute_result", "display_data"}:
            said.append(content["data"].get("text/plain", ""))

    with client_of(connection_file) as client:
        reply = client.execute_interactive(
            code, store_history=False, allow_stdin=False, timeout=within, output_hook=hear
        )
    content = reply["content"]
    assert content["status"] == "ok", "\n".join(content.get("traceback", [str(content)]))
    return "".join(said).strip()
