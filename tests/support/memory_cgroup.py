"""Memory cgroups of tests, under either version; gone when they are left."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from support.jupyter import wait_until

ROOT = Path("/sys/fs/cgroup")
_V1 = ROOT / "memory" / "memory.limit_in_bytes"
_V2 = ROOT / "cgroup.subtree_control"

HOG = "hog = []\nwhile True: hog.append(bytearray(b'x' * (1 << 20)))"
"""Takes memory until it is killed: only for those who are in a cgroup with a limit."""


def may_make() -> bool:
    """Whether a cgroup with a memory limit can be made here."""
    if os.geteuid() != 0:
        return False
    return _V1.exists() or (_V2.exists() and "memory" in _V2.read_text().split())


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int, name: str = "") -> Iterator[Path]:
    """A cgroup with a limit, to be joined through its ``cgroup.procs``; all in it have to end."""
    name = name or f"jke-test-{uuid.uuid4().hex[:12]}"
    path = (_V1.parent if _V1.exists() else ROOT) / name
    path.mkdir()
    limit, swap = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    if not _V1.exists():
        limit, swap = "memory.max", "memory.swap.max"
    try:
        (path / limit).write_text(str(limit_bytes))
        if (path / swap).exists():
            (path / swap).write_text(str(limit_bytes) if _V1.exists() else "0")
        yield path
    finally:
        wait_until(lambda: _removed(path), f"{path} is empty")


@contextlib.contextmanager
def cores_given(group: Path, cores: float) -> Iterator[Path | None]:
    """A limit of processors, for those of a memory cgroup: what they join besides, under version 1.

    ``None`` where that cannot be made.
    """
    path = group if not _V1.exists() else ROOT / "cpu" / group.name
    files = ("cpu.max",) if not _V1.exists() else ("cpu.cfs_period_us", "cpu.cfs_quota_us")
    period, quota = 100_000, round(cores * 100_000)
    texts = (f"{quota} {period}",) if not _V1.exists() else (str(period), str(quota))
    made = False
    try:
        if path != group:
            path.mkdir()
            made = True
        for file, text in zip(files, texts, strict=True):
            (path / file).write_text(text)
    except OSError:  # no such controller here, or not ours to use
        if made:
            path.rmdir()
        yield None
        return
    yield path
    if made:
        wait_until(lambda: _removed(path), f"{path} is empty")


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):  # zombies leave it a moment later
        path.rmdir()
    return not path.exists()
