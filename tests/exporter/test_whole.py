"""The whole daemon as a process, watching real kernels of a real Jupyter server."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, read_stat
from jupyter_kernel_exporter.settings import SOURCES
from support.daemon import Daemon, running_daemon
from support.jupyter import Server, kernelspec, running_server, wait_until
from support.prometheus import needs_prometheus, running_prometheus

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server that belongs to a hub's user."""
    environ = {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_API_TOKEN": "hush-hub-token"}
    late = "import runpy, time; time.sleep(3)"
    launch = "runpy.run_module('ipykernel_launcher', run_name='__main__')"
    argv = [sys.executable, "-c", f"{late}; {launch}", "-f", "{connection_file}"]
    kernelspecs = {"slow": kernelspec(argv)}
    home = tmp_path_factory.mktemp("jupyter")
    with running_server(home, kernelspecs=kernelspecs, environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Daemon]:  # noqa: ARG001
    """The daemon with its defaults."""
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


def process_of(kernel_id: str) -> psutil.Process:
    """The process of a kernel."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # gone, or a zombie
            if any(kernel_id in argument for argument in process.cmdline()):
                return process
    raise AssertionError(f"no process of {kernel_id}")


def moment_of(daemon: Daemon, kernel_id: str, there: bool) -> float:
    """When a kernel shows in /metrics, or has gone from there: seconds since boot."""
    wait_until(
        lambda: (kernel_id in daemon.kernel_ids()) is there, "the kernel's series", every=0.01
    )
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_kernels_start_and_end_show_within_one_interval(server: Server, daemon: Daemon) -> None:
    """The interval is a second; a fifth of one is for this busy test machine."""
    kernel_id = server.start_kernel("python3", notebook="thesis.ipynb")
    shown = moment_of(daemon, kernel_id, there=True)
    process = process_of(kernel_id)
    stat = read_stat("/proc", process.pid)
    assert stat is not None
    assert shown - stat.start_ticks / CLOCK_TICKS < 1.2

    (info,) = [s for s in daemon.series("jupyter_kernel_info") if kernel_id in s]
    assert 'username="alice"' in info
    assert 'notebook="thesis.ipynb"' in info
    assert 'kernel_name="python3"' in info
    assert f'pid="{process.pid}"' in info

    process.kill()
    killed = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert moment_of(daemon, kernel_id, there=False) - killed < 1.2
    server.shut_down_kernel(kernel_id)


def test_states_from_starting_to_busy(server: Server, daemon: Daemon) -> None:
    """One of the four is 1 at any time."""
    kernel_id = server.start_kernel("slow")

    def state() -> str:
        series = daemon.series("jupyter_kernel_state")
        on = [s for s, value in series.items() if kernel_id in s and value == 1]
        assert len(on) <= 1
        return re.findall(r'state="(\w+)"', on[0])[0] if on else ""

    seen: set[str] = set()
    while "idle" not in seen:
        seen.add(state())
    assert "starting" in seen
    code = "import time\nend = time.time() + 3\nwhile time.time() < end: pass"
    worker = threading.Thread(target=server.execute, args=(kernel_id, code))
    worker.start()
    wait_until(lambda: state() == "busy", "the kernel is busy", every=0.05)
    worker.join()
    wait_until(lambda: state() == "idle", "the kernel is idle again", every=0.05)
    server.shut_down_kernel(kernel_id)


def test_metrics_are_clean_and_in_both_formats(server: Server, daemon: Daemon) -> None:
    """promtool finds nothing to say about what a real daemon shows of a real kernel."""
    if not shutil.which("promtool"):
        pytest.skip("needs promtool")
    kernel_id = server.start_kernel("python3", notebook="thesis.ipynb")
    moment_of(daemon, kernel_id, there=True)
    text = daemon.metrics()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = daemon.http.get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    server.shut_down_kernel(kernel_id)


def test_no_secret_is_shown_anywhere(server: Server, daemon: Daemon) -> None:
    """Neither the kernel's key, nor the hub's and the server's tokens, nor a cell's code."""
    kernel_id = server.start_kernel("python3", notebook="thesis.ipynb")
    server.execute(kernel_id, "secret_cell_source = 1")
    moment_of(daemon, kernel_id, there=True)
    connection = server.connection_file(kernel_id).read_text()
    key = re.findall(r'"key": "([^"]+)"', connection)[0]
    pages = [
        daemon.http.get(path).text
        for path in ("/", "/metrics", "/api/v1/kernels", f"/api/v1/kernels/{kernel_id}")
    ]
    for text in (*pages, daemon.log):
        for secret in (key, server.token, "hush-hub-token", "secret_cell_source"):
            assert secret not in text
    server.shut_down_kernel(kernel_id)


@needs_prometheus
def test_prometheus_scrapes_it(server: Server, daemon: Daemon, tmp_path: Path) -> None:
    """A real Prometheus finds the kernel's memory under the names of the contract."""
    kernel_id = server.start_kernel("python3", notebook="thesis.ipynb")
    target = {"static_configs": [{"targets": [f"127.0.0.1:{daemon.port}"]}]}
    config = {"scrape_configs": [{"job_name": "own", "scrape_interval": "1s", **target}]}
    with running_prometheus(tmp_path, config) as prometheus:
        query = f'jupyter_kernel_memory_rss_bytes{{kernel_id="{kernel_id}",username="alice"}}'

        def ask() -> list[dict[str, list[str]]]:
            answer = prometheus.get("/api/v1/query", params={"query": query})
            found: list[dict[str, list[str]]] = answer.json()["data"]["result"]
            return found

        (result,) = wait_until(ask, "Prometheus has scraped the kernel")
        assert float(result["value"][1]) > 10 << 20
    server.shut_down_kernel(kernel_id)


def test_as_another_user_it_shows_what_can_be_seen(server: Server, tmp_path: Path) -> None:
    """uid nobody: the kernel is there with its memory; what is missing is said, once."""
    kernel_id = server.start_kernel("python3", notebook="thesis.ipynb")
    with running_daemon(tmp_path, as_nobody=True) as daemon:
        moment_of(daemon, kernel_id, there=True)
        (rss,) = [
            v for s, v in daemon.series("jupyter_kernel_memory_rss_bytes").items() if kernel_id in s
        ]
        assert rss > 10 << 20
        (info,) = [s for s in daemon.series("jupyter_kernel_info") if kernel_id in s]
        assert 'username="root"' in info
        assert 'notebook=""' in info
        up = daemon.series("jupyter_kernel_exporter_source_up")
        assert up['{source="proc"}'] == 1
        assert up['{source="io"}'] == 0
        assert up['{source="environ"}'] == 0
        assert not [s for s in daemon.series("jupyter_kernel_io_bytes_total") if kernel_id in s]
        assert daemon.log.count("source=io ") == 1
        assert "CAP_SYS_PTRACE" in daemon.log
        assert daemon.process.poll() is None
    server.shut_down_kernel(kernel_id)


def test_an_address_in_use_is_one_clear_line() -> None:
    """And exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "jupyter_kernel_exporter",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr == (
        f"jupyter-kernel-exporter: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(number: signal.Signals, tmp_path: Path) -> None:
    """At once, with status 0, also while somebody keeps a connection open."""
    with running_daemon(tmp_path) as daemon:
        daemon.http.get("/metrics")
        with socket.create_connection(("127.0.0.1", daemon.port)):
            os.kill(daemon.process.pid, number)
            assert daemon.process.wait(10) == 0


def test_with_every_source_switched_off_it_still_serves(server: Server, tmp_path: Path) -> None:
    """The process table and its own history: a kernel, its memory, and nothing from elsewhere."""
    kernel_id = server.start_kernel("python3")
    with running_daemon(tmp_path, *(f"--no-source.{source.name}" for source in SOURCES)) as daemon:
        moment_of(daemon, kernel_id, there=True)
        up = set(daemon.series("jupyter_kernel_exporter_source_up"))
        assert up == {'{source="proc"}', '{source="history"}'}
    server.shut_down_kernel(kernel_id)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")
def test_a_kernel_in_a_home_that_hangs_is_watched(server: Server, tmp_path: Path) -> None:
    """Its own connection file, and its server's, cannot be asked for: its end is told apart still,
    and nobody else waits for it.
    """
    before = server.start_kernel("python3", notebook="thesis.ipynb")
    hanging = (sys.executable, "-m", "support.hanging", str(server.folders.runtime))
    with running_daemon(tmp_path, command=hanging) as daemon:
        moment_of(daemon, before, there=True)
        process_of(before).send_signal(signal.SIGSEGV)

        def told() -> list[dict[str, str]]:
            found = daemon.http.get("/api/v1/deaths").json()["deaths"]
            return [death for death in found if death["kernel_id"] == before]

        (death,) = wait_until(told, "the end is told")
        assert death["reason"] == "segfault"
        assert "runtime_dir" in death["missing"]
        up = daemon.series("jupyter_kernel_exporter_source_up")
        assert (up['{source="runtime_dir"}'], up['{source="proc"}']) == (0, 1)
    server.shut_down_kernel(before)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")
def test_a_home_that_hangs_hides_nobody(server: Server, tmp_path: Path) -> None:
    """Kernels are found and sampled all the same, and the end is a good one."""
    hung = tmp_path / "hung"
    hung.mkdir()
    before = server.start_kernel("python3", notebook="thesis.ipynb")
    hanging = (sys.executable, "-m", "support.hanging", str(hung))
    with running_daemon(tmp_path, f"--runtime-dir={hung}/*/runtime", command=hanging) as daemon:
        moment_of(daemon, before, there=True)
        kernel_id = server.start_kernel("python3", notebook="other.ipynb")
        moment_of(daemon, kernel_id, there=True)
        (info,) = [s for s in daemon.series("jupyter_kernel_info") if kernel_id in s]
        assert 'notebook="other.ipynb"' in info
        up = daemon.series("jupyter_kernel_exporter_source_up")
        assert up['{source="runtime_dir"}'] == 0
        server.shut_down_kernel(kernel_id)
        moment_of(daemon, kernel_id, there=False)
        assert "no answer within" in daemon.log
    server.shut_down_kernel(before)
