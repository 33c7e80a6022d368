"""Reasons of deaths in groups that a reader can keep apart, each with its colour."""

from collections.abc import Mapping
from typing import NamedTuple


class Group(NamedTuple):
    """Reasons that call for the same thing to be done."""

    name: str
    color: str
    reasons: tuple[str, ...]

    @property
    def matcher(self) -> str:
        """These reasons in a selector."""
        return f'reason=~"{"|".join(self.reasons)}"'


MEMORY = Group("out of memory", "red", ("oom_cgroup", "oom_host", "oom_suspected"))
CRASHED = Group("crashed", "orange", ("segfault", "abort", "fatal_signal", "exit_error"))
UNSTARTED = Group("never started", "purple", ("startup_failed",))
OTHERS = Group("ended by others", "yellow", ("killed", "terminated", "server_died"))
UNKNOWN = Group("unknown", "text", ("unknown",))
ASKED = Group(
    "asked for",
    "green",
    ("restart_requested", "shutdown_requested", "culled", "server_shutdown", "exit_clean"),
)
"""Through Jupyter, or with ``exit()`` in a cell."""

GROUPS = (MEMORY, CRASHED, UNSTARTED, OTHERS, UNKNOWN, ASKED)
TROUBLE = f'reason!~"{"|".join(ASKED.reasons)}"'
"""All that nobody asked for."""

COLORS: Mapping[str, str] = {
    "oom_cgroup": "red",
    "oom_host": "dark-red",
    "oom_suspected": "light-red",
    "segfault": "orange",
    "abort": "dark-orange",
    "fatal_signal": "light-orange",
    "exit_error": "super-light-orange",
    "startup_failed": "purple",
    "killed": "yellow",
    "terminated": "light-yellow",
    "server_died": "dark-yellow",
    "unknown": "text",
    "restart_requested": "light-green",
    "shutdown_requested": "green",
    "culled": "semi-dark-green",
    "server_shutdown": "dark-green",
    "exit_clean": "super-light-green",
}
"""Of each reason: a shade of its group's."""
