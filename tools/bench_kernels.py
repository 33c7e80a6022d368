"""The kernels that are watched in the benchmark: real ipykernels, and tiny stand-ins for many."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
FIRST_PORT = 10_000
"""Below the ports that linux gives out by itself (net.ipv4.ip_local_port_range)."""
READY_SECONDS = 60.0
QUIET_SHARE = 0.05
"""Share of one CPU that all kernels together may use once they have settled."""


class BenchError(Exception):
    """The benchmark cannot be run here, or what it started did not do as it should."""


class Fleet:
    """Kernels that were started here, and are ended here."""

    def __init__(self, directory: Path) -> None:
        self.runtime_dir = directory / "runtime"
        self.runtime_dir.mkdir(mode=0o700)
        self._directory = directory
        self._ports = free_ports(FIRST_PORT)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kernel_ids(self) -> set[str]:
        """The ids of all kernels that run."""
        return set(self._processes)

    @property
    def pids(self) -> list[int]:
        """The pids of all kernels that run."""
        return [process.pid for process in self._processes.values()]

    def start_real(self, count: int) -> None:
        """Start ipykernels, two at a time, as a Jupyter server would."""
        command = [sys.executable, "-m", "ipykernel_launcher"]
        before = None
        for _ in range(count):
            starting = self._start(command)
            if before is not None:
                self._wait_until_ready(*before)
            before = starting
        if before is not None:
            self._wait_until_ready(*before)

    def start_standins(self, count: int) -> None:
        """Start sleeping processes that look like kernels; the first call compiles them."""
        binary = self._directory / "standin"
        if not binary.exists():
            source = Path(__file__).with_name("bench_standin.c")
            subprocess.run(
                ["gcc", "-O2", "-static", "-Wall", "-o", str(binary), str(source)], check=True
            )
        started = [self._start([str(binary), "-m", "ipykernel_launcher"]) for _ in range(count)]
        for starting in started:
            self._wait_until_ready(*starting)

    def settle(self) -> None:
        """Wait until the kernels rest: what a start still costs is no cost of watching."""
        deadline = time.monotonic() + READY_SECONDS
        spent = self._cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(1.0)
            before, spent = spent, self._cpu_seconds()
            if spent - before < QUIET_SHARE:
                return
        raise BenchError(f"the kernels do not come to rest within {READY_SECONDS:g} s")

    def end(self) -> None:
        """End all kernels, and wait for them."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _start(self, command: list[str]) -> tuple[str, int]:
        """Start one kernel; its id, and the port it opens last."""
        kernel_id = str(uuid.uuid4())
        path = self.runtime_dir / f"kernel-{kernel_id}.json"
        ports = list(itertools.islice(self._ports, len(CHANNELS)))
        path.write_text(connection_text(kernel_id, ports), encoding="utf-8")
        path.chmod(0o600)
        self._processes[kernel_id] = subprocess.Popen(
            [*command, "-f", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={
                **os.environ,
                "IPYTHONDIR": str(self._directory / "ipython"),
                "JPY_PARENT_PID": str(os.getpid()),
            },
        )
        return kernel_id, ports[-1]

    def _wait_until_ready(self, kernel_id: str, port: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            status = self._processes[kernel_id].poll()
            if status is not None:
                raise BenchError(f"a kernel ended as it started, with status {status}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise BenchError(f"a kernel is not ready within {READY_SECONDS:g} s")

    def _cpu_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids)


def connection_text(kernel_id: str, ports: list[int]) -> str:
    """A connection file as jupyter_server and jupyter_client write it."""
    named = {f"{channel}_port": port for channel, port in zip(CHANNELS, ports, strict=True)}
    return json.dumps(
        {
            **named,
            "ip": "127.0.0.1",
            "key": str(uuid.uuid4()),
            "transport": "tcp",
            "signature_scheme": "hmac-sha256",
            "kernel_name": "python3",
            "jupyter_session": f"/home/jovyan/analysis/{kernel_id[:8]}.ipynb",
        },
        indent=2,
    )


def free_ports(first: int) -> Iterator[int]:
    """Ports of the loopback interface that nobody listens on, each given out once."""
    for port in range(first, 65536):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # in use: the next one then
                continue
        yield port


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all its threads: what its ``stat`` says, but to the nanosecond.

    linux makes the number of a process' CPU clock from its pid (clock_getcpuclockid(3)).
    """
    return time.clock_gettime((~pid << 3) | 2)
