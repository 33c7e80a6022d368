"""CPU quotas of control groups, version 1 and 2, along the chain from a process to the root.

Version 2 (kernel document admin-guide/cgroup-v2), ``cpu.max``, microseconds of each period:

    50000 100000            or: max 100000

Version 1 (scheduler/sched-bwc): ``cpu.cfs_quota_us`` (-1: none) and ``cpu.cfs_period_us``.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

AGE_SECONDS = 10.0
"""Quotas are changed by people and managers, rarely."""


def parse_quota(raw: bytes) -> float | None:
    """Parse ``cpu.max``, or both files of version 1 in one: processors; ``None`` without a quota.

    >>> parse_quota(b"50000 100000")
    0.5
    """
    quota, period = raw.split()
    return None if quota == b"max" or int(quota) < 0 else int(quota) / int(period)


@dataclass(slots=True)
class CpuQuotas:
    """What the control groups allow; each is read every ten seconds, however many share it.

    ``cgroupfs`` is the host's.
    """

    cgroupfs: str
    clock: Callable[[], float]
    _quotas: dict[str, float | None] = field(default_factory=dict, init=False)
    _read_at: float = field(default=float("-inf"), init=False)

    def limit(self, paths: Mapping[str, str]) -> float | None:
        """The tightest quota of the chain of a process in ``paths``, in processors.

        ``None`` without one.
        """
        now = self.clock()
        if now - self._read_at >= AGE_SECONDS:
            self._quotas.clear()
            self._read_at = now
        if "cpu" in paths:
            path, root = paths["cpu"], f"{self.cgroupfs}/cpu"
        else:
            path, root = paths.get("", "/"), self.cgroupfs
        if path.startswith("/.."):
            return None  # beyond the cgroup namespace of this process
        directory = os.path.normpath(f"{root}/{path}")
        quotas = []
        while len(directory) > len(root):
            if directory not in self._quotas:
                self._quotas[directory] = _read_quota(directory)
            quotas.append(self._quotas[directory])
            directory = directory.rpartition("/")[0]
        return min((quota for quota in quotas if quota is not None), default=None)


def _read_quota(directory: str) -> float | None:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            raw = b" ".join(_read(f"{directory}/{name}") for name in names)
        except FileNotFoundError:  # the other version's, no controller, or a cgroup just removed
            continue
        return parse_quota(raw)
    return None


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
