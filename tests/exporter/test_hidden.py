"""What the daemon says where linux hides processes from it: with no kernel to be seen, all else
would look well.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from jupyter_kernel_exporter.daemon import Daemon
from jupyter_kernel_exporter.linux import hiding
from jupyter_kernel_exporter.model import Kernel, ProcessId, SourceStatus
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.obituaries import Obituaries
from jupyter_kernel_exporter.settings import resolve
from support.daemon import running_daemon
from support.jupyter import wait_until
from support.processes import needs_root
from support.procfs import FakeProc


class Watched:
    """A daemon that looks at a made-up /proc, and the time it believes it is."""

    def __init__(self, folder: Path, history: History | None = None) -> None:
        self.folder = folder
        self.proc = FakeProc(folder / "proc")
        self.now = 0.0
        settings = resolve({"path.procfs": self.proc.root}, {})
        self.daemon = Daemon(settings, monotonic=lambda: self.now, history=history)

    def look(self, after: float = 1.0) -> SourceStatus:
        """How the process table stands some seconds later."""
        self.now += after
        (proc,) = (s for s in self.daemon.tick().sources if s.name == "proc")
        return proc

    def add(self, pid: int, name: str) -> None:
        """A process that is no kernel."""
        self.proc.add(pid, [name])
        (self.proc.folder / str(pid) / "comm").write_text(f"{name}\n")

    def add_kernel(self, pid: int) -> None:
        """A kernel that Jupyter has just started."""
        file = self.folder / f"kernel-{pid}.json"
        ports = {"shell_port": 5001, "iopub_port": 5002, "hb_port": 5003}
        file.write_text(json.dumps({**ports, "transport": "tcp", "kernel_name": "python3"}))
        arguments = ["python3", "-m", "ipykernel_launcher", "-f", str(file)]
        environ = {"JPY_PARENT_PID": "7"}
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        self.proc.add(pid, arguments, started=uptime - 0.5, environ=environ)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Nothing runs there yet."""
    return Watched(tmp_path)


def test_all_is_shown(watched: Watched) -> None:
    """Nothing to complain of, though nobody has a kernel."""
    watched.add(1, "systemd")
    watched.add(2, "kthreadd")
    assert watched.look().up


def test_others_are_hidden(watched: Watched) -> None:
    """For as long as they are, kernel of our own or not; looked for once a minute."""
    watched.add(7, "python")
    assert not watched.look().up
    watched.add_kernel(8)
    found = watched.look()
    assert (found.up, "hidepid" in found.problem) == (False, True)
    watched.add(1, "systemd")
    assert not watched.look().up
    assert watched.look(hiding.INTERVAL_SECONDS).up


def test_what_is_outside_is_not_missed_where_kernels_are_inside(watched: Watched) -> None:
    """A container that never had a kernel is most often a daemon in the wrong place."""
    watched.add(1, "tini")
    found = watched.look()
    assert (found.up, "one container" in found.problem) == (False, True)
    watched.add_kernel(8)
    assert watched.look().up
    watched.proc.remove(8)
    assert watched.look(hiding.INTERVAL_SECONDS).up


def test_nor_after_a_restart(tmp_path: Path) -> None:
    """Nobody is alarmed at night: the history knows of kernels."""
    history = History.open(str(tmp_path / "state"))
    try:
        obituaries = Obituaries(history, "boot")
        obituaries.see([Kernel("a", ProcessId(8, 1), "ada", kernel_name="python3")])
        watched = Watched(tmp_path, history)
        watched.add(1, "tini")
        watched.daemon.start()
        try:
            assert watched.look().up
        finally:
            watched.daemon.stop()
    finally:
        history.close()


@pytest.mark.real
@needs_root
@pytest.mark.parametrize(("option", "word"), [("hidepid=1", "files"), ("hidepid=2", "processes")])
def test_a_proc_that_is_mounted_so(tmp_path: Path, option: str, word: str) -> None:
    """An ordinary user's daemon goes on, is down as a source, and says what it takes."""
    mount = f"mount -t proc -o {option} proc /proc"
    apart = ["unshare", "--mount", "--propagation=private", "sh", "-c"]
    if subprocess.run([*apart, mount], check=False, capture_output=True).returncode:
        pytest.skip(f"needs a /proc that can be mounted with {option}")
    command = [*apart, f'{mount} && exec "$0" "$@"']
    with running_daemon(tmp_path, as_nobody=True, command=command) as daemon:
        up = daemon.series("jupyter_kernel_exporter_source_up")
        assert up['{source="proc"}'] == 0
        assert f"hides the {word} of other users" in daemon.log
        assert daemon.process.poll() is None


@pytest.mark.real
@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_what_could_not_be_opened_stays_down(tmp_path: Path) -> None:
    """Linux' log is opened once, before the first look at anything; without it that is said."""
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-syslog,-sys_admin"]
    if subprocess.run([*command, "dmesg"], check=False, capture_output=True).returncode == 0:
        pytest.skip("linux shows its log to everybody here")
    with running_daemon(tmp_path, command=command) as daemon:
        first = daemon.http.get("/api/v1/kernels").json()["taken_at"]

        def has_looked_again() -> bool:
            return bool(daemon.http.get("/api/v1/kernels").json()["taken_at"] > first)

        wait_until(has_looked_again, "it looks again")
        assert daemon.series("jupyter_kernel_exporter_source_up")['{source="kmsg"}'] == 0
        assert daemon.log.count("source=kmsg ") == 1
        assert "CAP_SYSLOG" in daemon.log
