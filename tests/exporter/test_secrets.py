"""No key, no token and nothing of a cell is in what the daemon shows, logs or writes down."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, running_daemon
from support.jupyter import PYTHON_ARGV, Folders, client_of, kernelspec, running_server, wait_until

pytestmark = [pytest.mark.patient, pytest.mark.real]

USER = f"secrets-{os.getpid()}"
HUB_TOKEN = "hush-hub-token"
ENVIRONMENT = "hush-environment"
ARGUMENT = "hush-argument"
CELL = "hush_cell_source"
RESULT = "hush_result"
ERROR = "hush_error"
BROKEN = "hush-key-in-a-broken-file"
MARKERS = (HUB_TOKEN, ENVIRONMENT, ARGUMENT, CELL, RESULT, ERROR, BROKEN)

FAILING = f"""
{CELL} = "{RESULT}_print"
print({CELL})
raise ValueError("{ERROR}")
"""


@contextlib.contextmanager
def kernel_with_broken_file(folders: Folders) -> Iterator[None]:
    """A process like a kernel, whose connection file nobody can parse."""
    path = folders.runtime / f"kernel-{uuid.uuid4()}.json"
    path.write_text(f'{{"key": "{BROKEN}", "shell_port": {BROKEN}')
    process = subprocess.Popen(
        [sys.executable, "-c", "input()", "-m", "ipykernel_launcher", "-f", str(path)],
        env=folders.environ({"JPY_PARENT_PID": str(os.getpid())}),
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            yield
        finally:
            process.kill()


def everything(daemon: Daemon, kernel_ids: list[str], state: Path) -> dict[str, bytes]:
    """All that leaves the daemon, by where it is found."""
    found = {
        path: daemon.http.get(path).content
        for path in (
            "/",
            "/metrics",
            "/openapi.json",
            "/api/v1/kernels",
            "/api/v1/deaths?limit=1000",
            *(f"/api/v1/kernels/{kernel_id}" for kernel_id in kernel_ids),
        )
    }
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    found["OpenMetrics"] = daemon.http.get("/metrics", headers=accept).content
    found["log"] = daemon.log.encode()
    found |= {f"file {path.name}": path.read_bytes() for path in state.iterdir()}
    return found


def test_no_secret_leaves_the_daemon(tmp_path: Path) -> None:
    """Over lives and ends of kernels, at the most talkative level, and over a crash of its own."""
    state = tmp_path / "state"
    arguments = (f"--state-dir={state}", "--log.level=debug", "--privacy.notebook=path")
    spec = kernelspec(
        [*PYTHON_ARGV, f"--IPKernelApp.log_format={ARGUMENT} %(message)s"],
        env={"AWS_SECRET_ACCESS_KEY": ENVIRONMENT},
    )
    environ = {"JUPYTERHUB_USER": USER, "JUPYTERHUB_API_TOKEN": HUB_TOKEN}
    with (
        running_server(tmp_path, kernelspecs={"secret": spec}, environ=environ) as server,
        kernel_with_broken_file(server.folders),
    ):
        ids = [server.start_kernel("secret", notebook=f"{number}.ipynb") for number in range(3)]
        crashes, asked, lives = ids
        secrets = {server.token, *MARKERS}
        for kernel_id in ids:
            wait_until(server.connection_file(kernel_id).read_text, "the file is written")
            secrets.add(json.loads(server.connection_file(kernel_id).read_text())["key"])
        assert all(len(secret) > 8 for secret in secrets)

        def search(daemon: Daemon) -> None:
            for where, content in everything(daemon, ids, state).items():
                for secret in secrets:
                    assert secret.encode() not in content, (where, secret)

        with (
            contextlib.ExitStack() as clients,
            running_daemon(tmp_path, *arguments, ends_with=-signal.SIGKILL) as daemon,
        ):
            wait_until(lambda: daemon.kernel_ids() >= set(ids), "all are found")
            for kernel_id in ids:
                file = server.connection_file(kernel_id)
                client = clients.enter_context(client_of(file))
                # Else a cell that comes right after the error is dropped (ipykernel's abort).
                client.execute(FAILING, stop_on_error=False)
                client.get_shell_msg(timeout=30)
                if kernel_id == crashes:
                    client.execute(f"{CELL} = 2; import os; os.kill(os.getpid(), 11)")

            def errors() -> float:
                series = daemon.series("jupyter_kernel_errors_total")
                return sum(value for labels, value in series.items() if lives in labels)

            wait_until(lambda: errors() >= 1, "the error is counted")
            server.shut_down_kernel(asked)
            wait_until(lambda: {crashes, asked} <= set(ended(daemon)), "both are explained")
            assert ended(daemon) == {crashes: "segfault", asked: "shutdown_requested"}
            search(daemon)
            daemon.process.kill()
        # What a daemon that was killed leaves behind, and what the next one makes of it.
        with running_daemon(tmp_path, *arguments) as daemon:
            wait_until(lambda: lives in daemon.kernel_ids(), "who lives is found")
            search(daemon)
            # It could have been found, had it been there.
            texts = everything(daemon, ids, state)
            assert lives.encode() in texts["/api/v1/kernels"]
            assert crashes.encode() in b"".join(
                content for where, content in texts.items() if where.startswith("file ")
            )


def ended(daemon: Daemon) -> dict[str, str]:
    """The reasons of the deaths that are known, by kernel."""
    query = {"username": USER}
    rows = daemon.http.get("/api/v1/deaths", params=query).json()["deaths"]
    return {row["kernel_id"]: row["reason"] for row in rows}
