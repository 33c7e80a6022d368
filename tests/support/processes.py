"""Programs that end in special ways, and a mark for the tests that need root's powers."""

import os
from pathlib import Path

import pytest

CAP_SYS_ADMIN = 21


def _is_root() -> bool:
    """Whether this is root with its capabilities, not root of a container without them."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = int(status.partition("\nCapEff:")[2].split()[0], 16)
    return os.geteuid() == 0 and bool(effective >> CAP_SYS_ADMIN & 1)


needs_root = pytest.mark.skipif(not _is_root(), reason="needs root with CAP_SYS_ADMIN")

_EXIT = {"x86_64": 60, "aarch64": 93}
EXIT_NUMBER = _EXIT.get(os.uname().machine, -1)
"""Number of exit(2), which ends one thread; -1 where it is not known."""
knows_exit = pytest.mark.skipif(EXIT_NUMBER < 0, reason="number of exit(2) not known")

HOG = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
open(sys.argv[1], 'w').write(str(os.getpid()))
hog = []
while True: hog.append(bytearray(b'x' * (1 << 20)))
"""
"""Joins the cgroup of the ``cgroup.procs`` that is named, then takes memory until it is killed."""


def first_thread_ends(last: str) -> str:
    """A program whose first thread ends with code 9 by the bare system call.

    The other thread waits for its standard input, then runs the statement ``last``.
    """
    return (
        "import ctypes, os, threading\n"
        "def live_on():\n"
        "    os.read(0, 1)\n"
        f"    {last}\n"
        "threading.Thread(target=live_on).start()\n"
        f"ctypes.CDLL(None).syscall({EXIT_NUMBER}, 9)\n"
    )
