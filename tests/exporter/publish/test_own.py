"""The exporter's own process, beside what the client library says of it."""

import os

import pytest
from prometheus_client import PROCESS_COLLECTOR

from jupyter_kernel_exporter.publish.own import OwnProcess


def test_the_same_as_the_client_library() -> None:
    """Names, types, texts and numbers, but for what it takes to look."""
    ours = {family.name: family for family in OwnProcess().collect()}
    theirs = {
        metric.name + "_total" * (metric.type == "counter"): metric
        for metric in PROCESS_COLLECTOR.collect()
    }
    assert ours.keys() == theirs.keys()
    for name, family in ours.items():
        (sample,) = theirs[name].samples
        assert (family.kind, family.help) == (theirs[name].type, theirs[name].documentation)
        assert (family.labels, sample.labels) == ([""], {})
        slack = {"process_start_time_seconds": 1.5, "process_cpu_seconds_total": 0.5}.get(name, 2)
        assert family.values[0] == pytest.approx(sample.value, rel=0.02, abs=slack)


def test_descriptors_are_counted() -> None:
    """One more is one more."""

    def count() -> float:
        return next(f.values[0] for f in OwnProcess().collect() if f.name == "process_open_fds")

    before = count()
    descriptor = os.open("/", os.O_RDONLY)
    try:
        assert count() == before + 1
    finally:
        os.close(descriptor)
