"""The page at ``/``: the first table is written here, and ``static/page.js`` keeps it alive.

:func:`row` and :func:`summary` have their twins in the script; both turn the same API model into
the same texts.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import jupyter_kernel_exporter
from jupyter_kernel_exporter.model import Scope
from jupyter_kernel_exporter.serve import words
from jupyter_kernel_exporter.serve.api import KernelModel, KernelsModel, LimitModel
from jupyter_kernel_exporter.serve.health import stale_after_seconds
from jupyter_kernel_exporter.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"

SHORT_ID = 8
SCOPES = {Scope.RLIMIT: "ulimit", Scope.CGROUP: "cgroup", Scope.HOST: "machine"}


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
    """``full`` with less than a tenth of the limit left, ``tight`` with less than a fifth."""
    own: str
    """How much of the limit this kernel has taken, in percent."""
    others: str
    """How much everyone else below the same limit has taken, in percent."""
    cpu: str
    children: str
    up: str
    where: str


EMPTY_ROW = Row(*[""] * len(Row._fields))


def row(kernel: KernelModel, taken_at: float) -> Row:
    """Put a kernel into words."""
    tightest = kernel.tightest
    own, others = _shares(kernel.memory_bytes, tightest)
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
        level=_level(tightest),
        own=own,
        others=others,
        cpu=words.cores(kernel.cpu_cores),
        children=str(kernel.children),
        up=words.duration(taken_at - kernel.start_time_seconds),
        where=kernel.container,
    )


def _shares(own_bytes: int, limit: LimitModel | None) -> tuple[str, str]:
    if limit is None or limit.limit_bytes <= 0:
        return "0%", "0%"
    used = max(0, limit.limit_bytes - limit.headroom_bytes)
    own = min(own_bytes, limit.limit_bytes)
    return _percent(own / limit.limit_bytes), _percent(max(0, used - own) / limit.limit_bytes)


def _percent(share: float) -> str:
    return f"{math.floor(share * 1000 + 0.5) / 10:g}%"


def _level(limit: LimitModel | None) -> str:
    if limit is None:
        return ""
    if limit.headroom_bytes < limit.limit_bytes / 10:
        return "full"
    return "tight" if limit.headroom_bytes < limit.limit_bytes / 5 else ""


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
        full=str(sum(_level(kernel.tightest) == "full" for kernel in kernels)),
    )


class Page:
    """Writes the page."""

    def __init__(self, settings: Settings, host_name: str) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("kernels.html")
        self._always = {
            "host_name": host_name,
            "version": jupyter_kernel_exporter.__version__,
            # Relative, so that the page works behind a proxy that puts a path before it.
            "metrics": settings["web.telemetry-path"].removeprefix("/"),
            "stale_after": stale_after_seconds(settings),
        }

    def render(self, model: KernelsModel | None, now: float) -> str:
        """The whole page; ``None`` before the first sample."""
        kernels = model.kernels if model else []
        taken_at = model.taken_at if model else now
        return self._template.render(
            self._always,
            waiting=model is None,
            rows=[row(kernel, taken_at) for kernel in kernels],
            empty_row=EMPTY_ROW,
            summary=summary(kernels),
            problems=[source for source in model.sources if source.problem] if model else [],
            taken_at=taken_at,
            age=max(0.0, now - taken_at),
        )
