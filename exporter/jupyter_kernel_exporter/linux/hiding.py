"""Whether a /proc shows every process of the machine, or hides some.

Every pid namespace has a process 1, so where there is none, others' processes are hidden
(``hidepid=2`` of proc(5)); where it is there and may not be read, their files are
(``hidepid=1``). And only the machine's first namespace has kthreadd, as number 2.
"""

import math
import os
from dataclasses import dataclass, field

INTERVAL_SECONDS = 60.0
"""How often it is looked whether processes are hidden: that depends on how /proc was mounted."""


@dataclass(slots=True)
class HidingWatch:
    """Looks every now and then. ``now`` is of a clock that never jumps."""

    root: str
    _seen: bool = field(init=False, default=False)
    _due: float = field(init=False, default=-math.inf)
    _sentence: str = field(init=False, default="")

    def look(self, now: float, *, seen: bool) -> str:
        """Why less is seen than there may be, in a sentence; empty if all seems to be.

        ``seen`` is whether any kernel has been. That processes outside a container are hidden is no
        fault then; until then all would seem well without one.
        """
        if seen and not self._seen:
            self._seen = True
            self._due = now
        if now >= self._due:
            self._due, self._sentence = now + INTERVAL_SECONDS, ""
            self._sentence = (what_hides_others if self._seen else what_hides)(self.root)
        return self._sentence


def what_hides(root: str) -> str:
    """Why ``root`` does not show every process, in a sentence; empty if it seems to."""
    return what_hides_others(root) or what_hides_outside(root)


def what_hides_others(root: str) -> str:
    """Why ``root`` does not show other users' processes; empty if it seems to."""
    try:
        # A file that all may read otherwise; with hidepid=1 not even its size may be asked for.
        os.stat(f"{root}/1/stat")
    except FileNotFoundError:
        return (
            f"{root} hides the processes of other users (mount option hidepid, or systemd's"
            " ProtectProc=)"
        )
    except PermissionError:
        return f"{root} hides the files of other users' processes (mount option hidepid=1)"
    return ""


def what_hides_outside(root: str) -> str:
    """Why ``root`` does not show processes outside a container; empty if it seems to."""
    try:
        with open(f"{root}/2/comm", "rb") as file:
            name = file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        name = b""
    except PermissionError:  # others' files are hidden, and with them whose this is
        return ""
    if name == b"kthreadd":
        return ""
    return f"{root} shows the processes of one container or sandbox only (its pid namespace)"
