"""A disk that is soon full."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size at ``folder``; where none can be mounted the test is skipped."""
    folder.mkdir()
    options = f"size={mebibytes}m,mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
