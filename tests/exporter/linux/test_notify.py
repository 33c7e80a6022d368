"""What systemd hears."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.notify import Notifier, parse_address, parse_watchdog
from support.daemon import running_daemon


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@abstract", b"\0abstract"),
        ("", None),
        ("vsock:2:1234", None),
        ("relative", None),
    ],
)
def test_addresses(text: str, address: str | bytes | None) -> None:
    """Paths and names without one; others are left alone."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_of_another_is_not_fed(environ: dict[str, str], seconds: float | None) -> None:
    """Only who is meant gives signs of life."""
    assert parse_watchdog(environ, 7) == seconds


def test_words(ear: socket.socket) -> None:
    """In systemd's own, and a slow sampler asks for more patience."""
    told = Notifier({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "30000000"})
    told.ready(1.0)
    told.alive()
    told.ready(60.0)
    told.stopping()
    heard = [ear.recv(1000).decode() for _ in range(4)]
    assert heard == ["READY=1", "WATCHDOG=1", "READY=1\nWATCHDOG_USEC=300000000", "STOPPING=1"]


def test_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """That is said, and nothing else happens; without systemd not even that."""
    Notifier({}).ready(1.0)
    Notifier({"NOTIFY_SOCKET": ""}).stopping()
    assert not caplog.records
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready(1.0)
    assert [record.getMessage() for record in caplog.records] == ["systemd is not told"]


@pytest.mark.patient
@pytest.mark.real
def test_the_sampling_feeds_the_watchdog(ear: socket.socket, tmp_path: Path) -> None:
    """A daemon that is ready says so, gives a sign of life with each sample, none while it stands
    still, and says that it ends.
    """
    command = ["env", f"NOTIFY_SOCKET={ear.getsockname()}", "WATCHDOG_USEC=20000000"]
    with running_daemon(tmp_path, "--sample.interval=0.2", command=command) as daemon:
        heard = [ear.recv(1000) for _ in range(6)]
        assert heard.count(b"READY=1") == 1
        assert heard.count(b"WATCHDOG=1") == 5
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            ear.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                while True:  # what was said before
                    ear.recv(1000)
            with pytest.raises(TimeoutError):
                ear.recv(1000)
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        ear.settimeout(30)
        assert ear.recv(1000) == b"WATCHDOG=1"
    last: list[bytes] = []
    ear.settimeout(0.2)
    while not last or last[-1] != b"STOPPING=1":
        last.append(ear.recv(1000))
