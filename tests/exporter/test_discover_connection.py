"""Connection files: hostile ones are refused, and nothing is hung on or set off."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_kernel_exporter.discover.connection import (
    SIZE_MAX,
    Cause,
    Connection,
    Refused,
    has_usual_name,
    kernel_id,
    parse_connection,
    read_file,
)

GOOD = {
    "shell_port": 53794,
    "iopub_port": 53795,
    "stdin_port": 53796,
    "control_port": 53797,
    "hb_port": 53798,
    "ip": "127.0.0.1",
    "key": "a-secret",
    "transport": "tcp",
    "signature_scheme": "hmac-sha256",
    "kernel_name": "python3",
    "jupyter_session": "/home/a/b.ipynb",
}
PORTS = (53794, 53795, 53796, 53797, 53798)
ME = os.getuid()


def test_a_good_file_is_parsed_without_its_key() -> None:
    """What is not needed does not even get into memory for long."""
    connection = parse_connection(json.dumps(GOOD).encode())
    assert connection == Connection("tcp", "127.0.0.1", PORTS, "python3", "/home/a/b.ipynb")
    assert "a-secret" not in repr(connection)


def test_an_old_file_says_less() -> None:
    """No name, no session, no control port, no transport."""
    raw = json.dumps({"shell_port": 1, "iopub_port": 2, "ip": "x"}).encode()
    assert parse_connection(raw) == Connection("tcp", "x", (1, 2), "", "")


def test_ipc_sockets_are_named_by_number() -> None:
    """The "ports" are 1 to 5, and "ip" is how the paths begin."""
    ipc = {**GOOD, "transport": "ipc", "ip": "/run/kernel-a-ipc", "shell_port": 1, "iopub_port": 2}
    paths = parse_connection(json.dumps(ipc).encode()).socket_paths
    assert paths[:2] == ("/run/kernel-a-ipc-1", "/run/kernel-a-ipc-2")


def without(name: str) -> dict[str, object]:
    """The good file without one of its entries."""
    return {key: value for key, value in GOOD.items() if key != name}


MALFORMED: dict[str, object] = {
    "half-written": json.dumps(GOOD)[:40],
    "a list": [],
    "a string": '"kernel"',
    "null": "null",
    "no object at all": "kernel",
    "nothing in it": {},
    "without shell_port": without("shell_port"),
    "without iopub_port": without("iopub_port"),
    "port 0": {**GOOD, "shell_port": 0},
    "port too large": {**GOOD, "iopub_port": 65536},
    "negative port": {**GOOD, "hb_port": -1},
    "port true": {**GOOD, "shell_port": True},
    "port as text": {**GOOD, "shell_port": "53794"},
    "port with a fraction": {**GOOD, "shell_port": 1.5},
    "port null": {**GOOD, "control_port": None},
    "port huge": {**GOOD, "shell_port": 10**400},
    "unknown transport": {**GOOD, "transport": "udp"},
    "transport is a list": {**GOOD, "transport": ["tcp"]},
    "ip is a number": {**GOOD, "ip": 1},
    "deep": "[" * (SIZE_MAX - 1),
    "deep object": '{"a":' * 10000,
    "a number too long for Python": '{"shell_port": ' + "9" * 5000 + "}",
    "no UTF-8": b'{"shell_port": "\xff"}',
    "NUL": b"\0" * 100,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(content: object) -> None:
    """Refused, whatever it is."""
    raw = content if isinstance(content, bytes) else None
    if raw is None:
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
    with pytest.raises(Refused) as refused:
        parse_connection(raw)
    assert refused.value.cause is Cause.MALFORMED
    assert refused.value.cause.may_pass


@pytest.mark.parametrize("raw", [b"", b" \n"])
def test_empty(raw: bytes) -> None:
    """As every file is for a moment."""
    with pytest.raises(Refused) as refused:
        parse_connection(raw)
    assert refused.value.cause is Cause.EMPTY


def test_names_that_are_no_text_are_absent() -> None:
    """A label needs a string."""
    raw = json.dumps({**GOOD, "kernel_name": ["x"], "jupyter_session": {"a": 1}}).encode()
    connection = parse_connection(raw)
    assert (connection.kernel_name, connection.session) == ("", "")


def test_a_file_is_read(tmp_path: Path) -> None:
    """With its identity."""
    path = tmp_path / "kernel-1.json"
    path.write_bytes(b"x" * SIZE_MAX)
    facts = path.stat()
    assert read_file(str(path), ME) == ((facts.st_dev, facts.st_ino), b"x" * SIZE_MAX)


def make_symlink(path: Path) -> None:
    """A link to a good file."""
    path.with_suffix(".target").write_text("{}")
    path.symlink_to(path.with_suffix(".target"))


def make_loop(path: Path) -> None:
    """A folder on the way that links to itself."""
    path.parent.rmdir()
    path.parent.symlink_to(path.parent)


def make_socket(path: Path) -> None:
    """A unix socket."""
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


def make_sparse(path: Path) -> None:
    """A terabyte of nothing."""
    path.touch()
    os.truncate(path, 1 << 40)


HOSTILE: dict[str, tuple[Callable[[Path], object], Cause]] = {
    "symlink": (make_symlink, Cause.SYMLINK),
    "symlink to nothing": (lambda path: path.symlink_to("nothing"), Cause.SYMLINK),
    "symlinks in a ring": (make_loop, Cause.SYMLINK),
    "FIFO": (os.mkfifo, Cause.NOT_A_FILE),
    "socket": (make_socket, Cause.NOT_A_FILE),
    "folder": (os.mkdir, Cause.NOT_A_FILE),
    "huge": (lambda path: path.write_bytes(b"x" * (SIZE_MAX + 1)), Cause.TOO_LARGE),
    "huge and sparse": (make_sparse, Cause.TOO_LARGE),
}


@pytest.mark.parametrize(("make", "cause"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(5)
def test_hostile_files_are_refused(
    tmp_path: Path, make: Callable[[Path], object], cause: Cause
) -> None:
    """At once: a FIFO, above all, would hang whoever opens it."""
    path = tmp_path / "d" / "kernel-1.json"
    path.parent.mkdir()
    make(path)
    with pytest.raises(Refused) as refused:
        read_file(str(path), ME)
    assert refused.value.cause is cause
    assert not refused.value.cause.may_pass


def test_devices_are_refused() -> None:
    """They are not even opened."""
    with pytest.raises(Refused) as refused:
        read_file("/dev/zero", 0)
    assert refused.value.cause is Cause.NOT_A_FILE


def test_another_users_file_is_refused(tmp_path: Path) -> None:
    """A process may name a file that its user may not read."""
    path = tmp_path / "kernel-1.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(Refused) as refused:
        read_file(str(path), ME + 1)
    assert refused.value.cause is Cause.WRONG_OWNER


def test_a_name_too_long_is_an_error_of_that_file() -> None:
    """As are a broken disk and a stale NFS handle."""
    with pytest.raises(Refused) as refused:
        read_file("/" + "x" * 5000 + ".json", ME)
    assert refused.value.cause is Cause.IO_ERROR


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    """Also where a folder on its way is a file."""
    (tmp_path / "file").touch()
    assert read_file(str(tmp_path / "kernel-1.json"), ME) is None
    assert read_file(str(tmp_path / "file" / "kernel-1.json"), ME) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (
            "/r/kernel-0c063170-f2b6-4342-ae5f-c51766f8242a.json",
            "0c063170-f2b6-4342-ae5f-c51766f8242a",
        ),
        ("/r/kernel-4711.json", "4711"),
        ("/tmp/tmpab_d1fgh.json", "tmpab_d1fgh"),
        ("/r/kernel-v2-4711aBcDeF.json", "v2-4711aBcDeF"),
        ("/tmp/connection.json", "connection"),
        ("kernel-a@b+c.d.json", "a@b+c.d"),
        ("/r/kernel-" + "a" * 128 + ".json", "a" * 128),
    ],
)
def test_the_id_is_in_the_name(path: str, name: str) -> None:
    """Or else it is the name."""
    assert kernel_id(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "/r/kernel-.json",
        "/r/.json",
        "/r/kernel-...json",
        "/r/kernel-a b.json",
        "/r/kernel-a\nb.json",
        "/r/kernel-a\n.json",
        "/r/kernel-<b>x<b>.json",
        '/r/kernel-a"} 1.json',
        "/r/kernel-\udcff.json",
        "/r/kernel-é.json",
        "/r/kernel--rf.json",
        "/r/kernel-" + "a" * 129 + ".json",
    ],
)
def test_names_that_are_no_ids(path: str) -> None:
    """They would end up in labels, logs, addresses and pages."""
    with pytest.raises(Refused) as refused:
        kernel_id(path)
    assert refused.value.cause is Cause.BAD_NAME


@pytest.mark.parametrize(
    ("path", "usual"),
    [
        ("/r/kernel-1.json", True),
        ("/r/kernel-a\nb.json", True),
        ("/tmp/tmpab_d1fgh.json", True),
        ("/etc/docker/daemon.json", False),
        ("/r/kernel-1/config.json", False),
        ("/tmp/tmpx.json", False),
    ],
)
def test_usual_names(path: str, usual: bool) -> None:
    """Complaints are for files that look like connection files."""
    assert has_usual_name(path) is usual
