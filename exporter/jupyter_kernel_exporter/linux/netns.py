"""Network namespaces: a container's ports can be reached only from inside its own.

A socket belongs for its whole life to the namespace of the thread that made it
(network_namespaces(7)), and so does a thread to that of the thread that started it. So one short
visit is enough, in a thread of its own: no other thread notices, and none has to come back.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000


def is_own(path: str) -> bool:
    """Whether ``path``, such as ``/proc/PID/ns/net``, is the namespace that this thread is in."""
    there, here = os.stat(path), os.stat("/proc/thread-self/ns/net")
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def within(path: str, action: Callable[[], T]) -> T:
    """Call ``action`` in a thread that has entered the network namespace ``path``.

    Raises :exc:`FileNotFoundError` if its process is gone, :exc:`PermissionError` without
    CAP_SYS_ADMIN, and whatever ``action`` raises.
    """

    def visit() -> T:
        _enter(path)
        return action()

    with ThreadPoolExecutor(1, "netns") as visitor:
        return visitor.submit(visit).result()


def _enter(path: str) -> None:
    """setns(2) of the calling thread."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if sys.version_info >= (3, 12):
            os.setns(descriptor, CLONE_NEWNET)
            return
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, f"setns: {os.strerror(code)}", path)
    finally:
        os.close(descriptor)
