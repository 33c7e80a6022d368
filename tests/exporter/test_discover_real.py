"""Discovery of real kernels, started in every way there is, among processes that are none."""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from jupyter_kernel_exporter.discover import Discovery, Found
from jupyter_kernel_exporter.linux.host import read_boot_time
from jupyter_kernel_exporter.linux.proctable import ProcessTable
from jupyter_kernel_exporter.model import Kernel
from support.jupyter import (
    PYTHON_ARGV,
    Folders,
    Server,
    end,
    execute,
    kernelspec,
    running_server,
    wait_until,
)

pytestmark = pytest.mark.real

ME = pwd.getpwuid(os.getuid()).pw_name
IS_ROOT = os.getuid() == 0
RUN = f"of-run-{os.getpid()}"
"""Part of the ids that the tests choose: two runs may go on at the same time."""
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")

WRAPPED = ("bash", "-c", f"{sys.executable} -m ipykernel_launcher -f {{connection_file}}; echo")
UNSHARED = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", *PYTHON_ARGV)
HUB = {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVER_NAME": "gpu"}
SPECS = {
    "other": kernelspec(PYTHON_ARGV, env=HUB),
    "wrapped": kernelspec(WRAPPED),
    "unshared": kernelspec(UNSHARED),
}
STARTED_BY_SERVER = (
    ("python3", "a.ipynb"),
    ("other", "sub/b.ipynb"),
    ("xpython", None),
    ("ir", None),
    ("wrapped", "c.ipynb"),
    ("unshared", None),
)
"""Kernelspecs, and the notebooks that they are started for."""
WORKERS = """
import multiprocessing, time
fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=time.sleep, args=(3600,), daemon=True) for _ in range(10)]
for worker in workers:
    worker.start()
print(len(workers))
"""
RUN_A_NOTEBOOK = """
import nbformat
from nbclient import NotebookClient
cell = nbformat.v4.new_code_cell("input_is_never_given = __import__('time').sleep(3600)")
NotebookClient(nbformat.v4.new_notebook(cells=[cell]), timeout=None).execute()
"""
EMBED = "from ipykernel.embed import embed_kernel; embed_kernel()"


@dataclass
class Watch:
    """A discovery with its process table, looking only at what a test has started."""

    folders: Folders
    table: ProcessTable = field(default_factory=ProcessTable)
    discovery: Discovery = field(default_factory=Discovery)

    def find(self) -> Found:
        """Look once, as the daemon does each second."""
        self.table.scan()
        return self.discovery.find(self.table.processes, read_boot_time("/proc"))

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
class Host:
    """What runs while the tests look."""

    server: Server
    watch: Watch
    ids: dict[str, str]
    """What was started, and the id that its kernel must have."""
    pids: dict[str, int]
    """And the process, where it has told."""


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


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Kernels of every kind, and processes that are easily taken for one."""
    home = tmp_path_factory.mktemp("jupyter")
    with running_server(home, kernelspecs=SPECS) as server, contextlib.ExitStack() as stack:
        folders = server.folders
        ids = {}
        for name, notebook in STARTED_BY_SERVER:
            if (name == "ir" and not shutil.which("R")) or (name == "unshared" and not IS_ROOT):
                continue
            ids[name] = server.start_kernel(name, notebook)
        ids["ipc"] = stack.enter_context(ipc_kernel(folders))
        python = sys.executable
        own = stack.enter_context(child([python, "-m", "ipykernel"], folders))
        embedded = stack.enter_context(child([python, "-c", EMBED], folders))
        ids |= {"own file": str(own), "embedded": str(embedded)}
        stack.enter_context(child([python, "-c", RUN_A_NOTEBOOK], folders))
        (file,) = wait_until(lambda: list((home / "tmp").glob("tmp*.json")), "nbclient's file")
        ids["nbclient"] = file.stem
        watch = Watch(folders)
        for kernel_id in ids.values():
            watch.wait_for(kernel_id)
        # Whatever looks like a kernel comes when there is something to look like.
        assert server.execute(ids["python3"], WORKERS) == "10"
        existing = str(server.connection_file(ids["other"]))
        stack.enter_context(child(["tail", "-f", existing], folders))
        stack.enter_context(child(["tail", "-f", existing], folders, JPY_PARENT_PID="1"))
        stale = folders.runtime / "kernel-stale.json"
        shutil.copy(existing, stale)
        stack.enter_context(child(["tail", "-f", str(stale)], folders))
        pids = {
            name: int(server.execute(ids[name], code))
            for name, code in {
                "python3": "__import__('os').getpid()",
                "xpython": "print(__import__('os').getpid())",
                "ir": "cat(Sys.getpid())",
                "wrapped": "__import__('os').getpid()",
            }.items()
            if name in ids
        } | {"own file": own, "embedded": embedded}
        yield Host(server, watch, ids, pids)


def test_exactly_the_kernels_are_found(host: Host) -> None:
    """Each once; by a discovery that saw them come, and by one that came later."""
    assert host.watch.kernels().keys() == set(host.ids.values())
    latecomer = Watch(host.server.folders)
    assert latecomer.kernels() == host.watch.kernels()
    assert all(kernel.ready for kernel in latecomer.kernels().values())


def test_the_process_is_the_one_that_answers(host: Host) -> None:
    """Not the wrapper, not a worker."""
    kernels = host.watch.kernels()
    assert {name: kernels[host.ids[name]].process.pid for name in host.pids} == host.pids


def test_kernels_are_attributed(host: Host) -> None:
    """User, kernelspec, notebook and server, as far as somebody says."""
    kernels = host.watch.kernels()
    work = host.server.folders.work
    here = f":{host.server.port}"
    expected = {
        "python3": (ME, "python3", f"{work}/a.ipynb", here),
        "other": ("alice", "other", f"{work}/sub/b.ipynb", "gpu"),
        "xpython": (ME, "xpython", "", here),
        "ir": (ME, "ir", "", here),
        "wrapped": (ME, "wrapped", f"{work}/c.ipynb", here),
        "unshared": (ME, "unshared", "", here),
        "ipc": (ME, "python3", "", ""),
        "own file": (ME, "", "", ""),
        "embedded": (ME, "", "", ""),
        "nbclient": (ME, "python3", "", ""),
    }
    seen = {
        name: (kernel.username, kernel.kernel_name, kernel.notebook, kernel.server)
        for name, kernel in ((name, kernels[kernel_id]) for name, kernel_id in host.ids.items())
    }
    assert seen == {name: labels for name, labels in expected.items() if name in host.ids}


def test_start_times_are_those_of_the_processes(host: Host) -> None:
    """To the hundredth, but for linux' rounding of the time of boot to a second."""
    kernel = host.watch.kernels()[host.ids["python3"]]
    code = "import psutil; print(psutil.Process().create_time())"
    assert kernel.started_at == pytest.approx(
        float(host.server.execute(host.ids["python3"], code)), abs=1.1
    )


def test_a_quiet_host_gives_the_same_objects(host: Host) -> None:
    """Whoever is sampled by these objects may keep things by them."""
    first, second = host.watch.kernels(), host.watch.kernels()
    assert [k for k in first if first[k] is not second[k]] == []


def test_a_kernel_that_a_cell_starts_has_no_notebook(host: Host) -> None:
    """Its environment has the notebook of the kernel that the cell runs in."""
    code = f"""
    from jupyter_client.manager import KernelManager
    manager = KernelManager(kernel_name="python3", connection_file="kernel-cell-{RUN}.json")
    manager.start_kernel()
    print(__import__("os").environ["JPY_SESSION_NAME"])
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    outer = host.ids["other"]
    assert host.server.execute(outer, code).endswith("b.ipynb")
    try:
        kernel = host.watch.wait_for(f"cell-{RUN}")
        assert (kernel.notebook, kernel.username) == ("", "alice")
    finally:
        host.server.execute(outer, "manager.shutdown_kernel(now=True)")
    assert f"cell-{RUN}" not in host.watch.kernels()


def test_start_restart_and_end(host: Host) -> None:
    """Seen at the next look after each; a restart keeps the id and is a new process."""
    server, watch = host.server, host.watch
    kernel_id = server.start_kernel("python3", "d.ipynb")
    first = watch.wait_for(kernel_id)
    server.restart_kernel(kernel_id)
    second = watch.wait_for(kernel_id)
    assert second.process != first.process
    assert second.started_at >= first.started_at
    assert (second.notebook, second.server) == (first.notebook, first.server)
    server.shut_down_kernel(kernel_id)
    assert kernel_id not in watch.kernels()


def test_a_kernel_is_there_before_it_is_ready(host: Host) -> None:
    """Loading takes seconds; it uses memory all the while."""
    kernel_id = host.server.start_kernel("python3")
    found = wait_until(lambda: host.watch.kernels().get(kernel_id), "it is found", every=0.01)
    assert found.ready is False
    assert host.watch.wait_for(kernel_id).process == found.process
    host.server.shut_down_kernel(kernel_id)


def make_hostile_files(folder: Path) -> dict[str, str]:
    """Files that nobody should open, or believe; and why they are skipped."""
    good = json.dumps({"shell_port": 1, "iopub_port": 2, "ip": "127.0.0.1", "transport": "tcp"})
    (folder / "target").write_text(good)
    (folder / "kernel-link.json").symlink_to("target")
    os.mkfifo(folder / "kernel-fifo.json")
    (folder / "kernel-huge.json").write_text(good + " " * 70000)
    (folder / "kernel-empty.json").touch()
    (folder / "kernel-half.json").write_text(good[:20])
    (folder / "kernel-\n<script>.json").write_text(good)
    (folder / "kernel-..json").write_text(good)
    causes = {
        "kernel-link.json": "symlink",
        "kernel-fifo.json": "not_a_file",
        "kernel-huge.json": "too_large",
        "kernel-empty.json": "empty",
        "kernel-half.json": "malformed",
        "kernel-\n<script>.json": "bad_name",
        "kernel-..json": "bad_name",
    }
    if IS_ROOT:
        (folder / "kernel-other.json").write_text(good)
        os.chown(folder / "kernel-other.json", 1, 1)
        causes["kernel-other.json"] = "wrong_owner"
    return causes


@pytest.mark.timeout(30)
def test_hostile_files_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each, and nothing hangs."""
    folders = Folders(tmp_path / "home")
    folders.make({})
    causes = {str(tmp_path / n): cause for n, cause in make_hostile_files(tmp_path).items()}
    with contextlib.ExitStack() as stack:
        for path in causes:
            # A shell that waits for input, with a command line like a kernel's.
            command = ["sh", "-c", "read line", "kernel", "-f", path]
            stack.enter_context(child(command, folders, JPY_PARENT_PID=str(os.getpid())))
        watch = Watch(folders)

        def skipped() -> list[tuple[str, str]]:
            lines = [(r.__dict__.get("file"), r.__dict__.get("cause")) for r in caplog.records]
            return sorted((str(file), str(cause)) for file, cause in lines if file in causes)

        def all_are_told() -> bool:
            assert watch.kernels() == {}
            return len(skipped()) >= len(causes)

        wait_until(all_are_told, "all are told", within=20.0, every=0.3)
        assert skipped() == sorted(causes.items())
        assert set(watch.find().skipped) >= set(causes.values())
        # What was half-written may be whole one day.
        shutil.copy(tmp_path / "target", tmp_path / "kernel-half.json")
        assert watch.kernels().keys() == {"half"}
        assert skipped() == sorted(causes.items())
    folders.end_processes()


@pytest.mark.skipif(not IS_ROOT, reason="only root may start processes of other users")
@pytest.mark.skipif(not shutil.which("R"), reason="R can be started by every user; it is not here")
def test_a_kernel_of_another_user(tmp_path: Path) -> None:
    """Root reads its file and its environment, and names its owner."""
    folders = Folders(tmp_path / "home")
    folders.make({})
    home = Path(tempfile.mkdtemp())  # tmp_path is closed to others
    try:
        path = home / f"kernel-daemon-{RUN}.json"
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORT_NAMES]
        ports = {n: s.getsockname()[1] for n, s in zip(PORT_NAMES, sockets, strict=True)}
        for listener in sockets:
            listener.close()
        more = {"ip": "127.0.0.1", "transport": "tcp", "key": "k", "kernel_name": "ir"}
        path.write_text(json.dumps({**ports, **more, "signature_scheme": "hmac-sha256"}))
        for place in (home, path):
            os.chown(place, 1, 1)
        arguments = ["--reuid=1", "--regid=1", "--clear-groups", "R", "--slave", "-e"]
        arguments += ["IRkernel::main()", "--args", str(path)]
        more = {"HOME": str(home), "TMPDIR": str(home), "JPY_PARENT_PID": str(os.getpid())}
        with child(["setpriv", *arguments], folders, **more) as pid:
            kernel = Watch(folders).wait_for(f"daemon-{RUN}")
            assert kernel.process.pid == pid
            assert (kernel.username, kernel.kernel_name) == ("daemon", "ir")
            assert execute(path, "cat(Sys.getpid())") == str(pid)
    finally:
        folders.end_processes()
        shutil.rmtree(home)


AS_NOBODY = """
import dataclasses, json, os, sys
from jupyter_kernel_exporter.discover import Discovery
from jupyter_kernel_exporter.linux.host import read_boot_time
from jupyter_kernel_exporter.linux.proctable import ProcessTable
os.setgroups([]); os.setgid(65534); os.setuid(65534)
table, discovery = ProcessTable(), Discovery()
for _ in range(3):
    table.scan()
    found = discovery.find(table.processes, read_boot_time("/proc"))
rows = [dataclasses.asdict(kernel) for kernel in found.kernels]
print(json.dumps({"kernels": rows, "problems": dict(found.problems)}))
"""


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_as_nobody(host: Host) -> None:
    """What leads a session is found by its command line; what is missing is said."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    ours = {process.pid for process in host.server.folders.processes()}
    kernels = {k["id"]: k for k in found["kernels"] if k["process"][0] in ours}
    by_id = {kernel_id: name for name, kernel_id in host.ids.items()}
    # No command line names these two, and whose ports are whose may not be seen.
    expected = set(host.ids) - {"own file", "embedded"}
    assert {by_id.get(kernel_id, kernel_id) for kernel_id in kernels} == expected
    for name in set(host.pids) & expected:
        assert kernels[host.ids[name]]["process"][0] == host.pids[name]
    for kernel in kernels.values():
        assert (kernel["username"], kernel["kernel_name"], kernel["notebook"]) == (ME, "", "")
        assert kernel["ready"] is None
    assert found["problems"].keys() == {"environ", "runtime_dir"}
    assert all("CAP_SYS_PTRACE" in text for text in found["problems"].values())
