"""Run a command for which everything below a directory hangs, as in a home whose server is gone.

    python -m support.hanging DIRECTORY COMMAND [ARGUMENT ...]

A file system in user space whose requests nobody answers, in a mount namespace of its own, so that
nobody else hangs. Needs root and /dev/fuse.
"""

import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x44000
MS_NOSUID_NODEV = 6


def hang(directory: str) -> None:
    """From now on. Raises :exc:`OSError` where that cannot be done."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    place = directory.encode()
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None)
        or libc.mount(b"hanging", place, b"fuse", MS_NOSUID_NODEV, options)
    ):
        raise OSError(ctypes.get_errno(), "a directory that hangs cannot be made")


if __name__ == "__main__":
    hang(sys.argv[1])
    # The file system lasts as long as this process, which has its device open.
    child = subprocess.Popen(sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    sys.exit(child.wait())
