"""The daemon as people run it: a process of its own, on a free port of loopback."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from support.jupyter import end, wait_until


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(slots=True)
class Daemon:
    """A daemon that answers."""

    process: "subprocess.Popen[bytes]"
    port: int
    log_file: Path
    http: httpx.Client

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def metrics(self) -> str:
        """The text of /metrics."""
        answer = self.http.get("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    def series(self, name: str) -> dict[str, float]:
        """The samples of one metric by their labels' text."""
        found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", self.metrics(), re.MULTILINE)
        return {labels: float(value) for labels, value in found}

    def kernel_ids(self) -> set[str]:
        """Ids of the kernels that it shows."""
        return {
            re.findall(r'kernel_id="([^"]*)"', s)[0] for s in self.series("jupyter_kernel_info")
        }


@contextlib.contextmanager
def running_daemon(
    home: Path,
    *arguments: str,
    command: Sequence[str] = (),
    as_nobody: bool = False,
    ends_with: int = 0,
    client: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Daemon]:
    """The daemon, once it answers; ended with SIGTERM, and it must end well.

    ``command`` goes before it (``unshare ...``). ``ends_with`` is -9 if the test kills it.
    ``client`` is what httpx has to know to be let in; with ``verify``, it speaks TLS.
    """
    port = free_port()
    log_file = home / f"daemon-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *command,
                sys.executable,
                "-m",
                "support.as_nobody" if as_nobody else "jupyter_kernel_exporter",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--state-dir={home / f'state-{port}'}",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={k: v for k, v in os.environ.items() if not k.startswith("JKE_")}
            | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
    try:
        url = f"{'https' if 'verify' in client else 'http'}://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=10, **client) as http:

            def answers() -> bool:
                assert process.poll() is None, log_file.read_text()
                with contextlib.suppress(httpx.TransportError):
                    return http.get("/-/ready").status_code == 200
                return False

            wait_until(answers, "the daemon is ready")
            yield Daemon(process, port, log_file, http)
    finally:
        status = end(process)
    assert status == ends_with, log_file.read_text()
