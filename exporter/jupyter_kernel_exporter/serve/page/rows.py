"""A kernel in words, and all of them added up. Pure.

The twin of ``static/rows.js``: both turn the same API model into the same texts; a test compares.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jupyter_kernel_exporter.model import Scope
from jupyter_kernel_exporter.serve import words
from jupyter_kernel_exporter.serve.api import KernelModel, LimitModel

SHORT_ID = 8
SCOPES = {Scope.RLIMIT: "ulimit", Scope.CGROUP: "cgroup", Scope.HOST: "machine"}

FULL_SECONDS = 300.0
"""Out of memory in less: the alert JupyterKernelMemoryExhaustionSoon has the same."""
TIGHT_SECONDS = 1800.0


class Row(NamedTuple):
    """One kernel in words."""

    id: str
    short_id: str
    """Enough of it to find the kernel in a dashboard."""
    person: str
    notebook: str
    kernel: str
    state: str
    memory: str
    limit: str
    left: str
    level: str
    """``full``: out of memory within five minutes, or less than a tenth of the limit is left;
    ``tight``: within half an hour, or less than a fifth."""
    own: str
    """How much of the limit this kernel has taken, in percent."""
    others: str
    """How much everyone else below the same limit has taken, in percent."""
    growth: str
    pace: str
    """When that growth would reach the limit, if it went on."""
    exhaustion: str
    """The forecast: how long its memory will last."""
    cpu: str
    restarts: str
    up: str


EMPTY_ROW = Row(*[""] * len(Row._fields))


def row(kernel: KernelModel, taken_at: float) -> Row:
    """Put a kernel into words."""
    tightest = kernel.tightest
    own, others = _shares(kernel.memory_bytes, tightest)
    seconds = kernel.memory_exhaustion_seconds
    restarts = kernel.restarts_total
    return Row(
        id=kernel.kernel_id,
        short_id=kernel.kernel_id[:SHORT_ID],
        person=kernel.username,
        notebook=kernel.notebook or words.UNKNOWN,
        kernel=kernel.kernel_name or words.UNKNOWN,
        state=kernel.state,
        memory=words.size(kernel.memory_bytes),
        limit=f"of {words.size(tightest.limit_bytes)}" if tightest else "",
        left=f"{words.size(tightest.headroom_bytes)} left, {SCOPES[tightest.scope]}"
        if tightest
        else "no limit known",
        level=level(kernel),
        own=own,
        others=others,
        growth=words.growth(kernel.memory_growth_bytes_per_second),
        pace=words.pace(
            kernel.memory_growth_bytes_per_second, tightest.headroom_bytes if tightest else None
        ),
        exhaustion=words.UNKNOWN if seconds is None else words.duration(seconds),
        cpu=words.cores(kernel.cpu_cores),
        restarts=str(restarts.automatic + restarts.requested),
        up=words.duration(taken_at - kernel.start_time_seconds),
    )


def level(kernel: KernelModel) -> str:
    """``full``, ``tight`` or nothing: how near its kernel is to the end of its memory."""
    limit, seconds = kernel.tightest, kernel.memory_exhaustion_seconds
    share = limit.headroom_bytes / limit.limit_bytes if limit and limit.limit_bytes > 0 else 1.0
    if share < 0.1 or (seconds is not None and seconds < FULL_SECONDS):
        return "full"
    return "tight" if share < 0.2 or (seconds is not None and seconds < TIGHT_SECONDS) else ""


def _shares(own_bytes: int, limit: LimitModel | None) -> tuple[str, str]:
    if limit is None or limit.limit_bytes <= 0:
        return "0%", "0%"
    used = max(0, limit.limit_bytes - limit.headroom_bytes)
    own = min(own_bytes, limit.limit_bytes)
    return _percent(own / limit.limit_bytes), _percent(max(0, used - own) / limit.limit_bytes)


def _percent(share: float) -> str:
    return f"{math.floor(share * 1000 + 0.5) / 10:g}%"


class Summary(NamedTuple):
    """All kernels in a few words."""

    kernels: str
    people: str
    memory: str
    cpu: str
    full: str


def summary(kernels: Sequence[KernelModel]) -> Summary:
    """Add up."""
    return Summary(
        kernels=str(len(kernels)),
        people=str(len({kernel.username for kernel in kernels})),
        memory=words.size(sum(kernel.memory_bytes for kernel in kernels)),
        cpu=words.cores(sum(kernel.cpu_cores or 0.0 for kernel in kernels)),
        full=str(sum(level(kernel) == "full" for kernel in kernels)),
    )
