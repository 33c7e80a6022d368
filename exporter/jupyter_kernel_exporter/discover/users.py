"""User ids -> names and homes. Asked once per user: the answer may come from LDAP."""

import pwd
import time
from collections.abc import Callable
from typing import NamedTuple

UNKNOWN_AGE_SECONDS = 60.0
"""How long a user that nobody knows is not asked for again."""


class User(NamedTuple):
    """An account; ``home`` is empty where there is none."""

    name: str
    home: str


def parse_passwd(text: str) -> dict[int, User]:
    """Parse passwd(5): ``name:password:uid:gid:comment:home:shell``. The first of a uid counts."""
    users: dict[int, User] = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdecimal():
            users.setdefault(int(fields[2]), User(fields[0], fields[5]))
    return users


class Users:
    """The accounts of the host: the system's, or those of ``rootfs`` if that is elsewhere."""

    def __init__(self, rootfs: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        self._rootfs = rootfs
        self._clock = clock
        self._known: dict[int, User] = {}
        self._unknown_until: dict[int, float] = {}

    def get(self, uid: int) -> User:
        """The account of a user; an unknown one is named by its number and has no home."""
        user = self._known.get(uid)
        if user is not None:
            return user
        now = self._clock()
        if now >= self._unknown_until.get(uid, 0.0):
            user = self._look_up(uid)
            if user is not None:
                self._known[uid] = user
                return user
            self._unknown_until[uid] = now + UNKNOWN_AGE_SECONDS
        return User(str(uid), "")

    def _look_up(self, uid: int) -> User | None:
        if self._rootfs == "/":
            try:
                entry = pwd.getpwuid(uid)
            except KeyError:
                return None
            return User(entry.pw_name, entry.pw_dir)
        path = f"{self._rootfs}/etc/passwd"
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return parse_passwd(file.read()).get(uid)
        except FileNotFoundError:
            return None
