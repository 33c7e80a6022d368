"""How much of people and their notebooks may be seen."""

import os
import signal
import threading
from pathlib import Path

import pytest

from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.privacy import (
    KEY_FILE,
    Privacy,
    conceal_paths,
    hash_username,
    open_privacy,
    read_key,
    reduce_notebook,
)
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.settings import resolve
from support.daemon import running_daemon
from support.deathrows import death
from support.jupyter import running_server, wait_until


@pytest.mark.parametrize(
    ("notebook", "mode", "seen"),
    [
        ("/home/a/thesis/x.ipynb", "path", "/home/a/thesis/x.ipynb"),
        ("/home/a/thesis/x.ipynb", "basename", "x.ipynb"),
        ("/home/a/thesis/x.ipynb", "none", ""),
        ("x.ipynb", "basename", "x.ipynb"),
        ("/home/a/thesis/", "basename", "thesis/"),
        ("/", "basename", "/"),
        ("", "basename", ""),
        ("/home/a//", "basename", "a/"),
    ],
)
def test_modes(notebook: str, mode: str, seen: str) -> None:
    """A directory stays recognisable as one."""
    assert reduce_notebook(notebook, mode) == seen


def test_the_same_kernel_gives_the_same_object() -> None:
    """What is prepared once per kernel is kept by its identity."""
    kernel = Kernel("a", ProcessId(1, 2), "alice", notebook="/home/alice/x.ipynb")
    privacy = Privacy("basename")
    (first,) = privacy.reduce([kernel])
    (second,) = privacy.reduce([kernel])
    assert first is second
    assert first.notebook == "x.ipynb"
    renamed = Kernel("a", ProcessId(1, 2), "alice", notebook="/home/alice/y.ipynb")
    assert privacy.reduce([renamed])[0].notebook == "y.ipynb"


ALICE = Kernel(
    "a",
    ProcessId(1, 2),
    "alice",
    notebook="/home/alice/x.ipynb",
    container="jupyter-alice.service",
    connection_file="/home/alice/kernel-a.json",
)


def test_raw_names_stay() -> None:
    """Without a wish nothing of a person is changed."""
    (shown,) = Privacy("path").reduce([ALICE])
    assert shown == ALICE


@pytest.mark.parametrize(("mode", "length"), [("hashed", 17), ("none", 0)])
def test_names_that_are_not_shown(mode: str, length: int) -> None:
    """Neither the name itself nor what is named after the person."""
    (shown,) = Privacy("path", mode, b"k" * 32).reduce([ALICE])
    assert len(shown.username) == length
    assert (shown.notebook, shown.container) == ("x.ipynb", "")
    # What is needed to listen to the kernel stays, and is not published.
    assert shown.connection_file == ALICE.connection_file


@pytest.mark.parametrize(
    ("container", "shown"),
    [
        ("0123456789ab", "0123456789ab"),
        ("job_4711", "job_4711"),
        ("jupyter-alice.service", ""),
        ("session-3.scope", ""),
        ("", ""),
    ],
)
def test_containers(container: str, shown: str) -> None:
    """Ids name nobody; units may."""
    kernel = Kernel("a", ProcessId(1, 2), "alice", container=container)
    assert Privacy("none", "none").reduce_one(kernel).container == shown


def test_hashes_are_the_same_under_one_key_only() -> None:
    """One person has one name on one host, and nobody can try names elsewhere."""
    assert hash_username("alice", b"1" * 32) == hash_username("alice", b"1" * 32)
    assert hash_username("alice", b"1" * 32) != hash_username("alice", b"2" * 32)
    assert hash_username("alice", b"1" * 32) != hash_username("alicf", b"1" * 32)


def test_one_more_does_not_make_the_others_anew() -> None:
    """A kernel that is described in between does not change who is alive."""
    privacy = Privacy("basename", "hashed", b"k")
    (first,) = privacy.reduce([ALICE])
    privacy.reduce_one(Kernel("b", ProcessId(3, 4), "bob"))
    assert privacy.reduce([ALICE]) == (first,)
    assert privacy.reduce([ALICE])[0] is first


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("no path here: 3/4 of 12 MB/s", "no path here: 3/4 of 12 MB/s"),
        ("/home/alice/kernel-1.json", "…"),
        ("cannot read /home/al ice/x: denied", "cannot read …: denied"),
        ("Error(13, '/home/alice/x', 5)", "Error(13, '…', 5)"),
        ("/a\n/b", "…\n…"),
        # Of people with names that seem to end a path.
        ("/home/o'brien/x.json: denied", "…: denied"),
        ("/home/doe, jane/k.json", "…"),
        ("/home/doe;jane:8/k.json: denied", "…: denied"),
        ('/home/the "doe"/k.json: denied', "…: denied"),
        ('[Errno 13] Permission denied: "/home/o\'brien/x"', '[Errno 13] Permission denied: "…"'),
        ("Error(13, '/home/o'brien/x', 5)", "Error(13, '…', 5)"),
        ("'/home/doe, jane: 1/x' -> '/home/y'", "'…' -> '…'"),
        ("'/home/o' -> \"/home/p\": no", "'…' -> \"…\": no"),
        (repr('/home/o\'b "x"/k') + ": denied", "'…': denied"),
        ("'/home/cut, off: denied\nnext", "'…: denied\nnext"),
        ('File "/home/doe, jane/x.py", line 3, in f', 'File "…", line 3, in f'),
        ("cannot read '/home/alice/x': it isn't there", "cannot read '…': it isn't there"),
    ],
)
def test_paths_in_texts(text: str, shown: str) -> None:
    """All of them, with spaces in them too: rather a word too much."""
    assert conceal_paths(text) == shown


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    """Also if several ask at the same moment."""
    found: list[bytes] = []
    ask = [
        threading.Thread(target=lambda: found.append(read_key(str(tmp_path / "state"))))
        for _ in range(8)
    ]
    for one in ask:
        one.start()
    for one in ask:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert os.listdir(tmp_path / "state") == [KEY_FILE]
    assert (tmp_path / "state" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("wrong", ["short", "long", "readable", "link", "directory"])
def test_a_key_that_others_may_know(tmp_path: Path, wrong: str) -> None:
    """It is not used, and there is no start without one."""
    path = tmp_path / KEY_FILE
    match wrong:
        case "link":
            (tmp_path / "other").write_bytes(b"k" * 32)
            path.symlink_to(tmp_path / "other")
        case "directory":
            path.mkdir()
        case _:
            path.write_bytes(b"k" * {"short": 31, "long": 33}.get(wrong, 32))
            path.chmod(0o640 if wrong == "readable" else 0o600)
    with pytest.raises(OSError, match=KEY_FILE):
        read_key(str(tmp_path))


def test_modes_have_their_own_places(tmp_path: Path) -> None:
    """Names that were written down before are not shown by a daemon that hides them."""

    def hashed(username: str) -> str:
        flags: dict[str, str | bool | list[str]] = {
            "state-dir": str(tmp_path),
            "privacy.username": "hashed",
        }
        kernel = Kernel("a", ProcessId(1, 2), username)
        return open_privacy(resolve(flags, {})).reduce_one(kernel).username

    assert hashed("alice") == hashed("alice")
    assert os.listdir(tmp_path) == ["hashed"]


@pytest.mark.real
def test_notebooks_of_the_past(tmp_path: Path) -> None:
    """A daemon that may show less than the one before it shows less of the past as well."""
    history = History.open(str(tmp_path / "state"))
    history.record_death(death(1, notebook="/home/a/zoraida.ipynb"))
    history.close()
    state = f"--state-dir={tmp_path}/state"
    with running_daemon(tmp_path, state, "--privacy.notebook=none") as daemon:
        (found,) = daemon.http.get("/api/v1/deaths").json()["deaths"]
        page = daemon.http.get("/kernels/k-1")
    assert (found["kernel_id"], found["notebook"]) == ("k-1", "")
    assert page.status_code == 200
    assert "zoraida" not in page.text


@pytest.mark.patient
@pytest.mark.real
@pytest.mark.parametrize("mode", ["hashed", "none"])
def test_nowhere_is_a_name(tmp_path: Path, mode: str) -> None:
    """Metrics, API, page, log and database of a real daemon, before and after a death."""
    name = "zoraida"
    home = tmp_path / "home" / name
    home.mkdir(parents=True)
    flags = (f"--privacy.username={mode}", "--privacy.notebook=path", "--log.level=debug")
    routes = ("/metrics", "/api/v1/kernels", "/api/v1/deaths", "/")
    with (
        running_server(home, environ={"JUPYTERHUB_USER": name}) as server,
        running_daemon(
            tmp_path, f"--state-dir={tmp_path}/state", f"--runtime-dir={home}/runtime", *flags
        ) as daemon,
    ):
        kernel_id = server.start_kernel("python3", notebook=f"{name}/a.ipynb")
        # A file that is refused is named in the log.
        (home / "runtime" / f"kernel-{name}.json").write_text("{")

        def kernel() -> dict[str, object] | None:
            found = daemon.http.get("/api/v1/kernels").json()["kernels"]
            return next((one for one in found if one["kernel_id"] == kernel_id), None)

        shown = wait_until(kernel, "the kernel is seen")
        assert (shown["username"] == "") is (mode == "none")
        seen = [daemon.http.get(route).text for route in routes]
        os.kill(int(str(shown["pid"])), signal.SIGKILL)
        wait_until(lambda: daemon.http.get("/api/v1/deaths").json()["deaths"], "its death is told")
        seen += [daemon.http.get(route).text for route in routes]
        log = daemon.log
    for text in (*seen, log):
        assert name not in text
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert name.encode() not in path.read_bytes(), path
