"""A limit of a control group: one number in one file."""

import errno

UNLIMITED_FROM = 1 << 60
"""Version 1 writes the largest number of pages it knows where there is no limit."""
LIMITS_AGE_SECONDS = 10.0
"""Limits are changed by people and managers, rarely; usage is read each time."""


def parse_limit(raw: bytes) -> int | None:
    """Parse a limit in bytes; ``None`` for ``max`` and for version 1's huge number."""
    word = raw.strip()
    if word == b"max":
        return None
    limit = int(word)
    return None if limit >= UNLIMITED_FROM else limit


def read_limit(path: str) -> int | None:
    """The limit in a file; ``None`` without one, and without the file.

    The root has none, the other version has others, and a cgroup may just have been removed.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return parse_limit(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between opening and reading
            return None
        raise
