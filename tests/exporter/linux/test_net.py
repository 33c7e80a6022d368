"""Listening sockets, and who holds them."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.net import (
    Listener,
    parse_tcp,
    parse_unix,
    read_namespace,
    read_sockets,
    read_tcp,
    read_unix,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1077 1 0
   1: 0100007F:A2C3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0
   2: 0200007F:A2C3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 31338 1 0
   3: 0100007F:0017 0100007F:D816 03 00000000:00000000 01:00000064 00000000     0        0 0
   4: 0100007F:0018 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0
"""
ESTABLISHED = """\
   5: 0100007F:800F 0100007F:D816 01 00000000:00000000 02:00000C2D 00000000  1000        0 44 1 0
   6: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8 1 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx
   0: 00000000000000000000000001000000:A2C3 00000000000000000000000000000000:0000 0A 0:0 0:0 0 \
1000        0 31339 1 0
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
00000000a8add9e7: 00000003 00000000 00000000 0001 03  1074
000000003945242a: 00000002 00000000 00010000 0001 01  1073 /run/user/1000/kernel-a-ipc-1
000000003945242b: 00000002 00000000 00010000 0001 01  1075 /home/My Docs/kernel-b-ipc-1
000000003945242c: 00000003 00000000 00000000 0001 03  1076 /run/user/1000/kernel-a-ipc-1
000000003945242d: 00000002 00000000 00010000 0001 01  1077 @abstract
"""


def test_tcp_listeners_by_port() -> None:
    """Two addresses may have one port; half-open connections among the listeners do no harm."""
    assert parse_tcp(TCP.splitlines()) == {
        0x7E8: [Listener(1077, 0)],
        0xA2C3: [Listener(31337, 1000), Listener(31338, 1001)],
        0x18: [Listener(7, 0)],
    }


def test_tcp_is_read_no_further_than_the_listeners() -> None:
    """linux lists them first; what comes after the first connection is left unread."""
    assert parse_tcp((TCP + ESTABLISHED).splitlines()) == parse_tcp(TCP.splitlines())


def test_tcp6_has_the_same_columns() -> None:
    """Only the address is longer."""
    assert parse_tcp(TCP6.splitlines()) == {0xA2C3: [Listener(31339, 1000)]}


def test_unix_listeners_by_path() -> None:
    """Connected sockets bear the listener's path too, and are none; paths may hold spaces."""
    assert parse_unix(UNIX.splitlines(keepends=True)) == {
        "/run/user/1000/kernel-a-ipc-1": [Listener(1073, None)],
        "/home/My Docs/kernel-b-ipc-1": [Listener(1075, None)],
        "@abstract": [Listener(1077, None)],
    }


@pytest.mark.parametrize(
    "path",
    ["/tmp/a\nb", "/tmp/a\n1 2 3 x 5 6 7 8 9", "/tmp/\n0: 0 0 10000 0001 01 oops /b", "\n\n\n"],
)
def test_unix_paths_with_newlines_are_survived(path: str) -> None:
    """linux writes a path as it is, and a path may be anything."""
    line = f"000000003945242a: 00000002 00000000 00010000 0001 01  1073 {path}\n"
    parse_unix((line + UNIX).splitlines(keepends=True))
    assert "/run/user/1000/kernel-a-ipc-1" in parse_unix((line + UNIX).splitlines(keepends=True))


def test_own_sockets_are_found(tmp_path: Path) -> None:
    """A real TCP and a real unix listener of this process, by number."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        pid = os.getpid()
        (listener,) = read_tcp("/proc", pid)[tcp.getsockname()[1]]
        assert listener == Listener(os.fstat(tcp.fileno()).st_ino, os.getuid())
        (at_path,) = read_unix("/proc", pid)[str(tmp_path / "s")]
        assert {listener.inode, at_path.inode} <= read_sockets("/proc", pid)


def test_namespace_has_a_name() -> None:
    """All processes of a network namespace have the same."""
    name = read_namespace("/proc", os.getpid())
    assert name is not None
    assert name.startswith("net:[")


def test_nobody_is_there(tmp_path: Path) -> None:
    """A process that has gone has no sockets, and that is no error."""
    assert read_tcp(str(tmp_path), 1) == {}
    assert read_unix(str(tmp_path), 1) == {}
    assert read_sockets(str(tmp_path), 1) == frozenset()
    assert read_namespace(str(tmp_path), 1) is None


def test_a_zombie_has_no_sockets() -> None:
    """linux takes its namespaces away before it is waited for."""
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert read_tcp("/proc", process.pid) == {}
        assert read_unix("/proc", process.pid) == {}
        assert read_sockets("/proc", process.pid) == frozenset()
        assert read_namespace("/proc", process.pid) is None
