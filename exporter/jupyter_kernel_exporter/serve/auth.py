"""Who asks: names and passwords (RFC 7617), compared with bcrypt hashes.

bcrypt takes long on purpose, and whoever guesses passwords makes it run. It runs in one thread of
its own, one password at a time, and only so many may wait; whoever has been verified once is known
again without it.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

NOBODY = b"$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
"""Of no user: a name that is not known takes as long as one that is."""
LONGEST_PASSWORD = 72
"""Bytes. bcrypt looks at no more, so that longer ones would be taken for each other."""
MOST_KNOWN = 128
MOST_WAITING = 16


class Crowded(Exception):  # noqa: N818  # a state, no fault
    """Too many passwords wait to be compared."""


class Credentials:
    """Compares credentials with hashes, and remembers what came out. For one event loop."""

    def __init__(self) -> None:
        # Passwords are not kept, and what is kept cannot be compared with guesses elsewhere.
        self._salt = secrets.token_bytes(32)
        # Apart, so that any number of wrong ones does not push out those that are right.
        self._right = _Bounded()
        self._wrong = _Bounded()
        self._comparing: dict[bytes, asyncio.Future[bool]] = {}
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    async def fit(self, users: Mapping[str, str], name: str, password: bytes) -> bool:
        """Whether this is the password of that user. Raises :exc:`Crowded`."""
        if len(password) > LONGEST_PASSWORD or b"\0" in password:
            return False
        known = name in users
        hashed = users[name].encode() if known else NOBODY
        # Found by a digest under a secret key: time says nothing about the password.
        parts = (name.encode("utf-8", "surrogateescape"), hashed, password)
        key = hmac.digest(self._salt, b"\0".join(parts), "sha256")
        if key in self._right:
            return known
        if key in self._wrong:
            return False
        comparing = self._comparing.get(key)
        if comparing is None:
            if len(self._comparing) >= MOST_WAITING:
                raise Crowded
            comparing = asyncio.get_running_loop().run_in_executor(
                self._thread, bcrypt.checkpw, password, hashed
            )
            self._comparing[key] = comparing
            comparing.add_done_callback(lambda _: self._comparing.pop(key))
        # Whoever else asks the same waits for the same; one who leaves does not stop it.
        fits = await asyncio.shield(comparing) and known
        (self._right if fits else self._wrong).add(key)
        return fits

    def close(self) -> None:
        """Compare no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Bounded:
    """Remembers so many, and forgets those that were not asked for the longest time."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def add(self, key: bytes) -> None:
        self._keys[key] = None
        if len(self._keys) > MOST_KNOWN:
            self._keys.popitem(last=False)


def parse_authorization(header: str) -> tuple[str, bytes] | None:
    """Name and password of an ``Authorization`` header; ``None`` if it holds none."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(rest.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    return (name.decode("utf-8", "surrogateescape"), password) if colon else None
