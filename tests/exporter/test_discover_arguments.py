"""Command lines, and the connection files they name."""

import time

import pytest

from jupyter_kernel_exporter.discover.arguments import (
    MENTIONS_MAX,
    Mention,
    find_mentions,
    is_ipykernel,
    is_jupyter,
    runs_ipykernel,
)

K = "/run/jupyter/kernel-0a1b.json"

NAMED = {
    "ipykernel": ["python3", "-m", "ipykernel_launcher", "-f", K],
    "traitlets": ["python3", "-m", "ipykernel_launcher", f"--IPKernelApp.connection_file={K}"],
    "VS Code": ["/usr/bin/python", "-m", "ipykernel_launcher", f"--f={K}"],
    "VS Code, quoted": ["python", "-m", "ipykernel_launcher", f'--f="{K}"'],
    "R": ["/usr/lib/R/bin/exec/R", "--slave", "-e", "IRkernel::main()", "--args", K],
    "R's shell": ["/bin/bash", "/usr/bin/R", "--slave", "-e", "IRkernel::main()", "--args", K],
    "julia": ["julia", "-i", "--color=yes", "/opt/IJulia/src/kernel.jl", K],
    "a wrapper": ["unshare", "--pid", "--fork", "python3", "-m", "ipykernel_launcher", "-f", K],
    "a viewer": ["tail", "-f", K],
}


@pytest.mark.parametrize("arguments", NAMED.values(), ids=NAMED.keys())
def test_launchers_name_the_file_in_many_ways(arguments: list[str]) -> None:
    """No option is looked for, only the path."""
    assert find_mentions(arguments) == (Mention(K),)


IN_STRINGS = {
    "bash -c": ["bash", "-c", f"python -m ipykernel_launcher -f {K}; echo"],
    "bash -lc": ["bash", "-lc", f"module load python && exec python -m ipykernel -f '{K}'"],
    "the path is all": ["sh", "-c", K],
    "starts like a path": ["sh", "x", f"/usr/bin/python -m ipykernel_launcher -f {K}"],
    "setproctitle": [f"python: kernel {K}"],
    "an assignment": ["env", "-S", f"F={K} python kernel.py | tee /tmp/log"],
}


@pytest.mark.parametrize("arguments", IN_STRINGS.values(), ids=IN_STRINGS.keys())
def test_a_path_in_a_string_is_told_apart(arguments: list[str]) -> None:
    """Whoever has it there starts a kernel, and is none."""
    assert find_mentions(arguments) == (Mention(K, in_string=True),)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["python", "-f", "/home/My Docs/kernel-1.json"], "/home/My Docs/kernel-1.json"),
        (["python", "-f", "kernel-1.json"], "kernel-1.json"),
        (["python", "-f", "a/../kernel-1.json"], "a/../kernel-1.json"),
        (["python", "-f", "/a/kernel-\udcff.json"], "/a/kernel-\udcff.json"),
        (["python", "-f", "/a/kernel-a\nb.json"], "/a/kernel-a\nb.json"),
    ],
    ids=["spaces", "relative", "dots", "no UTF-8", "newline"],
)
def test_odd_paths_are_taken_as_they_are(arguments: list[str], path: str) -> None:
    """What they are worth is found out later."""
    assert find_mentions(arguments) == (Mention(path),)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["python3", "-m", "ipykernel_launcher"],
        ["python3", "-f"],
        ["cat", "/a.jsonl", "/b.json.gz", "/c.JSON"],
        ["node", "--x=.jsonp"],
    ],
)
def test_nothing_is_named(arguments: list[str]) -> None:
    """Other programs are let alone."""
    assert find_mentions(arguments) == ()


def test_each_file_once_and_not_too_many() -> None:
    """A command line may name a thousand files."""
    assert find_mentions(["diff", K, K]) == (Mention(K),)
    many = find_mentions(["cat", *(f"/{n}.json" for n in range(1000))])
    assert [m.path for m in many] == [f"/{n}.json" for n in range(MENTIONS_MAX)]


@pytest.mark.parametrize("character", ["a", " ", "'", '"', "/", "=", "(", "\\", ".json"])
def test_hostile_strings_take_no_time(character: str) -> None:
    """A quarter of a megabyte of anything, the most that is read, is parsed in linear time."""
    string = character * (256 * 1024 // len(character)) + " .json"
    started = time.process_time()
    find_mentions(["sh", "-c", string])
    find_mentions(["x", string])
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("arguments", "jupyter", "ipykernel"),
    [
        (["/opt/bin/python", "/opt/bin/jupyter-lab", "--port=1"], True, False),
        (["python3", "/usr/bin/jupyterhub-singleuser"], True, False),
        (["python", "-m", "jupyter_server"], True, False),
        (["python", "-m", "ipykernel"], True, True),
        (["python", "-Xfrozen_modules=off", "-m", "ipykernel_launcher"], True, True),
        (["vim", "/home/jupyter/notes.txt"], False, False),
        (["python", "train.py", "--out", "x", "--name", "ipykernel"], False, False),
        ([], False, False),
    ],
)
def test_jupyter_is_known_by_its_name(arguments: list[str], jupyter: bool, ipykernel: bool) -> None:
    """By the program or the module, not by a folder that happens to be called so."""
    assert is_jupyter(arguments) is jupyter
    assert is_ipykernel(arguments) is ipykernel


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (["python", "-m", "ipykernel", "-f", K], True),
        (
            ["/usr/bin/python3.11", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", K],
            True,
        ),
        (["pypy3", "-m", "ipykernel_launcher", f"--f={K}"], True),
        (["unshare", "--fork", "python", "-m", "ipykernel_launcher", "-f", K], False),
        (["grep", "-m", "ipykernel", K], False),
        (["python", "-m", "pydoc", "-m", "ipykernel", K], False),
        (["python", "-m", "ipykernel_launchers", "-f", K], False),
        (["python", "-m"], False),
        ([], False),
    ],
)
def test_ipykernel_is_known_by_what_is_run(arguments: list[str], runs: bool) -> None:
    """Neither a wrapper around it nor whoever names it runs it."""
    assert runs_ipykernel(arguments) is runs
