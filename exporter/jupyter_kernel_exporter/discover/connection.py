"""Connection files: read without trusting whoever wrote them, and parsed for what is needed.

    {"shell_port": 53794, "iopub_port": 53795, "stdin_port": 53796, "control_port": 53797,
     "hb_port": 53798, "ip": "127.0.0.1", "key": "...", "transport": "tcp",
     "signature_scheme": "hmac-sha256", "kernel_name": "python3", "jupyter_session": "a.ipynb"}

The key opens the kernel to anybody who has it: it is never taken out of the file. For ``ipc`` the
ports are small numbers, and the sockets are ``IP-PORT``, where "ip" is the start of a path.
"""

import errno
import json
import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeGuard

SIZE_MAX = 64 * 1024

_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_REQUIRED_PORTS = _PORTS[:2]
_USUAL_NAME = re.compile(r"(?:kernel-.*|tmp\w{8})\.json", re.DOTALL)
_SANE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}")


class Cause(StrEnum):
    """Why a connection file was passed over."""

    SYMLINK = "symlink"
    NOT_A_FILE = "not_a_file"
    TOO_LARGE = "too_large"
    WRONG_OWNER = "wrong_owner"
    EMPTY = "empty"
    MALFORMED = "malformed"
    BAD_NAME = "bad_name"
    IO_ERROR = "io_error"

    @property
    def may_pass(self) -> bool:
        """Whether it is normal for a moment: launchers write the file in place."""
        return self in {Cause.EMPTY, Cause.MALFORMED}


class Refused(Exception):  # noqa: N818  # the file is at fault, not the program
    """A file that is not to be used."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class FileId(NamedTuple):
    """A file for as long as it exists, whatever path leads to it."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Connection:
    """What a connection file says, without its secrets."""

    transport: str
    ip: str
    ports: tuple[int, ...]
    """All ports it names; the first two, shell and iopub, are always there."""
    kernel_name: str
    session: str

    @property
    def socket_paths(self) -> tuple[str, ...]:
        """The unix sockets of an ``ipc`` kernel, as it gives them to bind(2)."""
        return tuple(f"{self.ip}-{port}" for port in self.ports)


def has_usual_name(path: str) -> bool:
    """Whether a path looks like a connection file's: ``kernel-ID.json``, or nbclient's tmp file."""
    return _USUAL_NAME.fullmatch(path.rpartition("/")[2]) is not None


def kernel_id(path: str) -> str:
    """The id of the kernel of a connection file: ID of ``kernel-ID.json``, or else the stem.

    Raises :exc:`Refused` for a name that is better not repeated in labels and addresses.
    """
    name = path.rpartition("/")[2].removesuffix(".json").removeprefix("kernel-")
    if _SANE_ID.fullmatch(name) is None:
        raise Refused(Cause.BAD_NAME)
    return name


def read_file(path: str, uid: int) -> tuple[FileId, bytes] | None:
    """Read a file that the user ``uid`` wrote; ``None`` if it is not there.

    The file is looked at before it is opened for reading, because opening is enough to hang on a
    FIFO or to set off a device. Raises :exc:`Refused`, or :exc:`PermissionError`.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            facts = os.fstat(place)
            _check(facts, uid)
            raw = _read(place)
        finally:
            os.close(place)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    except PermissionError:
        raise
    except OSError as error:
        raise Refused(Cause.SYMLINK if error.errno == errno.ELOOP else Cause.IO_ERROR) from None
    if len(raw) > SIZE_MAX:
        raise Refused(Cause.TOO_LARGE)
    return FileId(facts.st_dev, facts.st_ino), raw


def _check(facts: os.stat_result, uid: int) -> None:
    if stat.S_ISLNK(facts.st_mode):
        raise Refused(Cause.SYMLINK)
    if not stat.S_ISREG(facts.st_mode):
        raise Refused(Cause.NOT_A_FILE)
    if facts.st_uid != uid:
        raise Refused(Cause.WRONG_OWNER)
    if facts.st_size > SIZE_MAX:
        raise Refused(Cause.TOO_LARGE)


def _read(place: int) -> bytes:
    fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        raw = piece = os.read(fd, SIZE_MAX + 1)
        while piece and len(raw) <= SIZE_MAX:
            piece = os.read(fd, SIZE_MAX + 1 - len(raw))
            raw += piece
        return raw
    finally:
        os.close(fd)


def parse_object(raw: bytes) -> dict[str, object]:
    """Parse a JSON object. Raises :exc:`Refused` for anything else."""
    if not raw.strip():
        raise Refused(Cause.EMPTY)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(Cause.MALFORMED) from None
    if not isinstance(document, dict):
        raise Refused(Cause.MALFORMED)
    return document


def parse_connection(raw: bytes) -> Connection:
    """Parse a connection file. Raises :exc:`Refused`."""
    document = parse_object(raw)
    transport, ip = document.get("transport", "tcp"), document.get("ip", "")
    if transport not in ("tcp", "ipc") or not isinstance(ip, str):
        raise Refused(Cause.MALFORMED)
    largest = 65535 if transport == "tcp" else 2**31
    named = [document.get(name) for name in _PORTS if name in document or name in _REQUIRED_PORTS]
    ports = tuple(port for port in named if is_port(port, largest))
    if len(ports) < len(named):
        raise Refused(Cause.MALFORMED)
    return Connection(
        transport=str(transport),
        ip=ip,
        ports=ports,
        kernel_name=_text(document, "kernel_name"),
        session=_text(document, "jupyter_session"),
    )


def is_port(value: object, largest: int = 65535) -> TypeGuard[int]:
    """Whether a value of a JSON document is a port's number."""
    return type(value) is int and 1 <= value <= largest


def _text(document: dict[str, object], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
