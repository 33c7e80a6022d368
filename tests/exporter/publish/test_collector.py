"""A snapshot's families: nothing missing, nothing twice, nothing made up."""

import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import exposition
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector as ClientCollector
from prometheus_client.samples import Exemplar

import jupyter_kernel_exporter
from jupyter_kernel_exporter.model import Kernel, MemoryLimit, Scope, Snapshot, State
from jupyter_kernel_exporter.publish.collector import Collector
from jupyter_kernel_exporter.publish.encode import Encoder, Family, Format, writable
from jupyter_kernel_exporter.publish.metrics import METRICS
from jupyter_kernel_exporter.publish.own import OwnProcess
from jupyter_kernel_exporter.publish.rows import (
    HostMetric,
    InfoMetric,
    KernelMetric,
    Kind,
    Metric,
    Number,
    SplitMetric,
)
from support.snapshots import crowd, full_snapshot, live, snapshot

FIXTURES = Path(__file__).parents[2] / "fixtures"

ENCODERS: dict[Format, Callable[[ClientCollector], bytes]] = {
    Format.TEXT: exposition.generate_latest,
    Format.OPENMETRICS: partial(openmetrics.generate_latest, version="1.0.0"),
}


def readings(metric: Metric, of: Snapshot) -> Iterator[tuple[dict[str, str], Number | None]]:
    """Read a row of the table in the plainest way: all labels of each series, and its value."""
    if isinstance(metric, HostMetric):
        for values, known in metric.read(of):
            yield dict(zip(metric.labels, values, strict=True)), known
        return
    if isinstance(metric, InfoMetric):
        alive = [one.kernel for one in of.kernels]
        dead = [last.kernel for last in of.last_deaths]
        ids = {kernel.id for kernel in alive}
        for kernel in alive + [kernel for kernel in dead if kernel.id not in ids]:
            facts = dict(zip(metric.labels, metric.read(kernel), strict=True))
            yield {"kernel_id": kernel.id, "username": kernel.username} | facts, 1
        return
    for one in of.kernels:
        both = {"kernel_id": one.kernel.id, "username": one.kernel.username}
        match metric:
            case KernelMetric():
                yield both, metric.read(one)
            case SplitMetric():
                for value, number in metric.read(one):
                    yield both | {metric.label: str(value)}, number


def exemplars(metric: Metric, of: Snapshot) -> Iterator[Exemplar | None]:
    """What the table says of the kernel that each series counted last."""
    if isinstance(metric, HostMetric) and metric.exemplars is not None:
        for kernel_id, at in metric.exemplars(of):
            fits = 0 < len(kernel_id) + len("kernel_id") <= 128 and kernel_id
            yield Exemplar({"kernel_id": kernel_id}, 1, at) if fits else None
    else:
        yield from (None for _ in readings(metric, of))


class Plain(ClientCollector):
    """The same families by the client library's own means."""

    def __init__(self, of: Snapshot) -> None:
        self._snapshot = of

    def collect(self) -> Iterator[ClientMetric]:
        for metric in METRICS:
            make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family: Any = make(metric.name, metric.help)
            rows = zip(
                readings(metric, self._snapshot), exemplars(metric, self._snapshot), strict=True
            )
            for (labels, value), exemplar in rows:
                if value is not None:
                    written = {name: writable(text) for name, text in labels.items()}
                    family.add_sample(metric.name, written, value, None, exemplar)
            yield family


def exposed(of: Snapshot, fmt: Format = Format.TEXT) -> str:
    return Encoder().encode(Collector().collect(of), fmt).decode()


def series(text: str) -> list[str]:
    """Every line that is a sample, without its value."""
    return [line.rsplit(" ", 1)[0] for line in text.split("\n") if line and line[0] != "#"]


def by_name(of: Snapshot) -> dict[str, Family]:
    return {family.name: family for family in Collector().collect(of)}


@pytest.mark.parametrize("fmt", Format)
@pytest.mark.parametrize(
    "of", [snapshot(), full_snapshot(), crowd(50)], ids=["empty", "full", "crowd"]
)
def test_same_bytes_as_the_client(of: Snapshot, fmt: Format) -> None:
    """Collector and encoder together write what the client library writes of the same table."""
    assert exposed(of, fmt) == ENCODERS[fmt](Plain(of)).decode()


@pytest.mark.parametrize(
    ("fmt", "name"),
    [(Format.TEXT, "metrics.txt"), (Format.OPENMETRICS, "metrics.openmetrics.txt")],
)
def test_the_whole_exposition_is_as_agreed(fmt: Format, name: str) -> None:
    """Any change of a name, a help, a label or a value shows as a difference in a file.

    UPDATE_GOLDEN=1 in the environment writes the files anew, to be looked at before a commit.
    """
    text = exposed(full_snapshot(), fmt)
    for varying in (platform.python_version(), jupyter_kernel_exporter.__version__):
        text = text.replace(f'version="{varying}"', 'version="X.Y.Z"')
    golden = FIXTURES / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(text.encode())
    assert text == golden.read_bytes().decode()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's package prometheus")
@pytest.mark.parametrize("of", [snapshot(), full_snapshot()], ids=["empty", "full"])
def test_promtool_finds_nothing_to_say(of: Snapshot) -> None:
    """``promtool check metrics`` passes without a warning."""
    families = [*Collector().collect(of), *OwnProcess().collect()]
    check = subprocess.run(
        ["promtool", "check", "metrics"],
        input=Encoder().encode(families, Format.TEXT),
        capture_output=True,
        check=False,
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_openmetrics_can_be_parsed() -> None:
    """The client library's strict parser reads all of it back."""
    text = exposed(full_snapshot(), Format.OPENMETRICS)
    parsed = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert len(parsed) == len(METRICS)
    assert sum(len(family.samples) for family in parsed) == len(
        [s for m in METRICS for s in readings(m, full_snapshot()) if s[1] is not None]
    )


@pytest.mark.parametrize("of", [full_snapshot(), crowd(200)], ids=["full", "crowd"])
def test_no_series_is_there_twice(of: Snapshot) -> None:
    """Kernel ids are unique, hence so is every series."""
    counts = Counter(series(exposed(of)))
    assert [name for name, count in counts.items() if count > 1] == []


def test_what_is_not_known_gives_no_sample() -> None:
    """A value that could not be read is left out: it is not 0."""
    families = by_name(snapshot(live("bare")))
    unknown = ["peak_rss_bytes", "swap_bytes", "pss_bytes", "limit_bytes", "headroom_bytes"]
    for name in [f"jupyter_kernel_memory_{rest}" for rest in unknown] + [
        "jupyter_kernel_open_fds",
        "jupyter_kernel_oom_score",
        "jupyter_kernel_io_bytes_total",
        "jupyter_kernel_io_wait_seconds_total",
        "jupyter_kernel_last_activity_timestamp_seconds",
        "jupyter_kernel_busy_seconds_total",
        "jupyter_kernel_gpu_memory_bytes",
    ]:
        assert (families[name].labels, families[name].values) == ([], [])
    assert families["jupyter_kernel_memory_rss_bytes"].values == [128 << 20]


def test_a_kernel_without_a_value_does_not_shift_the_others() -> None:
    """Where one of three kernels has no value, the other two keep theirs."""
    family = by_name(
        snapshot(live("a", open_fds=1), live("b"), live("c", open_fds=3)),
    )["jupyter_kernel_open_fds"]
    assert family.labels == [
        '{kernel_id="a",username="ada"}',
        '{kernel_id="c",username="ada"}',
    ]
    assert family.values == [1, 3]


def test_one_state_is_1() -> None:
    """All four states are there, and the present one is 1."""
    family = by_name(snapshot(live("a", state=State.BUSY)))["jupyter_kernel_state"]
    assert dict(zip(family.labels, family.values, strict=True)) == {
        f'{{kernel_id="a",state="{state}",username="ada"}}': int(state == "busy")
        for state in ("starting", "idle", "busy", "unknown")
    }


def test_limits_come_with_their_scope() -> None:
    """Limit and headroom have a series for each scope that is known."""
    limits = (MemoryLimit(Scope.CGROUP, 200, 50), MemoryLimit(Scope.HOST, 900, 300))
    families = by_name(snapshot(live("a", limits=limits)))
    for name, values in (("limit", [200, 900]), ("headroom", [50, 300])):
        family = families[f"jupyter_kernel_memory_{name}_bytes"]
        assert family.values == values
        assert family.labels == [
            '{kernel_id="a",scope="cgroup",username="ada"}',
            '{kernel_id="a",scope="host",username="ada"}',
        ]


def test_live_kernels_are_counted_by_owner_and_kernelspec() -> None:
    """Two kernels of one person and kernelspec are one series with the value 2."""
    family = by_name(
        snapshot(
            live("a", kernel_name="ir"),
            live("b", kernel_name="ir"),
            live("c", kernel_name="ir", username="grace"),
        )
    )["jupyter_kernels"]
    assert dict(zip(family.labels, family.values, strict=True)) == {
        '{kernel_name="ir",username="ada"}': 2,
        '{kernel_name="ir",username="grace"}': 1,
    }


def test_series_of_a_kernel_that_is_gone_vanish() -> None:
    """Nothing of a kernel is left in the next exposition, nor in the collector."""
    collector = Collector()
    list(collector.collect(snapshot(live("gone"), live("stays"))))
    after = Encoder().encode(collector.collect(snapshot(live("stays"))), Format.TEXT)
    assert b"gone" not in after
    assert list(collector._known) == ["stays"]


def test_label_text_is_made_once_for_a_kernel() -> None:
    """While the Kernel is the same object its label text is, too; a changed one gets a new text."""
    collector = Collector()
    one = live("a", notebook="old.ipynb")

    def label_texts(kernel: Kernel) -> list[str]:
        families = collector.collect(snapshot(one._replace(kernel=kernel)))
        return [family.labels[0] for family in families if family.name == "jupyter_kernel_info"]

    first = label_texts(one.kernel)
    assert label_texts(one.kernel)[0] is first[0]
    assert "new.ipynb" in label_texts(replace(one.kernel, notebook="new.ipynb"))[0]


def test_a_row_more_is_a_metric_more() -> None:
    """A new metric needs a row of the table and nothing else, whatever its label sorts beside."""
    rows = [
        SplitMetric(f"jupyter_kernel_{label}", Kind.GAUGE, "X.", label, lambda _: [("v", 1)])
        for label in ("a", "m", "z")
    ]
    text = Encoder().encode(Collector(rows).collect(snapshot(live("k"))), Format.TEXT).decode()
    assert series(text) == [
        'jupyter_kernel_a{a="v",kernel_id="k",username="ada"}',
        'jupyter_kernel_m{kernel_id="k",m="v",username="ada"}',
        'jupyter_kernel_z{kernel_id="k",username="ada",z="v"}',
    ]


def test_sources_and_skipped_files_are_said_of_the_exporter() -> None:
    """What the exporter says of itself carries no kernel's labels."""
    families = by_name(full_snapshot())
    prefix = "jupyter_kernel_exporter_"
    assert families[prefix + "source_up"].labels == ['{source="proc"}', '{source="environ"}']
    assert families[prefix + "source_up"].values == [1, 0]
    assert families[prefix + "source_duration_seconds"].values == [0.0125, 0.5]
    assert families[prefix + "sample_lag_seconds"].labels == [""]
    skipped = families[prefix + "connection_files_skipped_total"]
    assert skipped.labels == ['{cause="empty"}', '{cause="malformed"}']
    assert skipped.values == [0, 3]
