"""Python processes in a network namespace of their own, as a container's kernel is."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
with socket.socket() as s:  # ip link set lo up
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x41))
"""


def _may_unshare() -> bool:
    """Whether a network namespace can be made and entered here."""
    tried = subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True)
    return os.getuid() == 0 and tried.returncode == 0


needs_unshare = pytest.mark.skipif(not _may_unshare(), reason="needs CAP_SYS_ADMIN")


@contextlib.contextmanager
def apart(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs ``code``, with its loopback interface up and ``sys.path`` as here."""
    path = os.pathsep.join(sys.path)
    command = ["unshare", "-n", sys.executable, "-c", LOOPBACK_UP + code, path, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
