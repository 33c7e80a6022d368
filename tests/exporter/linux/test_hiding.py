"""Whether a /proc hides processes, on made-up ones and on real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux import hiding
from support.processes import needs_root

OTHERS = "hides the processes of other users"
FILES = "hides the files of other users' processes"
OUTSIDE = "one container or sandbox"


@pytest.mark.parametrize(
    ("processes", "sentence"),
    [
        ({1: "systemd", 2: "kthreadd"}, ""),
        ({7: "python"}, OTHERS),
        ({1: "tini", 2: "python"}, OUTSIDE),
        ({1: "tini"}, OUTSIDE),
    ],
)
def test_made_up(tmp_path: Path, processes: dict[int, str], sentence: str) -> None:
    """The first process and linux' own show it."""
    for pid, name in processes.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").touch()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    found = hiding.what_hides(str(tmp_path))
    assert sentence in found
    assert bool(sentence) == bool(found)
    assert bool(hiding.what_hides_others(str(tmp_path))) == (sentence == OTHERS)


AS_NOBODY = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from jupyter_kernel_exporter.linux import hiding
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(hiding.what_hides_others("/proc"), hiding.what_hides("/proc"), sep="|")
"""


@needs_root
@pytest.mark.parametrize(
    ("option", "sentence"),
    [("hidepid=0", ""), ("hidepid=1", FILES), ("hidepid=2", OTHERS), ("hidepid=4", OTHERS)],
)
def test_mounted_so(option: str, sentence: str) -> None:
    """Nobody is told so, and never by an exception."""
    apart = ["unshare", "--mount", "--propagation=private", "sh", "-c"]
    command = f'mount -t proc -o {option} proc /proc || exit 32; exec "$0" -c "$1"'
    done = subprocess.run(
        [*apart, command, sys.executable, AS_NOBODY],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    if done.returncode == 32:
        pytest.skip(f"needs a /proc that can be mounted with {option}")
    assert done.stderr == ""
    others, all_told = done.stdout.strip().split("|")
    assert sentence in others
    assert bool(others) == bool(sentence)
    assert all_told == others or OUTSIDE in all_told
