"""A Jupyter server as in a container: pid, mount, IPC and network namespaces of its own, a home
that nobody else sees, and a cgroup named as docker names its own. No engine is needed, but root.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support.jupyter import WITHOUT_LAB, Folders, wait_until
from support.memory_cgroup import memory_cgroup

PORTS = {"shell": 50001, "iopub": 50002, "stdin": 50003, "hb": 50004, "control": 50005}
"""Those of the kernel of every container."""
SERVER_PORT = 8888
PYTHON = {"name": "python3"}
TOKEN = "of-a-test"  # reached by the test only
MEMORY_BYTES = 512 << 20

ASK = """
import sys, urllib.request
method, path, body = sys.argv[1:]
request = urllib.request.Request(
    f"http://127.0.0.1:8888/api/{path}", body.encode() or None, method=method,
    headers={"Authorization": "token of-a-test", "Content-Type": "application/json"},
)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(request, timeout=60).read().decode())
"""
EXECUTE = "import sys; from support.jupyter import execute; print(execute(*sys.argv[1:]))"
SEND = """
import sys; from support.jupyter import client_of
with client_of(sys.argv[1]) as client: client.execute(sys.argv[2])
"""


def _may_make() -> bool:
    """Whether namespaces of all these kinds can be made and named here."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("unshare")):
        return False
    name = f"jke-try-{os.getpid()}"
    command = f"ip netns add {name} && ip netns exec {name} unshare -pmif --mount-proc true"
    made = subprocess.run(["sh", "-c", command], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    return made.returncode == 0


needs_namespaces = pytest.mark.skipif(not _may_make(), reason="needs root, unshare and ip netns")


@dataclass(frozen=True)
class Container:
    """One that runs."""

    name: str
    id: str
    """64 digits, as an engine gives them."""
    pid: int
    """Of its first process, as the host sees it."""
    folders: Folders
    """As they are inside: the same in all containers."""

    @property
    def root(self) -> Path:
        """Its root directory, as the host sees it."""
        return Path(f"/proc/{self.pid}/root")

    def outside(self, path: Path) -> Path:
        """A path of the inside, as the host sees it."""
        return Path(f"{self.root}{path}")

    def python(self, code: str, *arguments: str) -> "subprocess.Popen[str]":
        """A program of the host in the container's network."""
        tests = str(Path(__file__).parents[1])
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": tests},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: str) -> str:
        """What such a program prints."""
        with self.python(code, *arguments) as process:
            out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        return out.strip()

    def ask(self, method: str, path: str, body: str = "") -> str:
        """Ask the server's REST API."""
        return self.run(ASK, method, path, body)

    def start_kernel(self, notebook: str) -> str:
        """Start a kernel for a notebook; its id."""
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": PYTHON}
        return str(json.loads(self.ask("POST", "sessions", json.dumps(body)))["kernel"]["id"])

    def connection_file(self, kernel_id: str) -> str:
        """Of a kernel, as the host sees it."""
        return str(self.outside(self.folders.runtime / f"kernel-{kernel_id}.json"))

    def execute(self, kernel_id: str, code: str) -> str:
        """Run a cell to its end; what it printed."""
        return self.run(EXECUTE, self.connection_file(kernel_id), code)

    def send(self, kernel_id: str, code: str) -> None:
        """Run a cell, and do not wait for it."""
        self.run(SEND, self.connection_file(kernel_id), code)


@contextlib.contextmanager
def running_container(home: Path, name: str, user: str) -> Iterator[Container]:
    """A hub's user's Jupyter server in a container; ``home`` may be that of others as well."""
    container_id = os.urandom(32).hex()
    folders = Folders(home)
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(memory_cgroup(MEMORY_BYTES, f"docker-{container_id}.scope"))
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        process = subprocess.Popen(
            [
                *("sh", "-ec", 'echo 0 > "$0"; exec "$@"', str(group / "cgroup.procs")),
                *("ip", "netns", "exec", name, "unshare", "--pid", "--mount", "--ipc"),
                *("--fork", "--kill-child", "--mount-proc"),
                *("sh", "-ec", INSIDE, str(home), *_server(folders)),
            ],
            env=folders.environ({"JUPYTERHUB_USER": user}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(folders.end_processes)
        # unshare passes on only this signal, and its first process takes all others along.
        stack.callback(process.wait)
        stack.callback(process.kill)
        first = wait_until(lambda: psutil.Process(process.pid).children(), "its first process")[0]
        made = Container(name, container_id, first.pid, folders)
        # It is number 1 to itself.
        file = made.outside(folders.runtime / "jpserver-1.json")
        wait_until(lambda: process.poll() is not None or file.exists(), "its server listens")
        assert process.poll() is None
        yield made


INSIDE = """
mount -t tmpfs home "$0"
mkdir "$0/runtime" "$0/work" "$0/tmp"
cd "$0/work"
exec "$@"
"""


def _server(folders: Folders) -> list[str]:
    ports = [f"--KernelManager.{name}_port={port}" for name, port in PORTS.items()]
    return [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={SERVER_PORT}",
        f"--ServerApp.root_dir={folders.work}",
        f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.terminals_enabled=False",
        WITHOUT_LAB,
        "--KernelManager.cache_ports=False",
        *ports,
    ]
