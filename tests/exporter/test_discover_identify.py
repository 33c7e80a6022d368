"""Which of the processes that name a connection file is the kernel."""

from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

import pytest

from jupyter_kernel_exporter.discover.identify import Facts, choose

KERNEL = Facts(
    pid=10, parent=1, start_ticks=100, arguments=1, leads_session=True, launched=True, owns=True
)
STARTING = replace(KERNEL, owns=False)
UNREADABLE = replace(KERNEL, owns=None, launched=None)
WORKER = Facts(
    pid=20, parent=10, start_ticks=200, arguments=1, forked=True, launched=True, owns=True
)
WRAPPER = replace(STARTING, pid=5, start_ticks=90, arguments=2)
CHILD = replace(STARTING, parent=5, leads_session=False)
STRING = replace(WRAPPER, in_string=True, launchers_child=True)
VIEWER = Facts(pid=30, parent=3, start_ticks=300, arguments=3, launched=False, owns=False)


class Case(NamedTuple):
    """Some processes, and the pid of the kernel among them."""

    candidates: tuple[Facts, ...]
    kernel: int | None


CASES = {
    "nobody": Case((), None),
    # The ports are open.
    "the owner of the ports": Case((KERNEL,), 10),
    "an owner that leads no session (VS Code)": Case(
        (replace(KERNEL, leads_session=False, launched=False),), 10
    ),
    "workers that inherited the sockets": Case(
        (KERNEL, WORKER, replace(WORKER, pid=21), replace(WORKER, pid=22, parent=20)), 10
    ),
    "workers where linux does not say that they were forked": Case(
        (KERNEL, replace(WORKER, forked=False), replace(WORKER, forked=False, pid=21, parent=20)),
        10,
    ),
    "workers that outlived their kernel": Case((replace(WORKER, parent=1),), None),
    "workers of the last process beside the new one": Case(
        (replace(WORKER, parent=1, start_ticks=50), STARTING), 10
    ),
    "a shell that waits": Case((WRAPPER, replace(CHILD, owns=True)), 10),
    "a launcher with the same command line as its child": Case(
        (replace(STARTING, pid=5, start_ticks=90), replace(CHILD, owns=True)), 10
    ),
    "viewers beside the kernel": Case(
        (KERNEL, VIEWER, replace(VIEWER, pid=31, leads_session=True, launched=True)), 10
    ),
    "a viewer that is older": Case(
        (replace(VIEWER, start_ticks=1, leads_session=True, launched=True), KERNEL), 10
    ),
    "a file that bears the number of its owner": Case(
        (replace(KERNEL, leads_session=False, launched=False, needs_ports=True),), 10
    ),
    # Nobody has the ports yet.
    "it is starting": Case((STARTING,), 10),
    "it starts a worker before it has its ports": Case((STARTING, replace(WORKER, owns=False)), 10),
    "a shell and its child are starting": Case((WRAPPER, CHILD), 10),
    "three wrappers": Case(
        (
            WRAPPER,
            replace(CHILD, pid=6, arguments=7),
            replace(CHILD, pid=7, parent=6, arguments=8),
            replace(CHILD, parent=7),
        ),
        10,
    ),
    "a script whose child is not there yet": Case((WRAPPER,), 5),
    "a shell string that Jupyter started, its child not there yet": Case((STRING,), 5),
    "a string within a string": Case(
        (STRING, replace(CHILD, in_string=True), replace(CHILD, pid=11, parent=3, arguments=4)), 10
    ),
    "a shell string, and its child": Case((STRING, CHILD), 10),
    "a shell string that somebody else started": Case(
        (replace(STRING, launchers_child=False),), None
    ),
    "a shell string in a cell": Case((replace(STRING, below_kernel=True),), None),
    "a shell string in a terminal": Case((replace(STRING, leads_session=False),), None),
    "a wrapper whose kernel has ended": Case((replace(WRAPPER, outlived=True),), None),
    "a shell string whose kernel has ended": Case((replace(STRING, outlived=True),), None),
    "a wrapper that starts its kernel again": Case((replace(STRING, outlived=True), CHILD), 10),
    "ipykernel, whoever started it": Case(
        (replace(STARTING, leads_session=False, launched=False, runs_ipykernel=True),), 10
    ),
    "a worker that ipykernel forked first": Case(
        (
            replace(STARTING, leads_session=False, launched=False, runs_ipykernel=True),
            replace(WORKER, owns=False, runs_ipykernel=True),
        ),
        10,
    ),
    "a wrapper above an ipykernel": Case((WRAPPER, replace(CHILD, runs_ipykernel=True)), 10),
    "a wrapper with two children that name the file": Case(
        (WRAPPER, CHILD, replace(CHILD, pid=11, arguments=9)), None
    ),
    "a copy of the shell about to become the kernel": Case(
        (WRAPPER, replace(CHILD, arguments=2, forked=True)), 5
    ),
    "a child that was not started by Jupyter": Case((replace(STARTING, launched=False),), None),
    "one that leads no session": Case((replace(STARTING, leads_session=False),), None),
    "a viewer in a cell of another kernel": Case((replace(STARTING, below_kernel=True),), None),
    "a viewer of a file left over": Case((VIEWER,), None),
    "a console on a kernel that starts": Case((STARTING, VIEWER), 10),
    "a file that bears somebody's number": Case((replace(STARTING, needs_ports=True),), None),
    "the parent's pid was given again": Case(
        (STARTING, replace(VIEWER, pid=10 + 1, parent=30), replace(CHILD, pid=40, parent=11)), 10
    ),
    # Nobody may look.
    "unreadable": Case((UNREADABLE,), 10),
    "unreadable, leads no session": Case((replace(UNREADABLE, leads_session=False),), None),
    "unreadable, with workers": Case((UNREADABLE, replace(WORKER, owns=None, launched=None)), 10),
    "unreadable, under a shell": Case(
        (
            replace(WRAPPER, in_string=True, owns=None, launched=None),
            replace(CHILD, owns=None, launched=None),
        ),
        10,
    ),
    "unreadable, a shell string alone": Case(
        (replace(WRAPPER, in_string=True, owns=None, launched=None),), None
    ),
    "unreadable, with a later viewer": Case(
        (UNREADABLE, replace(UNREADABLE, pid=31, start_ticks=500, arguments=3)), 10
    ),
    # Nonsense.
    "each the other's parent": Case(
        (
            replace(WORKER, forked=False, pid=1, parent=2),
            replace(WORKER, forked=False, pid=2, parent=1),
        ),
        None,
    ),
    "each the other's parent, starting": Case(
        (replace(STARTING, pid=1, parent=2), replace(STARTING, pid=2, parent=1, arguments=5)), None
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_choose(case: Case) -> None:
    """In whatever order the processes are listed."""
    for candidates in list(permutations(case.candidates))[:24]:
        chosen = choose(candidates)
        assert (chosen.pid if chosen else None) == case.kernel
