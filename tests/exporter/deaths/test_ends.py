"""What is asked once per tick, whatever may be asked."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.daemon import Daemon
from jupyter_kernel_exporter.deaths.inquest import Inquest
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.settings import resolve


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "not heard"])
def test_files_are_seen_to_at_each_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """Whether kernels are listened to or not."""
    seen_to: list[float] = []
    monkeypatch.setattr(Inquest, "tend", lambda _, now: seen_to.append(now))
    history = History.open(str(tmp_path))
    daemon = Daemon(resolve({"source.iopub": heard}, {}), history=history)
    daemon.start()
    try:
        for _ in range(2):
            daemon.tick()
    finally:
        daemon.stop()
        history.close()
    assert len(seen_to) == 2
