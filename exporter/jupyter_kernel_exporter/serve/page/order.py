"""Which kernels are shown, and in what order. Pure; the twin of ``static/order.js``.

Filter and order are part of the page's address, so that what one person sees can be sent to
another: ``/?q=ada&sort=memory``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jupyter_kernel_exporter.serve.api import KernelModel
from jupyter_kernel_exporter.serve.page.rows import TIGHT_SECONDS, level

Key = Callable[[KernelModel], "float | str | tuple[float, float]"]


def _trouble(kernel: KernelModel) -> tuple[float, float]:
    """Who is out of memory soon, then who has little left, then who has much."""
    seconds = kernel.memory_exhaustion_seconds
    if seconds is not None and seconds < TIGHT_SECONDS:
        return 0, seconds
    return {"full": 1, "tight": 2}.get(level(kernel), 3), -kernel.memory_bytes


def _or(value: float | None, unknown: float) -> float:
    return unknown if value is None else value


class Column(NamedTuple):
    """What a table can be sorted by."""

    name: str
    title: str
    key: Key
    """Sorts upwards; of equal ones the larger goes first."""
    falls: bool = False
    """Whether the largest goes first unless asked otherwise."""


COLUMNS: tuple[Column, ...] = (
    Column("notebook", "Notebook", lambda kernel: kernel.notebook.lower()),
    Column("person", "Person", lambda kernel: kernel.username.lower()),
    Column("kernel", "Kernelspec", lambda kernel: kernel.kernel_name.lower()),
    Column("state", "State", lambda kernel: kernel.state.value),
    Column("memory", "Memory", lambda kernel: kernel.memory_bytes, falls=True),
    Column(
        "growth",
        "Growth",
        lambda kernel: _or(kernel.memory_growth_bytes_per_second, -math.inf),
        falls=True,
    ),
    Column(
        "exhaustion", "Runs out in", lambda kernel: _or(kernel.memory_exhaustion_seconds, math.inf)
    ),
    Column("cpu", "CPU, cores", lambda kernel: _or(kernel.cpu_cores, -1.0), falls=True),
    Column(
        "restarts",
        "Restarts",
        lambda kernel: kernel.restarts_total.automatic + kernel.restarts_total.requested,
        falls=True,
    ),
)
TROUBLE = Column("trouble", "Trouble first", _trouble)
BY_NAME: Mapping[str, Column] = {column.name: column for column in (TROUBLE, *COLUMNS)}


class View(NamedTuple):
    """What somebody wants to see."""

    query: str = ""
    sort: Column = TROUBLE
    falls: bool = TROUBLE.falls

    @property
    def aria_sort(self) -> str:
        """The word of WAI-ARIA for the order."""
        return "descending" if self.falls else "ascending"


def parse_view(q: str, sort: str, order: str) -> View:
    """Read a page's address; what makes no sense counts as not said."""
    column = BY_NAME.get(sort, TROUBLE)
    falls = {"asc": False, "desc": True}.get(order, column.falls)
    return View(q, column, falls)


def arrange(kernels: Iterable[KernelModel], view: View) -> list[KernelModel]:
    """Those that match, in order."""
    words = view.query.lower().split()
    found = [kernel for kernel in kernels if all(word in _text(kernel) for word in words)]
    found.sort(key=lambda kernel: (-kernel.memory_bytes, kernel.kernel_id))
    return sorted(found, key=view.sort.key, reverse=view.falls)


def _text(kernel: KernelModel) -> str:
    """Everything that a filter looks at."""
    texts = [kernel.notebook, kernel.username, kernel.kernel_name, kernel.kernel_id]
    return "\n".join([*texts, kernel.server, kernel.container, kernel.state]).lower()
