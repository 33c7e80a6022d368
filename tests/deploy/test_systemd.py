"""The systemd unit: valid, hardened, and with all the rights that it needs and no other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import running_daemon
from support.jupyter import running_server, wait_until
from support.processes import needs_root
from support.promql import ROOT

UNIT = ROOT / "deploy/systemd/jupyter-kernel-exporter.service"
NOBODY = 65534
WORST_EXPOSURE = 35
"""Tenths, by systemd's own measure; a service without any hardening has 96."""


def settings() -> dict[str, list[str]]:
    """Every directive with its values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_it(tmp_path: Path) -> None:
    """Without a word, and finds it little exposed."""
    unit = tmp_path / UNIT.name
    (start,) = settings()["ExecStart"]
    unit.write_text(UNIT.read_text().replace(start, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", f"--threshold={WORST_EXPOSURE}"),
            str(unit),
        ],
        capture_output=True,
        check=True,
    )


def test_the_watcher_survives_what_it_reports() -> None:
    """Spared by linux, bounded in memory, watched by systemd, and back after any end."""
    unit = settings()
    assert unit["OOMScoreAdjust"] == ["-900"]
    assert {"MemoryHigh", "MemoryMax", "WatchdogSec"} <= unit.keys()
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"]


@pytest.mark.patient
@pytest.mark.real
@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_its_rights_are_enough(tmp_path: Path) -> None:
    """As an ordinary user with the unit's capabilities, and without memory that is both written and
    executed, the daemon sees another user's kernel with its notebook, and every source is up that
    is up for root.
    """
    (capabilities,) = settings()["AmbientCapabilities"]
    names = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities.split())
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    # PR_SET_MDWE, linux 6.3: what MemoryDenyWriteExecute= asks for. Older ones refuse it.
    deny = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); "
    command = [
        *(sys.executable, "-c", deny + "os.execvp(sys.argv[1], sys.argv[1:])"),
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *(f"--inh-caps=-all,{names}", f"--ambient-caps=-all,{names}"),
        *(f"--bounding-set=-all,{names}", "--no-new-privs"),
    ]

    def up(log_of: str) -> dict[str, float]:
        with running_daemon(
            tmp_path, f"--state-dir={state / log_of}", command=command if log_of == "unit" else ()
        ) as daemon:
            wait_until(lambda: kernel_id in daemon.kernel_ids(), "the kernel is seen")
            (info,) = [s for s in daemon.series("jupyter_kernel_info") if kernel_id in s]
            assert 'notebook="mine.ipynb"' in info
            assert 'kernel_name="python3"' in info
            return daemon.series("jupyter_kernel_exporter_source_up")

    (tmp_path / "server").mkdir()
    with running_server(tmp_path / "server") as server:
        kernel_id = server.start_kernel("python3", notebook="mine.ipynb")
        assert up("unit") == up("root")
