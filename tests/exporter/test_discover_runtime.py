"""Jupyter's runtime directories."""

import os
from pathlib import Path

import pytest
from jupyter_core.paths import jupyter_runtime_dir

from jupyter_kernel_exporter.discover.runtime import RuntimeDirs, runtime_dir

ENVIRONS: list[dict[str, str]] = [
    {},
    {"HOME": "/home/b"},
    {"XDG_DATA_HOME": "/data"},
    {"JUPYTER_DATA_DIR": "/jd", "XDG_DATA_HOME": "/data"},
    {"JUPYTER_RUNTIME_DIR": "/jr", "JUPYTER_DATA_DIR": "/jd"},
    {"JUPYTER_RUNTIME_DIR": "", "JUPYTER_DATA_DIR": "", "XDG_DATA_HOME": ""},
    {"XDG_RUNTIME_DIR": "/run/user/1"},
]


@pytest.mark.parametrize("environ", ENVIRONS)
def test_the_rule_is_jupyters_own(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as what jupyter_core says in that environment."""
    for name in list(os.environ):
        if name.startswith(("JUPYTER", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/home/a")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert runtime_dir(environ, "/home/a") == jupyter_runtime_dir()


@pytest.mark.parametrize(
    ("environ", "home"),
    [({}, ""), ({"JUPYTER_RUNTIME_DIR": "run"}, "/home/a"), ({"XDG_DATA_HOME": "x"}, "/home/a")],
)
def test_some_have_none(environ: dict[str, str], home: str) -> None:
    """Without a home, or with a path that only the process itself can follow."""
    assert runtime_dir(environ, home) == ""


def test_the_path_is_cleaned() -> None:
    """Two spellings are one directory."""
    assert runtime_dir({"JUPYTER_RUNTIME_DIR": "/a/../b//c/"}, "") == "/b/c"


def test_numbered_files_are_found_when_they_come(tmp_path: Path) -> None:
    """Others are of no interest, and nothing is said twice."""
    dirs = RuntimeDirs(())
    dirs.watch([str(tmp_path)])
    assert dirs.scan(0.0) == set()
    for name in (
        "kernel-12.json",
        "kernel-0a1b.json",
        "kernel-012.json",
        "kernel-7.json.tmp",
        "jpserver-9.json",
        "kernel-5\n.json",
        f"kernel-{'9' * 11}.json",
    ):
        (tmp_path / name).touch()
    assert dirs.scan(1.0) == {12}
    assert dirs.files_of(12) == [f"{tmp_path}/kernel-12.json"]
    assert dirs.files_of(7) == []
    assert dirs.scan(2.0) == set()
    (tmp_path / "kernel-13.json").touch()
    assert dirs.scan(3.0) == {13}
    (tmp_path / "kernel-12.json").unlink()
    assert dirs.scan(4.0) == set()
    dirs.watch([])
    assert dirs.files_of(13) == []


def test_a_directory_that_did_not_change_is_not_listed(tmp_path: Path) -> None:
    """Homes may be on NFS: a listing is for changes only."""
    dirs = RuntimeDirs(())
    dirs.watch([str(tmp_path)])
    (tmp_path / "kernel-1.json").touch()
    before = tmp_path.stat()
    assert dirs.scan(0.0) == {1}
    # Within the grain of the clock a change may leave the time as it is.
    (tmp_path / "kernel-2.json").touch()
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert dirs.scan(1.0) == {2}
    (tmp_path / "kernel-3.json").touch()
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert dirs.scan(2.0) == set()


def test_a_missing_directory_is_tried_again_later(tmp_path: Path) -> None:
    """Most users have none."""
    path = tmp_path / "runtime"
    dirs = RuntimeDirs(())
    dirs.watch([str(path)])
    assert dirs.scan(0.0) == set()
    path.mkdir()
    (path / "kernel-1.json").touch()
    assert dirs.scan(5.0) == set()
    assert dirs.scan(10.0) == {1}


def test_globs_below_the_hosts_root(tmp_path: Path) -> None:
    """Wildcards are followed again now and then, and paths are as the host has them."""
    dirs = RuntimeDirs(["/scratch/*/runtime"], str(tmp_path))
    assert dirs.scan(0.0) == set()
    folder = tmp_path / "scratch/alice/runtime"
    folder.mkdir(parents=True)
    (folder / "kernel-8.json").touch()
    assert dirs.scan(29.0) == set()
    assert dirs.scan(30.0) == {8}
    assert dirs.files_of(8) == ["/scratch/alice/runtime/kernel-8.json"]
