"""Memory limits of control groups, version 1 and 2, along the chain from a process to the root.

Version 2 (kernel document admin-guide/cgroup-v2): ``memory.max``, ``memory.high``,
``memory.current``, ``memory.stat``. Version 1 (cgroup-v1/memory): ``memory.limit_in_bytes``,
``memory.usage_in_bytes``, ``memory.stat``. On machines with both, linux gives memory to one of
them: to version 1 if it is mounted with the memory controller.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile
from jupyter_kernel_exporter.linux.proc import GONE
from jupyter_kernel_exporter.sources import Unavailable

UNLIMITED_FROM = 1 << 60
"""Version 1 writes the largest number of pages it knows where there is no limit."""
LIMITS_AGE_SECONDS = 10.0
"""Limits are changed by people and managers, rarely; usage is read each time."""


class Version(NamedTuple):
    """The names of one version's files."""

    root: str
    """Where its memory hierarchy is mounted."""
    current: str
    limits: tuple[str, ...]
    reclaimable: tuple[bytes, ...]
    """Rows of memory.stat that linux can take back before it has to kill: page cache, whether
    recently used or not, mapped or not, and caches of its own. Not shmem, which is no cache."""


def find_version(cgroupfs: str) -> Version:
    """Tell which version accounts for memory below ``cgroupfs``.

    Raises :exc:`Unavailable` where neither does.
    """
    if os.path.exists(f"{cgroupfs}/memory/memory.limit_in_bytes"):
        return Version(
            f"{cgroupfs}/memory",
            "memory.usage_in_bytes",
            ("memory.limit_in_bytes",),
            (b"total_inactive_file ", b"total_active_file "),
        )
    for root in (cgroupfs, f"{cgroupfs}/unified"):
        try:
            with open(f"{root}/cgroup.controllers", encoding="ascii") as file:
                controllers = file.read().split()
        except FileNotFoundError:
            continue
        if "memory" in controllers:
            return Version(
                root,
                "memory.current",
                ("memory.max", "memory.high"),
                (b"inactive_file ", b"active_file ", b"slab_reclaimable "),
            )
    raise Unavailable(
        f"no memory controller below {cgroupfs}: limits of containers and units are not seen"
    )


@lru_cache(1024)  # a hub's kernels share some few texts
def parse_paths(text: str) -> Mapping[str, str]:
    """Parse ``/proc/PID/cgroup`` into the path of each controller; version 2 has the name ``""``.

    >>> parse_paths("4:memory:/user.slice\\n1:name=systemd:/\\n0::/user.slice/a.service\\n")
    mappingproxy({'memory': '/user.slice', 'name=systemd': '/', '': '/user.slice/a.service'})
    """
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            # linux marks the path of a process that outlived its cgroup.
            paths[controller] = path.removesuffix(" (deleted)")
    return MappingProxyType(paths)


def read_paths(root: str, pid: int) -> Mapping[str, str] | None:
    """The cgroup paths of a process by controller, ``None`` if it is gone."""
    try:
        with open(f"{root}/{pid}/cgroup", "rb", buffering=0) as file:
            return parse_paths(os.fsdecode(file.read()))
    except GONE:
        return None


def parse_limit(raw: bytes) -> int | None:
    """Parse a limit in bytes; ``None`` for ``max`` and for version 1's huge number."""
    word = raw.strip()
    if word == b"max":
        return None
    limit = int(word)
    return None if limit >= UNLIMITED_FROM else limit


def parse_reclaimable(raw: bytes, rows: tuple[bytes, ...]) -> int:
    """Add up some rows of ``memory.stat``, bytes."""
    return sum(
        int(line[len(row) :]) for line in raw.splitlines() for row in rows if line.startswith(row)
    )


class Headroom(NamedTuple):
    """The tightest limit of a chain."""

    limit_bytes: int
    headroom_bytes: int
    path: str = ""
    """The cgroup that has it."""


@dataclass(slots=True)
class _Level:
    """One cgroup of a chain that is being watched."""

    current: KeptFile
    stat: KeptFile
    limit: int | None = None
    looked_at: float = float("-inf")
    usage: bytes = b""
    headroom: Headroom | None = None
    read_at: float = float("-inf")


class CgroupMemory:
    """What the control groups still grant; each is read once per tick, however many share it.

    ``cgroupfs`` is the host's. Times are any clock's seconds, given by the caller.
    """

    def __init__(self, cgroupfs: str, descriptors: Descriptors) -> None:
        self._cgroupfs = cgroupfs
        self._descriptors = descriptors
        self._version: Version | None = None
        self._levels: dict[str, _Level] = {}
        self._may_swap: dict[str, tuple[float, bool]] = {}
        """By directory: when it was looked at, and what was seen. Kept as long as its level is."""

    def directory(self, paths: Mapping[str, str]) -> str:
        """Of the cgroup that the memory of a process in ``paths`` is charged to.

        Raises :exc:`Unavailable` if it lies outside of what this process can see.
        """
        version = self._find()
        path = paths.get("memory", paths.get("", "/"))
        if path.startswith("/.."):
            raise Unavailable(
                "kernels live outside the cgroup namespace of this process: run it in the host's"
                " (docker: cgroup: host)"
            )
        return os.path.normpath(f"{version.root}/{path}")

    def headroom(self, path: str, now: float) -> Headroom | None:
        """The tightest limit from ``path`` up to the root; ``None`` where none is set."""
        version = self._find()
        tightest: Headroom | None = None
        while len(path) > len(version.root):
            here = self._level(version, path, now)
            if here is not None and (
                tightest is None or here.headroom_bytes < tightest.headroom_bytes
            ):
                tightest = here
            path = path.rpartition("/")[0]
        return tightest

    def may_swap(self, path: str, now: float) -> bool:
        """Whether linux may swap what is charged to ``path``.

        Not where ``memory.swap.max`` is 0 from there up to the root. Version 1 cannot forbid it
        when the machine runs out.
        """
        looked_at, may = self._may_swap.get(path, (float("-inf"), True))
        if now - looked_at >= LIMITS_AGE_SECONDS:
            may, group = True, path
            while may and len(group) > len(self._find().root):
                may = self._read_limit(group, ("memory.swap.max",)) != 0
                group = group.rpartition("/")[0]
            self._may_swap[path] = (now, may)
        return may

    def forget(self, before: float) -> None:
        """Close the files of cgroups that nobody asked for since ``before``."""
        for path in [p for p, level in self._levels.items() if level.read_at < before]:
            level = self._levels.pop(path)
            level.current.close()
            level.stat.close()
        for path in self._may_swap.keys() - self._levels.keys():
            del self._may_swap[path]

    def _find(self) -> Version:
        if self._version is None:
            self._version = find_version(self._cgroupfs)
        return self._version

    def _level(self, version: Version, path: str, now: float) -> Headroom | None:
        level = self._levels.get(path)
        if level is None:
            level = self._levels[path] = _Level(
                KeptFile(f"{path}/{version.current}", self._descriptors, 64),
                KeptFile(f"{path}/memory.stat", self._descriptors, 16384),
            )
        if level.read_at == now:
            return level.headroom
        level.read_at = now
        if now - level.looked_at >= LIMITS_AGE_SECONDS:
            level.limit = self._read_limit(path, version.limits)
            level.looked_at = now
            level.usage = b""
        if level.limit is None:
            level.headroom = None
            return None
        usage = level.current.read()
        if usage is None:
            level.headroom = None
            return None
        # memory.stat makes linux gather the numbers of all CPUs and children: only if usage moved.
        if usage != level.usage or level.headroom is None:
            stat = level.stat.read() or b""
            used = max(0, int(usage) - parse_reclaimable(stat, version.reclaimable))
            level.headroom = Headroom(level.limit, max(0, level.limit - used), path)
            level.usage = usage
        return level.headroom

    @staticmethod
    def _read_limit(path: str, names: tuple[str, ...]) -> int | None:
        """The least of a cgroup's limits; ``None`` where none is set."""
        limits = []
        for name in names:
            try:
                with open(f"{path}/{name}", "rb") as file:
                    limit = parse_limit(file.read())
            except FileNotFoundError:  # the root has none, and a cgroup may just have been removed
                continue
            if limit is not None:
                limits.append(limit)
        return min(limits, default=None)
