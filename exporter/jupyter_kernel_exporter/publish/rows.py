"""What a row of the table of metrics says: four kinds, told apart by what they have a series for.

The first three have the labels ``kernel_id`` and ``username``, and their series vanish with the
kernel. A value that is ``None`` is not known: it gives no sample.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from jupyter_kernel_exporter.model import Kernel, LiveKernel, Snapshot

Number: TypeAlias = int | float


class Kind(StrEnum):
    """The type of a metric, as the exposition formats write it."""

    GAUGE = "gauge"
    COUNTER = "counter"


class KernelMetric(NamedTuple):
    """One series for each live kernel."""

    name: str
    kind: Kind
    help: str
    read: Callable[[LiveKernel], Number | None]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels beyond ``kernel_id`` and ``username``: none."""
        return ()


class SplitMetric(NamedTuple):
    """Several series for each live kernel, told apart by one label with few values."""

    name: str
    kind: Kind
    help: str
    label: str
    read: Callable[[LiveKernel], Iterable[tuple[str, Number | None]]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels beyond ``kernel_id`` and ``username``."""
        return (self.label,)


class InfoMetric(NamedTuple):
    """Facts about each kernel, alive or dead of late, as labels; the value is always 1."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Kernel], tuple[str, ...]]


class HostMetric(NamedTuple):
    """Series that belong to no single kernel: they bring all their labels themselves."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Snapshot], Iterable[tuple[tuple[str, ...], Number]]]
    exemplars: Callable[[Snapshot], Iterable[tuple[str, float]]] | None = None
    """For each series the id of the kernel that it counted last, and when (seconds since the
    epoch); an empty id for none."""


Metric: TypeAlias = KernelMetric | SplitMetric | InfoMetric | HostMetric
