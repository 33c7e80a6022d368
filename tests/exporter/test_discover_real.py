"""Discovery of real kernels, started in every way there is, among processes that are none."""

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.daemon import Daemon, running_daemon
from support.jupyter import Folders, execute, wait_until
from support.zoo import IS_ROOT, RUN, STARTED_BY_SERVER, Watch, Zoo, child, running_zoo

pytestmark = pytest.mark.real

ME = pwd.getpwuid(os.getuid()).pw_name
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """Kernels of every kind, and processes that are easily taken for one."""
    with running_zoo(tmp_path_factory.mktemp("jupyter")) as zoo:
        yield zoo


def test_exactly_the_kernels_are_found(host: Zoo) -> None:
    """Each once; by a discovery that saw them come, and by one that came later."""
    assert host.watch.kernels().keys() == set(host.ids.values())
    latecomer = Watch(host.server.folders)
    theirs, ours = latecomer.kernels(), host.watch.kernels()
    # Each reckoned the time of boot from two clocks, that were read one after the other.
    starts = {kernel_id: kernel.started_at for kernel_id, kernel in ours.items()}
    assert {i: k.started_at for i, k in theirs.items()} == pytest.approx(starts, abs=1.0)
    theirs = {i: replace(kernel, started_at=starts[i]) for i, kernel in theirs.items()}
    assert theirs == ours
    assert all(kernel.ready for kernel in theirs.values())


def test_the_process_is_the_one_that_answers(host: Zoo) -> None:
    """Not the wrapper, not a worker."""
    kernels = host.watch.kernels()
    assert {name: kernels[host.ids[name]].process.pid for name in host.pids} == host.pids


def notebooks(spec: str) -> list[tuple[str, str]]:
    """What was started of a kernelspec, and for which notebook."""
    return [(n, notebook) for n, (name, notebook) in STARTED_BY_SERVER.items() if name == spec]


def test_kernels_are_attributed(host: Zoo) -> None:
    """User, kernelspec, notebook and server, as far as somebody says."""
    kernels = host.watch.kernels()
    work = host.server.folders.work
    here = f":{host.server.port}"
    hubs = {name: ("alice", "other", f"{work}/{n}", "gpu") for name, n in notebooks("other")}
    mine = {name: (ME, "python3", f"{work}/{n}", here) for name, n in notebooks("python3")}
    assert len(hubs | mine) == 20
    expected = {
        **hubs,
        **mine,
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


def test_start_times_are_those_of_the_processes(host: Zoo) -> None:
    """To the hundredth, but for linux' rounding of the time of boot to a second."""
    kernel = host.watch.kernels()[host.ids["python3"]]
    code = "import psutil; print(psutil.Process().create_time())"
    assert kernel.started_at == pytest.approx(
        float(host.server.execute(host.ids["python3"], code)), abs=1.1
    )


def test_a_quiet_host_gives_the_same_objects(host: Zoo) -> None:
    """Whoever is sampled by these objects may keep things by them."""
    first, second = host.watch.kernels(), host.watch.kernels()
    assert [k for k in first if first[k] is not second[k]] == []


def test_a_kernel_that_a_cell_starts_has_no_notebook(host: Zoo) -> None:
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


def test_start_restart_and_end(host: Zoo) -> None:
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


def test_a_kernel_is_there_before_it_is_ready(host: Zoo) -> None:
    """Loading takes seconds; it uses memory all the while."""
    kernel_id = host.server.start_kernel("python3")
    found = wait_until(lambda: host.watch.kernels().get(kernel_id), "it is found", every=0.01)
    assert found.ready is False
    assert host.watch.wait_for(kernel_id).process == found.process
    host.server.shut_down_kernel(kernel_id)


@pytest.mark.parametrize("spec", ["gated", "gated-exec"])
def test_a_wrapper_shows_until_its_kernel_does(host: Zoo, spec: str) -> None:
    """At the very next look, however long it takes to prepare; the id never goes away."""
    server, watch = host.server, host.watch
    kernel_id = server.start_kernel(spec, "slow.ipynb")
    wrapper = watch.kernels()[kernel_id]
    assert psutil.Process(wrapper.process.pid).cmdline()[0] == "bash"
    assert (wrapper.ready, wrapper.kernel_name) == (False, spec)
    assert wrapper.notebook.endswith("/slow.ipynb")
    with host.gate.open("w") as gate:  # waits for its reader
        gate.write("go\n")

    def kernel_is_ready() -> bool:
        return bool(watch.kernels()[kernel_id].ready)

    wait_until(kernel_is_ready, "the kernel is ready", every=0.01)
    kernel = watch.kernels()[kernel_id]
    assert str(kernel.process.pid) == server.execute(kernel_id, "__import__('os').getpid()")
    assert (kernel.process == wrapper.process) is (spec == "gated-exec")
    assert kernel.notebook == wrapper.notebook
    server.shut_down_kernel(kernel_id)
    assert kernel_id not in watch.kernels()


BURN = "import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end: pass"
BURN_IN_PYTHON = f"""
import resource, subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
exec({BURN!r})
burnt = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(b.ru_utime + b.ru_stime for b in burnt))
"""
BURN_IN_R = f"""
system2("{sys.executable}", c("-c", shQuote({json.dumps(BURN)})))
end <- sum(proc.time()[1:2]) + 1.5
while (sum(proc.time()[1:2]) < end) {{}}
cat(sum(proc.time()[c(1, 2, 4, 5)]))
"""
BURNERS = {
    "python3": BURN_IN_PYTHON,
    "wrapped": BURN_IN_PYTHON,
    "unshared": BURN_IN_PYTHON,
    "ir": BURN_IN_R,
}


def by_kernel(daemon: Daemon, name: str) -> dict[str, float]:
    """A metric by kernel, its further labels added up."""
    found: dict[str, float] = {}
    for labels, value in daemon.series(name).items():
        kernel_id = re.findall(r'kernel_id="([^"]*)"', labels)[0]
        found[kernel_id] = found.get(kernel_id, 0.0) + value
    return found


def wait_for_a_new_sample(daemon: Daemon) -> None:
    """One that was begun after this moment."""
    now = time.time()

    def is_new() -> bool:
        return bool(daemon.http.get("/api/v1/kernels").json()["taken_at"] > now)

    wait_until(is_new, "a new sample")


def rss_of_mappings(pids: Mapping[str, int]) -> dict[str, int]:
    """What linux finds in the page tables of each, bytes."""
    texts = {name: Path(f"/proc/{pid}/smaps_rollup").read_text() for name, pid in pids.items()}
    found = {name: re.findall(r"^Rss: +(\d+) kB", t, re.MULTILINE) for name, t in texts.items()}
    return {name: int(numbers[0]) << 10 for name, numbers in found.items()}


def test_the_daemon_shows_them_as_they_are(host: Zoo, tmp_path: Path) -> None:
    """Exactly those, once each; memory and CPU within 2 % of what linux and they themselves say."""
    names = {kernel_id: name for name, kernel_id in host.ids.items()}
    kernels = host.watch.kernels()
    pids = {names[kernel_id]: kernel.process.pid for kernel_id, kernel in kernels.items()}
    burners = {name: code for name, code in BURNERS.items() if name in host.ids}
    with running_daemon(tmp_path) as daemon, ThreadPoolExecutor(len(burners)) as threads:

        def burn(name: str) -> float:
            said = float(host.server.execute(host.ids[name], burners[name]))
            # Its ten workers are alive: linux has not yet charged it with theirs.
            alive = psutil.Process(pids[name]).children(recursive=True)
            return said + sum(sum(worker.cpu_times()[:2]) for worker in alive)

        burnt = dict(zip(burners, threads.map(burn, burners), strict=True))
        wait_for_a_new_sample(daemon)
        cpu = by_kernel(daemon, "jupyter_kernel_cpu_seconds_total")
        rss = by_kernel(daemon, "jupyter_kernel_memory_rss_bytes")
        truth = rss_of_mappings(pids)
        infos = daemon.series("jupyter_kernel_info")
    ours = {process.pid for process in host.server.folders.processes()}
    rows = [dict(re.findall(r'(\w+)="([^"]*)"', labels)) for labels in infos]
    shown = [
        (r["kernel_id"], int(r["pid"]), r["username"], r["kernel_name"], r["notebook"])
        for r in rows
        if int(r["pid"]) in ours
    ]
    assert sorted(shown) == sorted(
        (k.id, k.process.pid, k.username, k.kernel_name, Path(k.notebook).name)
        for k in kernels.values()
    )
    assert {name: rss[host.ids[name]] for name in truth} == pytest.approx(truth, rel=0.02)
    assert all(seconds > 3.0 for seconds in burnt.values())
    assert {name: cpu[host.ids[name]] for name in burnt} == pytest.approx(burnt, rel=0.02)


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
        assert {c for c, count in watch.find().skipped.items() if count} >= set(causes.values())
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
from jupyter_kernel_exporter.linux.host import boot_time
from jupyter_kernel_exporter.linux.proctable import ProcessTable
os.setgroups([]); os.setgid(65534); os.setuid(65534)
table, discovery = ProcessTable(), Discovery()
for _ in range(3):
    table.scan()
    found = discovery.find(table.processes, boot_time())
rows = [dataclasses.asdict(kernel) for kernel in found.kernels]
sees_itself = os.getpid() in table.processes
said = {"kernels": rows, "problems": dict(found.problems), "sees itself": sees_itself}
print(json.dumps(said))
"""


def look_as_nobody(*command: str) -> dict[str, Any]:
    """What nobody finds; ``command`` goes before it."""
    done = subprocess.run(
        [*command, sys.executable, "-c", AS_NOBODY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount and become somebody else")
@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])
def test_as_nobody_where_proc_hides_others(host: Zoo, option: str) -> None:
    """Nothing of theirs is found, and nothing is in the way of finding one's own."""
    mount = f"mount -t proc -o {option} proc /proc"
    if (
        subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", mount], check=False
        ).returncode
        != 0
    ):
        pytest.skip(f"needs a /proc that can be mounted with {option}")
    command = f'{mount} && exec "$0" "$@"'
    found = look_as_nobody("unshare", "--mount", "--propagation=private", "sh", "-c", command)
    ours = {process.pid for process in host.server.folders.processes()}
    assert not ours & {kernel["process"][0] for kernel in found["kernels"]}
    assert found["sees itself"]


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_as_nobody(host: Zoo) -> None:
    """What leads a session is found by its command line; what is missing is said."""
    found = look_as_nobody()
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
