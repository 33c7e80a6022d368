"""What the doctor claims, and what linux lets the same process do, as one line of JSON.

    python doctor_and_deeds.py UID ZOMBIE FILE [FLAG ...]

UID: give up root for this user first, or 0. ZOMBIE: pid of another user's, which ended with code
3. FILE: another user's connection file. The deeds use nothing of the package.
"""

import contextlib
import ctypes
import io
import json
import os
import socket
import sys
from collections.abc import Callable

from jupyter_kernel_exporter.cli import main

PR_SET_DUMPABLE = 4
CLONE_NEWNET = 0x40000000


def works(deed: Callable[[], object]) -> bool:
    """Whether linux permits it."""
    try:
        deed()
    except PermissionError:
        return False
    return True


def read(path: str) -> bytes:
    """A file."""
    with open(path, "rb") as file:
        return file.read()


def read_log() -> None:
    """One record of linux' log."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.read(descriptor, 8192)
    os.close(descriptor)


def subscribe() -> None:
    """Join the group that process events are sent to."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 11) as sock:
        sock.bind((0, 1))


def enter_network() -> None:
    """The network namespace that this process is in already."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)


def zombie_status(pid: str) -> None:
    """The exit code in the last field of its line; linux masks it with 0."""
    if read(f"/proc/{pid}/stat").split()[-1] != b"%d" % (3 << 8):
        raise PermissionError


def all_of(pids: list[int], deed: Callable[[int], object]) -> bool:
    """Whether it is permitted on every process that is still there."""

    def on_one(pid: int) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            deed(pid)

    return all(works(lambda pid=pid: on_one(pid)) for pid in pids)  # type: ignore[misc]


def deeds(pids: list[int], zombie: str, file: str) -> dict[str, bool]:
    """What may be done, by the source that it is needed for."""

    def of_all(path: str) -> bool:
        return all_of(pids, lambda pid: read(f"/proc/{pid}/{path}"))

    sees_networks = all_of(pids, lambda pid: os.readlink(f"/proc/{pid}/ns/net"))
    sees_roots = all_of(pids, lambda pid: os.stat(f"/proc/{pid}/root/."))
    return {
        "proc": os.path.exists("/proc/1") and works(lambda: read("/proc/1/stat")),
        "environ": of_all("environ"),
        "io": of_all("io"),
        "pss": of_all("smaps_rollup"),
        "runtime_dir": works(lambda: read(file)) and sees_roots,
        "kmsg": works(read_log),
        "process_events": works(subscribe),
        "pidfd": works(lambda: zombie_status(zombie)),
        "iopub": works(enter_network) and works(lambda: read(file)) and sees_networks,
        "host": works(lambda: read("/proc/meminfo")),
        "cgroup": of_all("cgroup"),
    }


if __name__ == "__main__":
    uid, zombie, file, *flags = sys.argv[1:]
    if uid != "0":
        # What is loaded on first use may be root's alone: use it first.
        with contextlib.redirect_stdout(io.StringIO()):
            main(["doctor", "--json", *flags])
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
        # As a program is that was started as this user.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = main(["doctor", "--json", *flags])
    claims = json.loads(printed.getvalue())
    done = deeds(claims["tried_on"], zombie, file)
    print(json.dumps({"status": status, "claims": claims, "deeds": done}))
