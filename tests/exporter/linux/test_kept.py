"""Files that are kept open."""

import os
import subprocess
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kept import RESERVE, Descriptors, KeptFile


def test_reads_the_content_of_now_through_one_descriptor(tmp_path: Path) -> None:
    """The second read opens nothing."""
    path = tmp_path / "x"
    path.write_text("one")
    descriptors = Descriptors(RESERVE + 10)
    file = KeptFile(str(path), descriptors)
    assert file.read() == b"one"
    path.write_text("two!")
    assert file.read() == b"two!"
    assert descriptors.kept == 1
    file.close()
    file.close()
    assert descriptors.kept == 0


def test_over_the_budget_it_opens_each_time(tmp_path: Path) -> None:
    """A machine with few descriptors is slower, not blind."""
    path = tmp_path / "x"
    path.write_text("one")
    descriptors = Descriptors(RESERVE)
    file = KeptFile(str(path), descriptors)
    before = len(os.listdir("/proc/self/fd"))
    assert file.read() == file.read() == b"one"
    assert len(os.listdir("/proc/self/fd")) == before
    assert descriptors.kept == 0


def test_a_missing_file_is_gone_and_a_forbidden_one_is_not(tmp_path: Path) -> None:
    """Gone is normal, forbidden is for the boundary."""
    assert KeptFile(str(tmp_path / "no"), Descriptors(1000)).read() is None
    with pytest.raises(IsADirectoryError):
        KeptFile(str(tmp_path), Descriptors(1000)).read()


@pytest.mark.real
def test_an_open_file_does_not_follow_a_pid_to_another_process() -> None:
    """Once the process is gone, so is what was open of it."""
    with subprocess.Popen(["sleep", "60"]) as child:
        file = KeptFile(f"/proc/{child.pid}/stat", Descriptors(1000))
        assert file.read()
        child.kill()
        child.wait()
        assert file.read() is None
        file.close()
