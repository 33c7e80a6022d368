"""Discovery from one call to the next, on a made-up /proc."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from jupyter_kernel_exporter.discover import Discovery, Found
from jupyter_kernel_exporter.discover.connection import Cause
from jupyter_kernel_exporter.model import Kernel, ProcessId
from support.procfs import FakeProc

BOOT = 1_700_000_000.0
JUPYTER = {"JPY_PARENT_PID": "2"}
SERVER = ["python3", "-m", "jupyter_server"]
PORTS = {"shell_port": 5001, "iopub_port": 5002, "hb_port": 5003}


class Host:
    """A made-up host: processes, files, a clock, and a discovery that looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = folder / "runtime"
        self.runtime.mkdir()
        self.proc = FakeProc(folder / "proc")
        self.now = 101.0
        self.boot = BOOT
        self.discovery = self.discover()

    def discover(self, **more: object) -> Discovery:
        """A discovery that has seen nothing yet."""
        known: dict[str, object] = {
            "procfs": self.proc.root,
            "rootfs": str(self.folder),
            "environ": {},
            "boot_clock": lambda: self.now,
        }
        return Discovery(**(known | more))  # type: ignore[arg-type]

    def find(self, after: float = 0.0) -> Found:
        """What is found some seconds later."""
        self.now += after
        return self.discovery.find(self.proc.table, self.boot)

    def kernels(self, after: float = 0.0) -> dict[str, int]:
        """Ids of the kernels found some seconds later, with the pid."""
        return {kernel.id: kernel.process.pid for kernel in self.find(after).kernels}

    def skipped(self, after: float = 0.0) -> dict[str, int]:
        """What was skipped until some seconds later, by cause; every cause is told, with 0."""
        counts = self.find(after).skipped
        assert set(counts) == {cause.value for cause in Cause}
        return {cause: count for cause, count in counts.items() if count}

    def file(self, name: str = "kernel-a.json", **more: object) -> str:
        """Write a connection file."""
        path = self.runtime / name
        path.write_text(json.dumps({**PORTS, "transport": "tcp", "kernel_name": "py", **more}))
        return str(path)

    def kernel(self, pid: int, path: str, **more: object) -> None:
        """Add the process of a kernel that Jupyter started."""
        known: dict[str, object] = {"environ": JUPYTER, "started": self.now - 0.5}
        self.proc.add(pid, command(path), **(known | more))  # type: ignore[arg-type]

    def listen(self, inode: int = 77, ports: Mapping[str, int] = PORTS, **more: object) -> None:
        """Somebody listens on the ports."""
        for port in ports.values():
            self.proc.listen(port, inode, **more)  # type: ignore[arg-type]


def command(path: str) -> list[str]:
    """The command line of an ipykernel."""
    return ["python3", "-m", "ipykernel_launcher", "-f", path]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host on which nothing runs."""
    return Host(tmp_path)


def test_a_kernel_from_its_start_to_its_end(host: Host) -> None:
    """It is there before it is ready, stays the same object while idle, and goes at once."""
    assert host.find().kernels == ()
    host.kernel(10, host.file(), environ={**JUPYTER, "JPY_SESSION_NAME": "/home/a/b.ipynb"})
    (starting,) = host.find().kernels
    assert starting == Kernel(
        id="a",
        process=ProcessId(10, 10050),
        username=str(os.getuid()),
        kernel_name="py",
        notebook="/home/a/b.ipynb",
        connection_file=str(host.runtime / "kernel-a.json"),
        started_at=BOOT + 100.5,
        ready=False,
    )
    assert host.find(1.0).kernels[0] is starting
    host.kernel(10, host.file(), started=100.5, environ=JUPYTER, sockets=[77])
    host.listen()
    found = host.find(1.0)
    (ready,) = found.kernels
    assert ready.ready
    assert ready.process == starting.process
    assert host.find(1.0) is found
    host.proc.remove(10)
    assert host.find(1.0).kernels == ()


def test_ready_stays_and_nothing_is_read_for_a_known_kernel(host: Host) -> None:
    """Its files in /proc may even be gone: nobody looks, until its turn comes."""
    host.kernel(10, host.file(), sockets=[77])
    host.listen()
    found = host.find()
    assert found.kernels[0].ready
    host.find(10.0)
    for port in PORTS.values():
        host.proc.close(port)
    shutil.rmtree(host.proc.folder / "10")
    for _ in range(20):
        assert host.find(0.1) is found


def test_a_restart_is_a_new_process_with_the_same_id(host: Host) -> None:
    """Also where it gets the pid of the one before."""
    host.kernel(10, host.file(), sockets=[77])
    host.listen()
    (first,) = host.find().kernels
    host.proc.remove(10)
    host.kernel(10, str(host.runtime / "kernel-a.json"), started=101.9, sockets=[78])
    host.listen(78)
    (second,) = host.find(1.0).kernels
    assert (first.id, second.id) == ("a", "a")
    assert second.process == ProcessId(10, 10190)
    assert second.started_at > first.started_at


def test_very_young_processes_need_not_wait(host: Host) -> None:
    """One that was started this moment shows."""
    host.kernel(10, host.file(), started=101.0)
    assert host.kernels() == {"a": 10}


def test_an_ipykernel_that_leads_no_session_shows_at_once(host: Host) -> None:
    """VS Code's are children of its extension host; what they run tells before their ports do."""
    path = host.file("kernel-v2-4711abc.json")
    arguments = ["/usr/bin/python", "-m", "ipykernel_launcher", f"--f={path}"]
    host.proc.add(10, arguments, ppid=4, session=3, started=100.5)
    (kernel,) = host.find().kernels
    assert (kernel.id, kernel.ready) == ("v2-4711abc", False)
    host.proc.remove(10)
    host.proc.add(11, ["grep", "ipykernel", path], ppid=4, session=3, started=100.5)
    assert host.kernels(1.0) == {}


def test_rs_shell_becomes_the_kernel(host: Host) -> None:
    """It names the file already, and execs under the same pid."""
    path = host.file()
    arguments = ["R", "--slave", "-e", "IRkernel::main()", "--args", path]
    host.proc.add(10, ["/bin/bash", *arguments], started=100.5, environ=JUPYTER)
    (shell,) = host.find().kernels
    host.proc.add(10, ["/usr/lib/R/bin/exec/R", *arguments[1:]], started=100.5, environ=JUPYTER,
                  sockets=[77])  # fmt: skip
    host.listen()
    (kernel,) = host.find(1.0).kernels
    assert kernel.ready
    assert kernel.process == shell.process


@pytest.mark.parametrize(
    "wrapper",
    [
        ["bash", "-c", "python3 -m ipykernel_launcher -f {}; echo"],
        ["/bin/sh", "/opt/kernel.sh", "{}"],
        ["unshare", "--pid", "--fork", "python3", "-m", "ipykernel_launcher", "-f", "{}"],
        ["/opt/conda/bin/python", "/opt/conda/bin/conda", "run", "-n", "e", "python3", "-f", "{}"],
    ],
    ids=["shell string", "script", "unshare", "conda run"],
)
def test_the_child_of_a_wrapper_is_the_kernel(host: Host, wrapper: list[str]) -> None:
    """Before its ports are open, and after."""
    path = host.file()
    arguments = [word.format(path) for word in wrapper]
    host.proc.add(9, arguments, started=100.5, environ=JUPYTER)
    host.kernel(10, path, ppid=9, session=9, started=100.6)
    assert host.kernels() == {"a": 10}
    host.kernel(10, path, ppid=9, session=9, started=100.6, sockets=[77])
    host.listen()
    found = host.find(1.0)
    assert [(k.process.pid, k.ready) for k in found.kernels] == [(10, True)]
    # The wrapper may go first: a kernel that does not look after its parent lives on.
    host.proc.remove(9)
    assert host.kernels(20.0) == {"a": 10}


WRAPPERS = {
    "shell string": ["bash", "-c", "module load python; python3 -m ipykernel -f {}; echo"],
    "script": ["/bin/sh", "/opt/kernel.sh", "{}"],
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_slow_wrapper_stands_in_for_its_child(host: Host, wrapper: list[str]) -> None:
    """It is shown as starting while it runs something else first; then the child is shown."""
    path = host.file()
    host.proc.add(2, SERVER, started=1.0)
    arguments = [word.format(path) for word in wrapper]
    host.proc.add(9, arguments, ppid=2, started=100.9, environ=JUPYTER)
    host.proc.add(10, ["module", "load", "python"], ppid=9, session=9, started=100.9)
    (stand_in,) = host.find().kernels
    assert (stand_in.process.pid, stand_in.ready) == (9, False)
    assert host.find(30.0).kernels == (stand_in,)
    host.proc.remove(10)
    host.proc.add(11, arguments, ppid=9, session=9, started=131.5, forked=True)
    assert host.find(1.0).kernels == (stand_in,)
    host.kernel(11, path, ppid=9, session=9, started=131.5)
    (kernel,) = host.find(1.0).kernels
    assert (kernel.id, kernel.process.pid, kernel.ready) == ("a", 11, False)
    assert kernel.started_at == BOOT + 131.5
    host.kernel(11, path, ppid=9, session=9, started=131.5, sockets=[77])
    host.listen()
    assert [(k.process.pid, k.ready) for k in host.find(1.0).kernels] == [(11, True)]
    # What the wrapper does after the kernel's end is no kernel, but it may start another.
    host.proc.remove(11)
    for port in PORTS.values():
        host.proc.close(port)
    assert host.kernels(0.1) == {}
    assert host.kernels(100.0) == {}
    host.kernel(12, path, ppid=9, session=9, started=host.now)
    assert host.kernels(1.0) == {"a": 12}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_slow_wrapper_becomes_the_kernel(host: Host, wrapper: list[str]) -> None:
    """By exec, however late; it is the same process, and its environment has grown."""
    path = host.file()
    host.proc.add(2, SERVER, started=1.0)
    arguments = [word.format(path) for word in wrapper]
    host.proc.add(9, arguments, ppid=2, started=100.9, environ=JUPYTER)
    (stand_in,) = host.find().kernels
    assert (stand_in.process.pid, stand_in.ready, stand_in.username) == (9, False, str(os.getuid()))
    host.find(30.0)
    more = {**JUPYTER, "JUPYTERHUB_USER": "alice"}
    host.kernel(9, path, ppid=2, started=100.9, environ=more)
    assert host.kernels(1.0) == {"a": 9}
    host.kernel(9, path, ppid=2, started=100.9, environ=more, sockets=[77])
    host.listen()
    (kernel,) = host.find(1.0).kernels
    assert kernel.process == stand_in.process
    assert (kernel.ready, kernel.username) == (True, "alice")


def test_shell_strings_that_start_no_kernel(host: Host) -> None:
    """What reads a file left over is told from what Jupyter started to be a kernel."""
    path, other = host.file(), host.file("kernel-b.json")
    host.proc.add(2, SERVER, started=1.0)
    console = ["bash", "-c", f"jupyter console --existing {path}"]
    grep = ["bash", "-c", f"grep foo {path}"]
    # In a terminal, and as what `ssh host '...'` and cron start.
    host.proc.add(10, console, ppid=4, session=4)
    host.proc.add(11, grep, ppid=1)
    # In Jupyter's own terminal, whose server was started in a kernel's cell.
    host.proc.add(12, grep, ppid=2, environ={"JPY_PARENT_PID": "1"})
    # What a cell left behind when its kernel ended, and what one starts now.
    host.proc.add(13, grep, ppid=1, environ=JUPYTER)
    host.kernel(20, host.file("kernel-c.json"), ppid=2)
    host.proc.add(21, grep, ppid=20, environ={"JPY_PARENT_PID": "20"})
    # Which of the two would be the kernel's?
    host.proc.add(14, ["bash", "-c", f"cp {path} /tmp; cat {other}"], ppid=2, environ=JUPYTER)
    # An editor.
    host.proc.add(15, ["vim", "-c", f"r {path}"], ppid=4, session=4)
    assert host.kernels() == {"c": 20}
    host.proc.remove(20)
    assert host.kernels(100.0) == {}


def test_workers_are_no_kernels(host: Host) -> None:
    """They have its command line and its sockets, and may outlive it."""
    path = host.file()
    host.kernel(10, path, sockets=[77])
    host.listen()
    for pid in range(20, 30):
        host.kernel(pid, path, ppid=10, session=10, started=100.8, sockets=[77], forked=True)
    assert host.kernels() == {"a": 10}
    host.proc.remove(10)
    assert host.kernels(1.0) == {}
    assert host.kernels(100.0) == {}


def test_programs_that_look_at_the_file_are_no_kernels(host: Host) -> None:
    """Whether they came before the kernel or after, from a terminal or from a cell."""
    path = host.file()
    shell = {"environ": {}, "session": 5}
    host.proc.add(11, ["tail", "-f", path], started=90.0, **shell)  # type: ignore[arg-type]
    host.kernel(10, path)
    assert host.kernels() == {"a": 10}
    host.kernel(10, path, started=100.5, sockets=[77])
    host.listen()
    host.proc.add(12, ["jupyter-console", "--existing", path], started=101.5, **shell)  # type: ignore[arg-type]
    host.proc.add(13, ["jupyter-console", "--existing", path], ppid=10, started=101.6,
                  environ=JUPYTER)  # fmt: skip
    assert host.kernels(1.0) == {"a": 10}
    host.proc.remove(10)
    assert host.kernels(1.0) == {}
    # A kernel's cell may look at any file, under Jupyter's variables and in a new session.
    host.kernel(20, host.file("kernel-b.json"), started=50.0)
    host.proc.add(21, ["tail", "-f", path], ppid=20, started=103.0, environ=JUPYTER)
    assert host.kernels(1.0) == {"b": 20}


def test_a_kernel_that_leads_no_session_is_known_by_its_ports(host: Host) -> None:
    """As one that somebody starts in a terminal, whatever program it is."""
    path = host.file()
    arguments = ["xpython", "-f", path]
    host.proc.add(10, arguments, ppid=4, session=3, started=100.5)
    assert host.kernels() == {}
    host.proc.add(10, arguments, ppid=4, session=3, started=100.5, sockets=[77])
    host.listen()
    assert host.kernels(1.0) == {"a": 10}


def test_stale_files_and_ports_of_others_prove_nothing(host: Host) -> None:
    """The port of a stale file may belong to anybody by now."""
    path = host.file()
    host.proc.add(11, ["vim", path], session=5)
    host.proc.add(12, ["nginx"], sockets=[77])
    host.listen()
    assert host.kernels() == {}
    assert host.kernels(70.0) == {}
    assert host.skipped() == {}


def test_ipc_kernels_are_known_by_their_socket_paths(host: Host) -> None:
    """The "ports" are numbers from 1, and "ip" is the beginning of the paths."""
    ip = str(host.runtime / "kernel-a-ipc")
    path = host.file(transport="ipc", ip=ip, shell_port=1, iopub_port=2, hb_port=3)
    host.kernel(10, path)
    assert [k.ready for k in host.find().kernels] == [False]
    host.kernel(10, path, started=100.5, sockets=[77, 78])
    host.proc.listen_unix(f"{ip}-1", 77)
    assert [k.ready for k in host.find(1.0).kernels] == [False]
    host.proc.listen_unix(f"{ip}-2", 78)
    assert [k.ready for k in host.find(1.0).kernels] == [True]


def test_ready_needs_the_right_user_and_network(host: Host) -> None:
    """Another user's or another container's listener on the same port is another's."""
    host.kernel(10, host.file())
    host.listen(uid=os.getuid() + 1)
    assert [k.ready for k in host.find().kernels] == [False]
    for port in PORTS.values():
        host.proc.close(port)
    host.listen(network="net:[2]")
    assert [k.ready for k in host.find(1.0).kernels] == [False]
    host.kernel(10, host.file(), started=100.5, sockets=[77], network="net:[2]")
    assert [k.ready for k in host.find(1.0).kernels] == [True]


def test_late_ports_are_found_at_a_calmer_pace(host: Host) -> None:
    """A kernel that is not ready after a minute is looked at each ten seconds."""
    path = host.file()
    host.kernel(10, path)
    assert [k.ready for k in host.find().kernels] == [False]
    host.find(61.0)
    host.kernel(10, path, started=100.5, sockets=[77])
    host.listen()
    assert [k.ready for k in host.find(5.0).kernels] == [False]
    assert [k.ready for k in host.find(6.0).kernels] == [True]


def test_half_written_files_are_read_again(host: Host) -> None:
    """Launchers write them in place; that is no fault and is not counted."""
    path = host.runtime / "kernel-a.json"
    path.touch()
    host.kernel(10, str(path))
    assert host.kernels() == {}
    path.write_text('{"shell_port": 50')
    assert host.kernels(1.0) == {}
    host.file()
    assert host.kernels(1.0) == {"a": 10}
    assert host.skipped(60.0) == {}


def test_a_file_that_is_written_anew_is_still_known(host: Host) -> None:
    """As kernels with encryption do while they start; for a moment it is empty."""
    path = host.file()
    host.kernel(10, path)
    (kernel,) = host.find().kernels
    Path(path).write_text("")
    assert host.find(1.0).kernels == (kernel,)
    host.file()
    host.kernel(10, path, started=100.5, sockets=[77])
    host.listen()
    assert [k.ready for k in host.find(1.0).kernels] == [True]


def test_skipped_files_are_counted_and_logged_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for each file and cause, whoever names it and however often."""
    caplog.set_level(logging.INFO)
    target = host.file("target.json")
    (host.runtime / "kernel-link.json").symlink_to(target)
    os.mkfifo(host.runtime / "kernel-fifo.json")
    (host.runtime / "kernel-cut.json").write_text("{")
    bad = host.file("kernel-a\n<b>.json")
    (host.runtime / "settings.json").write_text("{}")
    for pid, name in enumerate(("link", "fifo", "cut"), 10):
        host.kernel(pid, str(host.runtime / f"kernel-{name}.json"))
    host.kernel(20, bad)
    host.kernel(21, str(host.runtime / "settings.json"))
    assert host.skipped() == {"symlink": 1, "not_a_file": 1, "bad_name": 1}
    host.kernel(30, str(host.runtime / "kernel-fifo.json"), started=101.0)
    counts = {"symlink": 1, "not_a_file": 1, "bad_name": 1, "malformed": 1}
    assert host.skipped(6.0) == counts
    found = host.find(60.0)
    assert found.kernels == ()
    assert host.skipped() == counts
    assert [record.getMessage() for record in caplog.records] == ["connection file skipped"] * 4
    assert {record.cause for record in caplog.records} == set(counts)  # type: ignore[attr-defined]


def test_another_users_file_is_skipped(host: Host) -> None:
    """A process of one user that names a file of another gets nothing out of it."""
    host.kernel(10, host.file(), uid=os.getuid() + 1)
    found = host.find()
    assert found.kernels == ()
    assert host.skipped() == {"wrong_owner": 1}


def test_a_file_that_was_cleaned_away(host: Host) -> None:
    """The kernel is alive all the same: known ones stay, others show what there is."""
    path = host.file()
    host.kernel(10, path, started=50.0, sockets=[77])
    host.listen()
    known = host.find()
    os.unlink(path)
    assert host.find(5.0) is known
    host.discovery = host.discover()
    (kernel,) = host.find(1.0).kernels
    assert (kernel.id, kernel.kernel_name, kernel.ready) == ("a", "", None)


def test_a_kernel_that_chose_its_own_file(host: Host) -> None:
    """``python -m ipykernel``: the file bears its number, and the ports are its own."""
    environ = {"JUPYTER_RUNTIME_DIR": str(host.runtime)}
    host.proc.add(10, ["python3", "-m", "ipykernel"], session=5, started=100.5, environ=environ)
    assert host.kernels() == {}
    host.file("kernel-10.json")
    host.listen()
    assert host.kernels(1.0) == {}
    host.proc.add(10, ["python3", "-m", "ipykernel"], session=5, started=100.5, environ=environ,
                  sockets=[77])  # fmt: skip
    assert host.kernels(1.0) == {"10": 10}


def test_a_kernel_inside_another_program(host: Host) -> None:
    """``embed_kernel()``: the file tells, though the program was there long before."""
    host.proc.add(10, ["python3", "simulate.py"], session=5, started=1.0, sockets=[77],
                  root=str(host.folder))  # fmt: skip
    host.proc.add(11, SERVER, environ={"JUPYTER_RUNTIME_DIR": "/runtime"}, started=1.0)
    assert host.kernels() == {}
    host.file("kernel-10.json")
    host.listen()
    assert host.kernels(10.0) == {"10": 10}


def test_numbers_of_processes_that_are_gone(host: Host) -> None:
    """A file left over bears the number of somebody else by now."""
    host.discovery = host.discover(runtime_dirs=["/runtime"], rootfs=str(host.folder))
    for pid in (10, 11, 12):
        host.file(f"kernel-{pid}.json")
    host.proc.add(10, ["sleep", "1"], root=str(host.folder))
    host.proc.add(11, ["sleep", "1"], root=str(host.folder), uid=os.getuid() + 1)
    assert host.kernels() == {}
    # The next process of that number may be a kernel, and then writes over the file.
    host.proc.add(12, ["python3", "embeds.py"], root=str(host.folder), sockets=[77], session=5)
    host.listen()
    assert host.kernels(1.0) == {"12": 12}
    assert host.skipped() == {}


def test_containers_have_files_of_their_own(host: Host) -> None:
    """The same path in two containers is two kernels; ids stay apart, and each stays its own."""
    for number, pid in ((1, 10), (2, 20)):
        root = host.folder / f"container{number}"
        (root / "run").mkdir(parents=True)
        ports = {name: port + 100 * number for name, port in PORTS.items()}
        (root / "run/kernel-1.json").write_text(json.dumps({**ports, "kernel_name": f"py{number}"}))
        network = f"net:[{number}]"
        host.kernel(pid, "/run/kernel-1.json", root=str(root), sockets=[pid], network=network,
                    started=50.0 + number, cgroup=f"0::/docker/{str(number) * 64}\n")  # fmt: skip
        host.listen(pid, ports, network=network)
    found = host.find()
    assert [(k.id, k.process.pid, k.kernel_name, k.container) for k in found.kernels] == [
        ("1", 10, "py1", "1" * 12),
        ("1-20", 20, "py2", "2" * 12),
    ]
    assert all(kernel.ready for kernel in found.kernels)
    host.proc.remove(10)
    assert host.kernels(1.0) == {"1-20": 20}


def test_an_inner_pid_names_the_file(host: Host) -> None:
    """``docker run ... python -m ipykernel`` is pid 1 to itself."""
    root = host.folder / "container"
    (root / "root/.local/share/jupyter/runtime").mkdir(parents=True)
    path = "/root/.local/share/jupyter/runtime/kernel-1.json"
    (root / path[1:]).write_text(json.dumps(PORTS))
    host.proc.add(4711, ["python3", "-m", "ipykernel"], root=str(root), inner_pid=1, sockets=[77],
                  environ={"HOME": "/root"}, network="net:[2]")  # fmt: skip
    host.listen(network="net:[2]")
    (kernel,) = host.find().kernels
    assert (kernel.id, kernel.process.pid, kernel.connection_file) == ("1", 4711, path)


def test_relative_paths(host: Host) -> None:
    """From the working directory, or, for a bare name, in the runtime directory."""
    host.file("kernel-a.json")
    host.file("kernel-b.json", **{name: port + 100 for name, port in PORTS.items()})
    host.kernel(10, "runtime/kernel-a.json", cwd=str(host.folder))
    environ = {**JUPYTER, "JUPYTER_RUNTIME_DIR": str(host.runtime)}
    host.kernel(11, "kernel-b.json", environ=environ)
    assert host.kernels() == {"a": 10, "b": 11}
    paths = [kernel.connection_file for kernel in host.find().kernels]
    assert paths == [f"{host.runtime}/kernel-a.json", f"{host.runtime}/kernel-b.json"]


def test_one_process_is_one_kernel(host: Host) -> None:
    """However many files it names."""
    host.kernel(10, host.file("kernel-a.json"))
    host.proc.add(10, [*command(host.file("kernel-a.json")), host.file("kernel-b.json")],
                  environ=JUPYTER, started=100.5)  # fmt: skip
    found = host.find()
    assert len(found.kernels) == 1
    assert host.find(1.0) is found


def test_a_kernel_may_overwrite_its_command_line(host: Host) -> None:
    """As setproctitle does: it stays a kernel as long as it has the ports."""
    path = host.file()
    host.kernel(10, path, sockets=[77])
    host.listen()
    (kernel,) = host.find().kernels
    host.proc.add(10, ["training, epoch 7"], started=100.5, environ=JUPYTER, sockets=[77])
    assert host.find(1.0).kernels == (kernel,)
    assert host.find(100.0).kernels == (kernel,)
    host.proc.add(10, ["sleep", "1"], started=100.5, environ=JUPYTER)
    for _ in range(2):
        kernels = host.find(100.0).kernels
    assert kernels == ()


def test_the_server_is_named_by_its_port(host: Host) -> None:
    """From the file that it wrote beside the kernel's; under a hub by its name."""
    (host.runtime / "jpserver-2.json").write_text('{"port": 8889, "token": "secret"}')
    (host.runtime / "jpserver-3.json").symlink_to("jpserver-2.json")
    (host.runtime / "jpserver-4.json").write_text('{"port": "8889"}')
    (host.runtime / "nbserver-5.json").write_text('{"port": 8890}')
    expected = {"2": ":8889", "3": "", "4": "", "5": ":8890", "6": "", "../2": "", "": ""}
    for pid, parent in enumerate(expected, 10):
        host.kernel(pid, host.file(f"kernel-{pid}.json"), environ={"JPY_PARENT_PID": parent})
    hub = {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVER_NAME": "gpu", "JPY_PARENT_PID": "2"}
    hub["MEM_LIMIT"] = "1073741824"
    host.kernel(30, host.file("kernel-30.json"), environ=hub)
    kernels = host.find().kernels
    assert [kernel.server for kernel in kernels] == [*expected.values(), "gpu"]
    assert kernels[-1].username == "alice"
    assert [kernel.promised_bytes for kernel in kernels] == [*[None] * len(expected), 1 << 30]


def test_the_notebook_is_the_sessions(host: Host) -> None:
    """The environment is newer than the file; what was inherited from a kernel is not claimed."""
    file = host.file("kernel-a.json", jupyter_session="old.ipynb")
    host.kernel(10, file, environ={**JUPYTER, "JPY_SESSION_NAME": "new.ipynb"}, started=50.0)
    host.kernel(11, host.file("kernel-b.json", jupyter_session="b.ipynb"))
    inherits = {**JUPYTER, "JPY_SESSION_NAME": "new.ipynb"}
    host.kernel(12, host.file("tmp0a1b2c3d.json"), ppid=10, environ=inherits, sockets=[77])
    host.listen()
    notebooks = {kernel.process.pid: kernel.notebook for kernel in host.find().kernels}
    assert notebooks == {10: "new.ipynb", 11: "b.ipynb", 12: ""}


def test_the_username_is_the_hosts(host: Host) -> None:
    """Where the host's root is mounted somewhere, its users are the ones to name."""
    (host.folder / "etc").mkdir()
    (host.folder / "etc/passwd").write_text(f"caf\u00e9:x:{os.getuid()}:1::/home/c:/bin/sh\n")
    host.kernel(10, host.file())
    assert host.find().kernels[0].username == "caf\u00e9"


def test_switched_off_sources_are_not_asked(host: Host) -> None:
    """Without files and environments there is the name of the file, and no problem is told."""
    host.discovery = host.discover(sources=())
    host.kernel(10, host.file(), environ={**JUPYTER, "JUPYTERHUB_USER": "alice"})
    host.kernel(11, "/etc/app/settings.json")
    found = host.find()
    assert found.problems == {}
    (kernel,) = found.kernels
    assert (kernel.id, kernel.kernel_name, kernel.ready) == ("a", "", None)
    assert kernel.username == str(os.getuid())


def test_a_step_of_the_wall_clock_moves_the_starts(host: Host) -> None:
    """Start times are counted from boot, and linux moves the time of boot with the clock."""
    host.kernel(10, host.file(), sockets=[77])
    host.listen()
    found = host.find()
    host.boot += 1.0  # rounding
    assert host.find(1.0) is found
    host.boot += 3600.0
    assert host.find(1.0).kernels[0].started_at == BOOT + 3601.0 + 100.5


def test_processes_without_a_command_line(host: Host) -> None:
    """Zombies and linux's own threads."""
    path = host.file()
    host.kernel(10, path, sockets=[77])
    host.listen()
    host.proc.add(2, [])
    assert host.kernels() == {"a": 10}
    host.proc.add(10, [], started=100.5)
    assert host.kernels(100.0) == {}


def test_what_is_found_while_a_home_does_not_answer(host: Host) -> None:
    """Known kernels stay as they are, new ones show what their processes tell."""
    host.kernel(10, host.file(), sockets=[77])
    host.kernel(11, host.file("kernel-b.json"))
    host.listen()
    known = host.find()
    host.proc.remove(11)
    environ = {**JUPYTER, "JPY_SESSION_NAME": "c.ipynb", "JUPYTERHUB_USER": "alice"}
    host.kernel(12, host.file("kernel-c.json"), environ=environ)
    host.now += 1.0
    found = host.discovery.find_without_files(host.proc.table, host.boot, known)
    first, second = found.kernels
    assert first is known.kernels[0]
    assert (second.id, second.process.pid, second.ready) == ("c", 12, None)
    assert (second.username, second.notebook, second.kernel_name) == ("alice", "c.ipynb", "")
    # It answers again.
    (first, second) = host.find(1.0).kernels
    assert first is known.kernels[0]
    assert (second.id, second.kernel_name) == ("c", "py")
    host.proc.remove(12)
    found = host.discovery.find_without_files(host.proc.table, host.boot, host.find())
    assert [kernel.id for kernel in found.kernels] == ["a"]
