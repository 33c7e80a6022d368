"""Kernels of every kind at once, beside processes that are easily taken for one.

with running_zoo(tmp_path) as zoo:
    assert zoo.watch.kernels().keys() == set(zoo.ids.values())
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.manager import KernelManager

from jupyter_kernel_exporter.discover import Discovery, Found
from jupyter_kernel_exporter.linux.host import boot_time
from jupyter_kernel_exporter.linux.proctable import ProcessTable
from jupyter_kernel_exporter.model import Kernel
from support.jupyter import (
    DEADLINE_SECONDS,
    PYTHON_ARGV,
    Folders,
    Server,
    end,
    kernelspec,
    running_server,
    wait_until,
)

IS_ROOT = os.getuid() == 0
RUN = f"of-run-{os.getpid()}"
"""Part of the ids that the tests choose: two runs may go on at the same time."""

AT_A_TIME = 4

HUB = {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVER_NAME": "gpu"}
_LAUNCH = f"{sys.executable} -m ipykernel_launcher -f {{connection_file}}"
_UNSHARED = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", *PYTHON_ARGV)

STARTED_BY_SERVER: Mapping[str, tuple[str, str]] = {
    "python3": ("python3", "a.ipynb"),
    "other": ("other", "sub/b.ipynb"),
    **{f"python3 {n}": ("python3", f"p{n}.ipynb") for n in range(2, 11)},
    **{f"other {n}": ("other", f"o{n}.ipynb") for n in range(2, 11)},
    "xpython": ("xpython", ""),
    "ir": ("ir", ""),
    "wrapped": ("wrapped", "c.ipynb"),
    "unshared": ("unshared", ""),
}
"""Kernelspecs, and the notebooks that they are started for: twenty ipykernels, and the others."""

_WORKERS = """
import multiprocessing, time
fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=time.sleep, args=(3600,), daemon=True) for _ in range(10)]
for worker in workers:
    worker.start()
print(len(workers))
"""
_RUN_A_NOTEBOOK = """
import nbformat
from nbclient import NotebookClient
cell = nbformat.v4.new_code_cell("input_is_never_given = __import__('time').sleep(3600)")
NotebookClient(nbformat.v4.new_notebook(cells=[cell]), timeout=None).execute()
"""
_EMBED = "from ipykernel.embed import embed_kernel; embed_kernel()"
_TELL_PID = {
    "python3": "__import__('os').getpid()",
    "xpython": "print(__import__('os').getpid())",
    "ir": "cat(Sys.getpid())",
    "wrapped": "__import__('os').getpid()",
}


@dataclass
class Watch:
    """A discovery with its process table, looking only at what a test has started."""

    folders: Folders
    table: ProcessTable = field(default_factory=ProcessTable)
    discovery: Discovery = field(default_factory=Discovery)

    def find(self) -> Found:
        """Look once, as the daemon does each second."""
        self.table.scan()
        return self.discovery.find(self.table.processes, boot_time())

    def kernels(self) -> dict[str, Kernel]:
        """The kernels that belong to the test, by id: other tests may run beside it."""
        found = self.find().kernels
        ours = {process.pid for process in self.folders.processes()}
        kernels = [kernel for kernel in found if kernel.process.pid in ours]
        assert len({kernel.id for kernel in kernels}) == len(kernels)
        return {kernel.id: kernel for kernel in kernels}

    def wait_for(self, kernel_id: str) -> Kernel:
        """Look until a kernel is there and ready."""

        def look() -> Kernel | None:
            kernel = self.kernels().get(kernel_id)
            return kernel if kernel and kernel.ready else None

        return wait_until(look, f"{kernel_id} is found and ready")


@dataclass
class Zoo:
    """What runs while the tests look."""

    server: Server
    watch: Watch
    ids: dict[str, str]
    """What was started, and the id that its kernel must have."""
    pids: dict[str, int]
    """And the process, where it has told."""

    @property
    def gate(self) -> Path:
        """A FIFO: the kernelspecs ``gated`` and ``gated exec`` wait for a line from it."""
        return self.server.folders.home / "gate"


@contextlib.contextmanager
def child(arguments: Sequence[str], folders: Folders, **more: str) -> "Iterator[int]":
    """A process of a test; ended with it."""
    process = subprocess.Popen(
        arguments,
        env=folders.environ(more),
        cwd=folders.work,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session="JPY_PARENT_PID" in more,
    )
    with process:
        try:
            yield process.pid
        finally:
            end(process, within=5.0)


@contextlib.contextmanager
def ipc_kernel(folders: Folders) -> Iterator[str]:
    """A kernel that listens on unix sockets; its id."""
    path = folders.runtime / f"kernel-ipc-{RUN}.json"
    manager = KernelManager(transport="ipc", connection_file=str(path), kernel_name="python3")
    manager.start_kernel(env=folders.environ(), cwd=str(folders.work))
    try:
        yield f"ipc-{RUN}"
    finally:
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy()


def _specs(gate: Path) -> dict[str, dict[str, object]]:
    return {
        "other": kernelspec(PYTHON_ARGV, env=HUB),
        "wrapped": kernelspec(["bash", "-c", f"{_LAUNCH}; echo"]),
        "unshared": kernelspec(_UNSHARED),
        "gated": kernelspec(["bash", "-c", f"read line < {gate}; {_LAUNCH}; echo"]),
        "gated-exec": kernelspec(["bash", "-c", f"read line < {gate}; exec {_LAUNCH}"]),
    }


@contextlib.contextmanager
def running_zoo(home: Path) -> Iterator[Zoo]:
    """All of it, each kernel found and ready."""
    gate = home / "gate"
    os.mkfifo(gate)
    with running_server(home, kernelspecs=_specs(gate)) as server, contextlib.ExitStack() as stack:
        folders = server.folders
        watch = Watch(folders)
        possible = {
            name: what
            for name, what in STARTED_BY_SERVER.items()
            if not (name == "ir" and not shutil.which("R"))
            and not (name == "unshared" and not IS_ROOT)
        }
        ids = _start(server, watch, possible)
        ids["ipc"] = stack.enter_context(ipc_kernel(folders))
        python = sys.executable
        own = stack.enter_context(child([python, "-m", "ipykernel"], folders))
        embedded = stack.enter_context(child([python, "-c", _EMBED], folders))
        ids |= {"own file": str(own), "embedded": str(embedded)}
        stack.enter_context(child([python, "-c", _RUN_A_NOTEBOOK], folders))
        (file,) = wait_until(lambda: list((home / "tmp").glob("tmp*.json")), "nbclient's file")
        ids["nbclient"] = file.stem
        for kernel_id in ids.values():
            watch.wait_for(kernel_id)
        # Whatever looks like a kernel comes when there is something to look like.
        assert server.execute(ids["python3"], _WORKERS) == "10"
        existing = str(server.connection_file(ids["other"]))
        stale = str(shutil.copy(existing, folders.runtime / "kernel-stale.json"))
        for arguments in _viewers(existing, stale):
            stack.enter_context(child(arguments, folders))
            stack.enter_context(child(arguments, folders, JPY_PARENT_PID="1"))
        pids = {n: int(server.execute(ids[n], code)) for n, code in _TELL_PID.items() if n in ids}
        yield Zoo(server, watch, ids, pids | {"own file": own, "embedded": embedded})


def _start(server: Server, watch: Watch, wanted: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Start kernels and wait until they are ready: a few at a time; their ids.

    Jupyter chooses a kernel's ports before the kernel listens there, and until then any
    connection may get them: the kernel then fails for good, and another is started.
    """
    waiting = list(wanted)
    pending: dict[str, str] = {}
    ids: dict[str, str] = {}

    def all_are_ready() -> bool:
        while waiting and len(pending) < AT_A_TIME:
            name = waiting.pop(0)
            spec, notebook = wanted[name]
            pending[name] = server.start_kernel(spec, notebook or None)
        found = watch.kernels()
        alive = server.kernels()
        for name, kernel_id in list(pending.items()):
            if kernel_id in found and found[kernel_id].ready:
                ids[name] = pending.pop(name)
            elif kernel_id not in alive:
                del pending[name]
                waiting.append(name)
        return not waiting and not pending

    wait_until(all_are_ready, "all kernels are ready", within=4 * DEADLINE_SECONDS)
    return {name: ids[name] for name in wanted}


def _viewers(existing: str, stale: str) -> Iterator[Sequence[str]]:
    """Command lines that name a kernel's file, and are none: those for stale run on their own."""
    run = str(Path(sys.executable).with_name("jupyter-run"))
    yield ["tail", "-f", existing]
    yield [run, "--existing", existing]
    yield ["bash", "-c", f"grep foo {existing}; read line"]
    yield ["bash", "-c", f"{run} --existing {existing}; read line"]
    yield ["bash", "-c", f"grep foo {stale}; read line"]
