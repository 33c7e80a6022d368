"""The table of metrics says of each metric what the conventions ask for."""

import re

import pytest

from jupyter_kernel_exporter.publish.metrics import METRICS
from jupyter_kernel_exporter.publish.rows import HostMetric, Kind, Metric

UNITS = {"bytes": "bytes", "seconds": "seconds"}


def test_every_metric_is_there_once() -> None:
    """No name is declared twice."""
    names = [metric.name for metric in METRICS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_follows_the_conventions(metric: Metric) -> None:
    """Prefix, suffix, base unit and a help that is a whole sentence and names the unit."""
    assert re.fullmatch(r"jupyter_kernels?(_[a-z]+)*", metric.name)
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert re.fullmatch(r"[A-Z].*\.", metric.help)
    for suffix, unit in UNITS.items():
        if suffix in metric.name.removesuffix("_total").split("_"):
            assert unit in metric.help.lower()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_labels_do_not_clash(metric: Metric) -> None:
    """A label is named once, and none is one that Prometheus gives to targets."""
    own = () if isinstance(metric, HostMetric) else ("kernel_id", "username")
    labels = own + metric.labels
    assert len(set(labels)) == len(labels)
    assert not {"instance", "job", "le", "quantile", "type", "owner", "env"} & set(labels)
