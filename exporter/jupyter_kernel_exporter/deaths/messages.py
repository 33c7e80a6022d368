"""Jupyter messages as they come from iopub: checked, and as little of them read as will do.

A message is a list of frames (https://jupyter-client.readthedocs.io/en/stable/messaging.html)::

    kernel.4f0c….status | <IDS|MSG> | 9be1…(hex) | header | parent_header | metadata | content
    {"msg_id": "…_3", "msg_type": "status", "session": "82a0…", "username": "eva", "date": "…"}

Of most types nothing but the type is read, and of none is anything kept that a person wrote: an
error is a MemoryError or another one, a cell's code is ``exit()`` or is not.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_kernel_exporter.deaths.zmtp import Frame

DELIMITER = b"<IDS|MSG>"

READ_TYPES = frozenset({"status", "shutdown_reply", "error", "execute_input"})
"""Types whose signature is checked and whose content is looked at. The others come in floods."""

TYPE = re.compile(rb'"msg_type"\s*:\s*"([a-z_]{1,64})"')

MEMORY_ERROR = re.compile(r"(<class ')?([\w.]+\.)?(_Array)?MemoryError('>)?")
"""As ipykernel, xeus-python (``<class 'MemoryError'>``) and numpy name it."""

EXIT = re.compile(r"(exit|quit)\s*(\(\s*(0|False)?\s*\))?\s*;?")
"""What ends ipykernel from within. ``exit(1)`` does not: its argument means keep_kernel."""


class MalformedError(ValueError):
    """Not a Jupyter message; the text says what is missing."""


class BadSignatureError(ValueError):
    """The message was not signed with the kernel's key: somebody else is on its port."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is of interest in one message. Fields that the type does not have are ``None``."""

    type: str
    checked: bool
    """Whether it is signed with the kernel's key; types that are not read are not checked."""
    session: str | None = None
    """Of the sending process; ``None`` if the kernel repeats its client's, as IRkernel does."""
    parent_type: str = ""
    parent_id: str = ""
    parent_subshell: str = ""
    execution_state: str | None = None
    restart: bool | None = None
    memory_error: bool | None = None
    exit_cell: bool | None = None


class Verifier:
    """Checks signatures with the key of a connection file. An empty key means unsigned messages."""

    __slots__ = ("_mac",)

    def __init__(self, key: bytes, scheme: str = "hmac-sha256") -> None:
        """Raise :exc:`ValueError` if the scheme is none that can be checked."""
        name = scheme.removeprefix("hmac-")
        # The digests called shake have no length of their own, so HMAC cannot use them.
        if name == scheme or name not in hashlib.algorithms_available or name.startswith("shake"):
            raise ValueError(f"unknown signature scheme {scheme[:40]!r}")
        self._mac = hmac.new(key, digestmod=name) if key else None

    def __call__(self, signature: bytes, frames: Sequence[bytes]) -> bool:
        """Whether the four frames header, parent header, metadata and content are signed."""
        if self._mac is None:
            return True
        mac = self._mac.copy()
        for frame in frames:
            mac.update(frame)
        return hmac.compare_digest(mac.hexdigest().encode(), signature)


def parse_message(frames: Sequence[Frame], verifier: Verifier) -> Message:
    """Read a message; raise :exc:`MalformedError` or :exc:`BadSignatureError`."""
    try:
        start = frames.index(DELIMITER) + 1
    except ValueError:
        raise MalformedError("no delimiter") from None
    if len(frames) < start + 5:
        raise MalformedError("fewer than five frames after the delimiter")
    signature, *parts = frames[start : start + 5]
    header = parts[0]
    if header is None:
        raise MalformedError("the header is too long")
    # A kernel that prints without end sends thousands of messages a second: a glance must do.
    match = TYPE.search(header)
    kind = match[1].decode() if match else ""
    if kind and kind not in READ_TYPES:
        return Message(kind, checked=False)
    kept = [part for part in parts if part is not None]
    if len(kept) < 4 or signature is None:
        # A traceback or a cell too long to keep: that it was there is all that can be said.
        return Message(kind, checked=False)
    if not verifier(signature, kept):
        raise BadSignatureError(kind)
    return _read(*(_json(part) for part in (kept[0], kept[1], kept[3])))


def _json(frame: bytes) -> dict[str, Any]:
    """A frame's JSON object; an empty one for ``null``, which xeus sends as a parent header."""
    try:
        document = json.loads(frame)
    except (ValueError, RecursionError):
        raise MalformedError("a frame is not JSON") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise MalformedError("a frame is not a JSON object")
    return document


def _read(header: dict[str, Any], parent: dict[str, Any], content: dict[str, Any]) -> Message:
    kind = _word(header.get("msg_type"))
    session = _word(header.get("session"))
    restart = content.get("restart")
    code = content.get("code")
    return Message(
        kind,
        checked=True,
        session=None if session == _word(parent.get("session")) else session or None,
        parent_type=_word(parent.get("msg_type")),
        parent_id=_word(parent.get("msg_id")),
        parent_subshell=_word(parent.get("subshell_id")),
        execution_state=_word(content.get("execution_state")) if kind == "status" else None,
        restart=restart if kind == "shutdown_reply" and isinstance(restart, bool) else None,
        memory_error=_is_memory_error(content.get("ename")) if kind == "error" else None,
        exit_cell=_is_exit(code) if kind == "execute_input" else None,
    )


def _word(value: object) -> str:
    """A short identifier, or nothing at all: never half of something that a person wrote."""
    if isinstance(value, str) and len(value) <= 128 and value.isascii() and value.isprintable():
        return value
    return ""


def _is_memory_error(ename: object) -> bool:
    return isinstance(ename, str) and MEMORY_ERROR.fullmatch(ename) is not None


def _is_exit(code: object) -> bool:
    """Whether the last line of a cell does nothing but end the kernel."""
    if not isinstance(code, str):
        return False
    return EXIT.fullmatch(code.rstrip().rpartition("\n")[2].rstrip()) is not None
