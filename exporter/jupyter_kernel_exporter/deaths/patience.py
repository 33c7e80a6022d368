"""Files of people, which may lie in a home that does not answer: they are not waited for for long.

A home on a file server that is gone lets whoever asks for a file wait for ever, and linux lets
nobody end that. So whatever looks at such files runs where it may get stuck, and holds up nobody.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")

Gone = Mapping[str, bool | None]
"""Whether a file that was there is gone, by its path; ``None``: nobody can tell."""


class Patiently(Protocol):
    """Does something with people's files, which must change nothing here: it may end much later."""

    def __call__(self, action: Callable[[], T]) -> T | None:
        """What came of it; ``None`` if it takes too long, or may not be done at all."""


def at_once(action: Callable[[], T]) -> T | None:
    """Where files are known to answer."""
    return action()


def look(paths: Iterable[str]) -> Gone:
    """Which of these files are gone."""
    return {path: _is_gone(path) for path in paths}


def _is_gone(path: str) -> bool | None:
    try:
        os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:  # a home that was unmounted, a directory that was closed to us
        return None
    return False
