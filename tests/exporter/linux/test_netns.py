"""Visits to network namespaces."""

import os
import threading

import pytest

from jupyter_kernel_exporter.linux import netns
from support.apart import apart, needs_unshare


def test_ones_own_namespace() -> None:
    """By any name; one that is gone has none."""
    assert netns.is_own("/proc/self/ns/net")
    assert netns.is_own(f"/proc/{os.getpid()}/ns/net")
    with pytest.raises(FileNotFoundError):
        netns.is_own("/proc/1/ns/no-such")


@needs_unshare
def test_a_visit() -> None:
    """The visitor sees the other namespace, everybody else stays where they are."""
    before = threading.active_count()
    with apart("print(flush=True); sys.stdin.read()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        path = f"/proc/{process.pid}/ns/net"
        assert not netns.is_own(path)
        assert netns.within(path, lambda: netns.is_own(path))
        assert not netns.is_own(path)
        process.communicate()
    assert threading.active_count() == before


def test_what_a_visit_raises() -> None:
    """Comes out; and a namespace that is gone is told as such."""
    with pytest.raises(FileNotFoundError):
        netns.within("/proc/1/ns/no-such", list)
    with pytest.raises(OSError, match="Invalid argument"):
        netns.within("/dev/null", list)


@needs_unshare
def test_an_error_in_a_visit() -> None:
    """As if it had been raised here."""
    with pytest.raises(ZeroDivisionError):
        netns.within("/proc/self/ns/net", lambda: 1 // 0)
