"""Command lines -> the connection files they name. Pure.

Every launcher has a form of its own (``-f PATH``, ``--f="PATH"``, ``--args PATH``, a bare last
argument, a shell string), so no option is looked for, but paths that end in ``.json``; what is in
the file decides later. Nothing of a command line is kept but those paths and a hash.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MENTIONS_MAX = 8
"""A command line may name any number of files (``cat *.json``); a kernel's names one."""

_SUFFIX = ".json"
_RUNS_A_STRING = re.compile(r"-\w*c")
_SECOND_PATH = re.compile(r"\s/")
_BETWEEN_WORDS = re.compile(r"""[\s"'=;&|<>()`]+""")
_JUPYTER_WORDS = ("jupyter", "ipykernel")
_IPYKERNEL_MODULES = (["ipykernel_launcher"], ["ipykernel"])


class Mention(NamedTuple):
    """A JSON file that a command line names."""

    path: str
    """As it was written; may be relative to the working directory."""
    in_string: bool = False
    """It is part of a longer string, as in ``bash -c "python -m ipykernel -f PATH"``: whoever
    has such an argument starts a kernel, and is none."""


def find_mentions(arguments: Sequence[str]) -> tuple[Mention, ...]:
    """The JSON files that a command line names, in its order, each once."""
    found: dict[str, Mention] = {}
    for at, argument in enumerate(arguments):
        if _SUFFIX not in argument:
            continue
        runs_a_string = at > 0 and _RUNS_A_STRING.fullmatch(arguments[at - 1]) is not None
        for mention in _mentions_in(argument, runs_a_string or at == 0):
            found.setdefault(mention.path, mention)
            if len(found) == MENTIONS_MAX:
                return tuple(found.values())
    return tuple(found.values())


def _mentions_in(argument: str, is_string: bool) -> Iterator[Mention]:
    whole = argument
    if argument.startswith("-"):
        whole = argument.partition("=")[2]
    whole = whole.strip("\"'")
    if is_string or not whole.endswith(_SUFFIX) or _SECOND_PATH.search(whole):
        for word in _BETWEEN_WORDS.split(argument):
            if word.startswith("/") and word.endswith(_SUFFIX):
                yield Mention(word, in_string=True)
    else:
        yield Mention(whole)


def is_jupyter(arguments: Sequence[str]) -> bool:
    """Whether a command line looks like a Jupyter server's, client's or kernel's.

    ``python -m ipykernel``, ``/opt/bin/jupyter-lab``, ``python3 /usr/bin/jupyterhub-singleuser``.
    """
    names = (argument.rpartition("/")[2] for argument in arguments[:4])
    return any(word in name for name in names for word in _JUPYTER_WORDS)


def runs_ipykernel(arguments: Sequence[str]) -> bool:
    """Whether a command line is a Python that runs ipykernel, and not a wrapper's or viewer's."""
    program = arguments[0].rpartition("/")[2] if arguments else ""
    modules = [module for flag, module in pairwise(arguments[:8]) if flag == "-m"]
    return program.startswith(("python", "pypy")) and modules[:1] in _IPYKERNEL_MODULES


def is_ipykernel(arguments: Sequence[str]) -> bool:
    """Whether a command line starts ipykernel, which chooses a file of its own if given none."""
    return any(argument.rpartition("/")[2].startswith("ipykernel") for argument in arguments[:4])
