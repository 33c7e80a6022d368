"""Facts about the processes that name one connection file -> which of them is the kernel. Pure.

A file is named by the kernel, by the wrappers that started it (``bash -c``, ``conda run``,
``unshare``), by workers that it forked (they have its command line), and by anything that just
looks at the file (``tail -f``, ``jupyter console --existing``). Whoever holds the listening
sockets of the file's ports is the kernel. While nobody does, as during a start, or where nobody
may look, the shape of the process tree has to do: the lowest process that names the file, from a
leader downwards. A wrapper stands in for a kernel that it has yet to start.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one process that names the file."""

    pid: int
    parent: int
    start_ticks: int
    arguments: int
    """Hash of the command line."""
    leads_session: bool = False
    """jupyter_client starts every kernel in a session of its own."""
    forked: bool = False
    """It runs the program of its parent still: a worker."""
    in_string: bool = False
    """The file is named inside a shell string, of which nobody knows what it will do."""
    runs_ipykernel: bool = False
    """Its own program is ipykernel, whoever started it."""
    launched: bool | None = None
    """JPY_PARENT_PID is in its environment; ``None`` if that may not be read."""
    launchers_child: bool = False
    """JPY_PARENT_PID is its parent, so that a Jupyter server or client started it as a kernel."""
    below_kernel: bool = False
    """It descends from another kernel: a cell may start anything, also under JPY_PARENT_PID."""
    outlived: bool = False
    """It is a wrapper whose kernel was ready once."""
    needs_ports: bool = False
    """Its command line does not name the file, only the file names its pid."""
    owns: bool | None = None
    """It holds a listening socket on the file's ports; ``None`` if that may not be read."""


def choose(candidates: Sequence[Facts]) -> Facts | None:
    """The kernel among the processes that name a file, or ``None`` if it cannot be told (yet)."""
    executed = {facts.pid: facts for facts in candidates if not facts.forked}
    owners = {pid: facts for pid, facts in executed.items() if facts.owns}
    if owners:
        # Children may inherit the sockets: the topmost owner opened them.
        tops = [f for f in owners.values() if _parent_in(owners, f) is None]
        return min(tops, key=lambda f: (f.start_ticks, f.pid), default=None)
    possible = {
        pid: facts
        for pid, facts in executed.items()
        if not facts.needs_ports and not _is_copy(facts, executed)
    }
    leaders = [
        facts
        for facts in possible.values()
        if facts.runs_ipykernel
        or (facts.leads_session and facts.launched is not False and not facts.below_kernel)
    ]
    if not leaders:
        return None
    leader = chosen = min(leaders, key=lambda f: (f.start_ticks, f.pid))
    for _ in possible:
        children = [f for f in possible.values() if _parent_in(possible, f) is chosen]
        if len(children) > 1:
            return None
        if not children:
            unproven = chosen.in_string and not leader.launchers_child
            return None if unproven or chosen.outlived else chosen
        chosen = children[0]
    return None  # each the other's parent: pids were given again


def _parent_in(others: dict[int, Facts], facts: Facts) -> Facts | None:
    """Its parent, if that is among the others; a pid that was given again is no parent."""
    parent = others.get(facts.parent)
    return parent if parent is not None and parent.start_ticks <= facts.start_ticks else None


def _is_copy(facts: Facts, others: dict[int, Facts]) -> bool:
    """Whether it has its parent's command line, as forked workers have where linux does not say."""
    parent = _parent_in(others, facts)
    return parent is not None and parent.arguments == facts.arguments
