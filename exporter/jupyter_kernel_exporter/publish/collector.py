"""A Snapshot -> the families of all metrics, made fresh each time.

Nothing is kept of a kernel but the text of its labels, so the series of a kernel that is gone are
gone with it. Kernel ids are unique in a snapshot, hence so are the series.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from jupyter_kernel_exporter.model import Kernel, Snapshot
from jupyter_kernel_exporter.publish.encode import (
    Family,
    exemplar_text,
    label_pair,
    label_text,
)
from jupyter_kernel_exporter.publish.metrics import METRICS
from jupyter_kernel_exporter.publish.rows import (
    HostMetric,
    InfoMetric,
    KernelMetric,
    Metric,
    Number,
    SplitMetric,
)


class _Labelled(NamedTuple):
    """A kernel with the text of its labels, made once while it stays the same object."""

    kernel: Kernel
    id: str
    """``kernel_id="…"``"""
    username: str
    """``username="…"``"""
    both: str
    """``{kernel_id="…",username="…"}``"""
    info: dict[str, str]
    """Label text of the InfoMetrics, by the metric's name."""


class Collector:
    """Makes the families of one snapshot after another."""

    def __init__(self, metrics: Iterable[Metric] = METRICS) -> None:
        self._metrics = tuple(metrics)
        self._known: dict[str, _Labelled] = {}

    def collect(self, snapshot: Snapshot) -> Iterator[Family]:
        """All families in the order of the table; one without samples is an empty family."""
        labelled = [self._label(live.kernel) for live in snapshot.kernels]
        alive = {live.kernel.id for live in snapshot.kernels}
        dead = [
            self._label(last.kernel) for last in snapshot.last_deaths if last.kernel.id not in alive
        ]
        self._known = {known.kernel.id: known for known in labelled + dead}
        both = [known.both for known in labelled]
        for metric in self._metrics:
            labels: list[str]
            values: list[Number]
            exemplars: list[str] = []
            match metric:
                case KernelMetric():
                    labels, values = _one_each(both, map(metric.read, snapshot.kernels))
                case SplitMetric():
                    labels, values = _several_each(metric, labelled, snapshot)
                case InfoMetric():
                    labels = [known.info[metric.name] for known in labelled + dead]
                    values = [1] * len(labels)
                case HostMetric():
                    labels, values = _of_the_host(metric, snapshot)
                    if metric.exemplars is not None:
                        exemplars = [exemplar_text(*e) for e in metric.exemplars(snapshot)]
            yield Family(metric.name, metric.kind, metric.help, labels, values, exemplars)

    def _label(self, kernel: Kernel) -> _Labelled:
        known = self._known.get(kernel.id)
        if known is not None and known.kernel is kernel:
            return known
        both = {"kernel_id": kernel.id, "username": kernel.username}
        return _Labelled(
            kernel,
            label_pair("kernel_id", kernel.id),
            label_pair("username", kernel.username),
            label_text(both),
            {
                metric.name: label_text(
                    both | dict(zip(metric.labels, metric.read(kernel), strict=True))
                )
                for metric in self._metrics
                if isinstance(metric, InfoMetric)
            },
        )


_Series = tuple[list[str], list[Number]]
"""Label texts and the values that go with them."""


def _one_each(labels: list[str], values: Iterable[Number | None]) -> _Series:
    found = list(values)
    if None not in found:
        return labels, cast(list[Number], found)
    known = [(text, value) for text, value in zip(labels, found, strict=True) if value is not None]
    return [text for text, _ in known], [value for _, value in known]


def _several_each(metric: SplitMetric, kernels: list[_Labelled], snapshot: Snapshot) -> _Series:
    # The same few label values return for every kernel: what is around them is made once.
    around = _Around(metric.label)
    labels: list[str] = []
    values: list[Number] = []
    for known, live in zip(kernels, snapshot.kernels, strict=True):
        for label_value, value in metric.read(live):
            if value is not None:
                before, between, after = around[label_value]
                labels.append(f"{before}{known.id}{between}{known.username}{after}")
                values.append(value)
    return labels, values


class _Around(dict[str, tuple[str, str, str]]):
    """A label's value -> what stands before, between and after the kernel's own two labels."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __missing__(self, value: str) -> tuple[str, str, str]:
        # Labels are sorted by name.
        pair = label_pair(self._label, value)
        if self._label < "kernel_id":
            texts = (f"{{{pair},", ",", "}")
        elif self._label < "username":
            texts = ("{", f",{pair},", "}")
        else:
            texts = ("{", ",", f",{pair}}}")
        self[value] = texts
        return texts


def _of_the_host(metric: HostMetric, snapshot: Snapshot) -> _Series:
    labels: list[str] = []
    values: list[Number] = []
    for label_values, value in metric.read(snapshot):
        labels.append(label_text(dict(zip(metric.labels, label_values, strict=True))))
        values.append(value)
    return labels, values
