"""Probes of what tells of ends: linux' log, process events, pidfds, the kernels themselves."""

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator

from jupyter_kernel_exporter.deaths.lines import CHUNK, Connection, PlainLine
from jupyter_kernel_exporter.doctor.probe import Seen
from jupyter_kernel_exporter.doctor.processes import some
from jupyter_kernel_exporter.doctor.site import Site
from jupyter_kernel_exporter.linux import netns, pidfd, zombie
from jupyter_kernel_exporter.linux.kmsg import open_kmsg
from jupyter_kernel_exporter.linux.proc import read_stat
from jupyter_kernel_exporter.linux.procevents import ProcEvents
from jupyter_kernel_exporter.linux.procmessage import Exit
from jupyter_kernel_exporter.linux.waitstatus import WaitStatus
from jupyter_kernel_exporter.model import ProcessId
from jupyter_kernel_exporter.sources import Unavailable

PATIENCE_SECONDS = 2.0
"""For what linux does at once."""
CODE = 7
"""How the child ends, so that it is not mistaken for anything else."""


def try_kmsg(site: Site) -> Seen:
    """``/dev/kmsg``: open it, and read what is in it."""
    log = open_kmsg(site.procfs, from_start=True)
    try:
        return Seen(f"the log is read; it holds {len(log.drain().records)} records")
    finally:
        log.close()


def try_process_events(_: Site) -> Seen:
    """The proc connector: listen, and let a child end."""
    events = ProcEvents()
    try:
        with _child() as child:
            child.communicate(b"\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            select.select([events], [], [], left)
            for event in events.read().events:
                if isinstance(event, Exit) and event.tgid == child.pid:
                    return Seen(f"the end of a child was told: {_named(event.wait_status)}")
    finally:
        events.close()
    raise Unavailable("linux accepts the request, and tells nothing of the end of a child")


def try_pidfd(site: Site) -> Seen:
    """Descriptors of processes, of a child to its end and beyond, and of another user's process."""
    procfs = site.procfs
    pidfd.check(procfs)
    for subject in site.subjects[:1]:
        other = pidfd.open_process(procfs, subject.process)
        if other is not None:
            os.close(other)
    with _child() as child:
        process = _identify(procfs, child.pid)
        descriptor = pidfd.open_process(procfs, process)
        assert descriptor is not None  # it waits for us
        assert child.stdin is not None  # it is a pipe
        try:
            child.stdin.close()
            if not select.select([descriptor], [], [], PATIENCE_SECONDS)[0]:
                raise Unavailable("a pidfd does not tell of the end of its process")
            left = zombie.read_exit_status(procfs, process)
            child.wait()
            kept = pidfd.read_exit_status(descriptor)
        finally:
            os.close(descriptor)
    if left is None or left.code != CODE:
        raise Unavailable(f"a child that ended with {CODE} is said to have ended with {left}")
    masked = site.denied(lambda pid: _look_at_status(procfs, pid))
    says = f"the end of a child was told: {left}"
    if masked and kept is None:
        return Seen(says, f"how other users' processes end is masked, as of {some(masked)}")
    if masked:
        return Seen(
            f"{says}, again after it was waited for",
            f"until its parent has waited for it, linux masks how a process ended, as of"
            f" {some(masked)}",
        )
    if kept is None:
        return Seen(says, "linux keeps no status of a process that was waited for (6.15 does)")
    return Seen(f"{says}, again after it was waited for")


def try_iopub(site: Site) -> Seen:
    """A line to this machine's own loopback address, and a visit to other network namespaces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = PlainLine(Connection("127.0.0.1", listener.getsockname()[1]), bytearray(CHUNK))
        line.close()
    less = []
    if "runtime_dir" in site.problems:
        less.append("kernels of which the connection file may not be read are not heard")
    closed = site.denied(lambda pid: _visit(f"{site.procfs}/{pid}/ns/net"))
    if closed:
        less.append(f"the network of {some(closed)} may not be looked at: it is taken for this one")
    try:
        netns.within("/proc/self/ns/net", _look_around)
    except PermissionError:
        less.append("kernels in containers are not heard: their network may not be entered")
    return Seen("loopback is open", "; ".join(less))


def _visit(path: str) -> None:
    if not netns.is_own(path):
        netns.within(path, _look_around)


def _look_around() -> None:
    """Nothing: to be there is enough."""


def _look_at_status(procfs: str, pid: int) -> None:
    if zombie.may_read_exit_status(procfs, pid) is False:
        raise PermissionError(f"{procfs}/{pid}/stat: the exit code is masked")


@contextlib.contextmanager
def _child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with :data:`CODE` as soon as its standard input does."""
    command = ["/bin/sh", "-c", f"read _; exit {CODE}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={}, cwd="/") as child:
        yield child


def _identify(procfs: str, pid: int) -> ProcessId:
    stat = read_stat(procfs, pid)
    if stat is None:
        raise Unavailable(f"{procfs} does not show this process' own child")
    return ProcessId(pid, stat.start_ticks)


def _named(wait_status: int) -> str:
    return str(WaitStatus.from_raw(wait_status))
