"""The two exporters that are compared: started, scraped as Prometheus does, and weighed."""

import contextlib
import gzip
import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench_kernels import BenchError, cpu_seconds, free_ports

PROCESS_EXPORTER = "/usr/bin/prometheus-process-exporter"
OURS_PORT, PEER_PORT = 9_300, 9_400
START_SECONDS = 90.0

PROMETHEUS: Mapping[str, str] = {
    "User-Agent": "Prometheus/2.42.0",
    "Accept": "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
"""What Prometheus 2.42 sends."""
PLAIN: Mapping[str, str] = {"Accept": "text/plain;version=0.0.4"}

# A group for each kernel, as this project has series for each kernel: the same question asked. One
# group for all gives process-exporter less to write. Both are found by the mark that every kernel
# has: the connection file it was started with.
PROCESS_EXPORTER_CONFIG = """\
process_names:
  - name: "{name}"
    cmdline:
      - '{runtime_dir}/kernel-(?P<kernel>[0-9a-f-]+)\\.json'
"""
GROUP_NAMES = {"kernel": "{{.Matches.kernel}}", "one": "kernels"}


class Scrape(NamedTuple):
    """One answer of an exporter."""

    seconds: float
    """From the first byte sent to the last byte read."""
    body: str


class Memory(NamedTuple):
    """Resident memory of a process, bytes."""

    now: int
    peak: int


@dataclass
class Exporter:
    """An exporter that runs, and the connection to it that is kept alive."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    connection: http.client.HTTPConnection

    def get(self, path: str, headers: Mapping[str, str] = PROMETHEUS) -> Scrape:
        """Ask for ``path`` over the kept connection; over a new one if it was closed meanwhile."""
        started = time.perf_counter()
        try:
            response = self._ask(path, headers)
        except http.client.RemoteDisconnected:
            response = self._ask(path, headers)
        body = response.read()
        seconds = time.perf_counter() - started
        if response.status != 200:
            raise BenchError(f"{self.name} answers {path} with {response.status}")
        if response.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Scrape(seconds, body.decode())

    def _ask(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        self.connection.request("GET", path, headers=dict(headers))
        return self.connection.getresponse()

    def scrape(self, headers: Mapping[str, str] = PROMETHEUS) -> Scrape:
        """One scrape of the metrics."""
        return self.get("/metrics", headers)

    def cpu_seconds(self) -> float:
        """CPU time that the exporter used since it started."""
        return cpu_seconds(self.process.pid)

    def memory(self) -> Memory:
        """Resident memory of the exporter."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return parse_memory(file.read())

    def wait_for(self, what: str, found: Callable[[str], bool]) -> None:
        """Scrape until ``found`` in the metrics."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = self.log.read_text(encoding="utf-8", errors="replace")[-1000:]
                raise BenchError(f"{self.name} ended: {self.process.returncode}\n{said}")
            try:
                if found(self.scrape().body):
                    return
            except ConnectionError:  # it does not listen yet, or has ended
                self.connection.close()
            time.sleep(0.25)
        raise BenchError(f"{self.name} does not show {what} within {START_SECONDS:g} s")


def parse_memory(status: str) -> Memory:
    """Parse ``VmRSS`` and ``VmHWM`` of ``/proc/PID/status``."""
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    return Memory(int(found["VmRSS"]) << 10, int(found["VmHWM"]) << 10)


def kernels_of_ours(body: str) -> set[str]:
    """The ids of the kernels that this project's metrics show."""
    return set(re.findall(r'^jupyter_kernel_info\{.*?kernel_id="([^"]+)"', body, re.MULTILINE))


def processes_of_process_exporter(body: str) -> int:
    """How many processes process-exporter's groups have."""
    pattern = r"^namedprocess_namegroup_num_procs\{.*\} (\d+)$"
    return sum(map(int, re.findall(pattern, body, re.MULTILINE)))


def sample_seconds(body: str) -> float:
    """How long our own last tick took, as it says itself."""
    pattern = r"^jupyter_kernel_exporter_sample_duration_seconds (\S+)$"
    (value,) = re.findall(pattern, body, re.MULTILINE)
    return float(value)


@contextlib.contextmanager
def running(
    name: str, command: list[str], env: Mapping[str, str], port: int, log: Path
) -> Iterator[Exporter]:
    """An exporter, for as long as the context lasts; what it says goes to ``log``."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            yield Exporter(name, process, log, connection)
        finally:
            connection.close()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def run_ours(runtime_dir: Path, directory: Path) -> contextlib.AbstractContextManager[Exporter]:
    """This project's daemon as it is out of the box, the kernels in its own runtime directory."""
    port = next(free_ports(OURS_PORT))
    env = {name: value for name, value in os.environ.items() if not name.startswith("JKE_")}
    env["JUPYTER_RUNTIME_DIR"] = str(runtime_dir)
    command = [sys.executable, "-m", "jupyter_kernel_exporter", "serve"]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--state-dir={directory / 'state'}"]
    return running("jupyter-kernel-exporter", command, env, port, directory / "ours.log")


def run_process_exporter(
    runtime_dir: Path, directory: Path, groups: str
) -> contextlib.AbstractContextManager[Exporter]:
    """Debian's process-exporter with its default flags, told to look at these kernels."""
    if not os.path.exists(PROCESS_EXPORTER):
        raise BenchError(f"no {PROCESS_EXPORTER}: apt-get install prometheus-process-exporter")
    port = next(free_ports(PEER_PORT))
    config = directory / "process-exporter.yml"
    config.write_text(
        PROCESS_EXPORTER_CONFIG.format(
            name=GROUP_NAMES[groups], runtime_dir=re.escape(str(runtime_dir))
        ),
        encoding="utf-8",
    )
    command = [PROCESS_EXPORTER, "-config.path", str(config)]
    command += ["-web.listen-address", f"127.0.0.1:{port}"]
    return running("process-exporter", command, os.environ, port, directory / "peer.log")
