"""How much of people and their work may be seen. Applied before anything is published.

What names a person is more than a username: systemd's units, home directories and cgroups bear
names too. Where usernames are not shown as they are, paths are shown nowhere either.
"""

import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import replace

from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.settings import Settings, state_directory

KEY_FILE = "username.key"
KEY_BYTES = 32
HIDDEN = "…"

_PATH = re.compile(
    r"""
    (?<=(["']))/(?:\\.|[^\\\n])*?(?=\1(?!\w))  # in quotes: to the one that closes them
    | (?<![\w./])/.*?(?=:[ ]|\n|\Z)  # bare, or the quotes stay open: to ": " or the line's end
    """,
    re.VERBOSE,
)
"""Names of people may hold whatever else seems to end a path: ``/home/o'brien``, ``/home/doe, j``.

So it goes on until it surely ends, and takes words along that were none of it.
"""
_NAMES_NOBODY = re.compile(r"[0-9a-f]{12}|job_\d+")
"""Ids of containers and Slurm jobs; systemd's units are often named after people."""


def reduce_notebook(notebook: str, mode: str) -> str:
    """A notebook's path as ``mode`` (path, basename, none) lets it be seen.

    A directory keeps the slash at its end, which says that it is not the notebook itself.
    """
    if mode == "path":
        return notebook
    if mode == "none":
        return ""
    stem = notebook.rstrip("/")
    return stem.rpartition("/")[2] + notebook[len(stem) :][:1]


def hash_username(username: str, key: bytes) -> str:
    """The same name for the same person under one key: HMAC-SHA-256, cut to 48 bits."""
    return "user-" + hmac.digest(key, username.encode(), "sha256").hex()[:12]


def conceal_paths(text: str) -> str:
    """A text without the paths in it: home directories and cgroups bear people's names."""
    return _PATH.sub(HIDDEN, text)


class Privacy:
    """Reduces kernels, and gives the same object again for the same kernel."""

    def __init__(self, notebook: str, username: str = "raw", key: bytes = b"") -> None:
        # A whole path leads through a home directory.
        self._notebook = "basename" if username != "raw" and notebook == "path" else notebook
        self._username = username
        self._key = key
        self._seen: dict[ProcessId, tuple[Kernel, Kernel]] = {}

    @property
    def conceals(self) -> bool:
        """Whether usernames are not shown as they are."""
        return self._username != "raw"

    def reduce(self, kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
        """What may be seen of each of ``kernels``."""
        seen: dict[ProcessId, tuple[Kernel, Kernel]] = {}
        for kernel in kernels:
            before = self._seen.get(kernel.process)
            if before is None or before[0] is not kernel:
                before = (kernel, self.reduce_one(kernel))
            seen[kernel.process] = before
        self._seen = seen
        return tuple(reduced for _, reduced in seen.values())

    def reduce_one(self, kernel: Kernel) -> Kernel:
        """What may be seen of one that is not among those alive."""
        notebook = reduce_notebook(kernel.notebook, self._notebook)
        if not self.conceals:
            return replace(kernel, notebook=notebook)
        return replace(
            kernel,
            notebook=notebook,
            username=self.reduce_username(kernel.username),
            container=kernel.container if _NAMES_NOBODY.fullmatch(kernel.container) else "",
        )

    def reduce_username(self, username: str) -> str:
        """What may be seen of a name: itself, its hash, or nothing."""
        if not self.conceals:
            return username
        return hash_username(username, self._key) if self._username == "hashed" else ""

    def reduce_text(self, text: str) -> str:
        """What may be seen of a sentence about this host."""
        return conceal_paths(text) if self.conceals else text


def open_privacy(settings: Settings) -> Privacy:
    """As the settings want it. Raises :exc:`OSError` if there is no key to hash with."""
    mode = settings["privacy.username"]
    key = read_key(state_directory(settings)) if mode == "hashed" else b""
    return Privacy(settings["privacy.notebook"], mode, key)


def read_key(folder: str) -> bytes:
    """The key of this host, made when it is first asked for.

    Raises :exc:`OSError` if it cannot be made or read, or if others could have read it.
    """
    os.makedirs(folder, 0o700, exist_ok=True)
    path = os.path.join(folder, KEY_FILE)
    if not os.path.lexists(path):
        _make_key(folder, path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        own = facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
        if not stat.S_ISREG(facts.st_mode) or not own:
            raise OSError(f"{path}: has to be a file that only its owner, this user, may read")
        key = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        raise OSError(f"{path}: has to hold {KEY_BYTES} bytes; without it a new one is made")
    return key


def _make_key(folder: str, path: str) -> None:
    """Whole or not at all; if two do it at once, the first one's counts."""
    new = os.path.join(folder, f".{KEY_FILE}.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return  # somebody else was here a moment before
    finally:
        if os.path.lexists(new):
            os.unlink(new)
