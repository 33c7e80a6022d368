"""What the exporters do, what it costs, and whether they keep up. A function for each panel."""

from dashboards.ask import hosts
from dashboards.house import (
    GREEN,
    ORANGE,
    RED,
    Panel,
    number,
    query,
    thresholds,
    timeseries,
)


def sample_duration() -> Panel:
    """What looking costs."""
    return (
        timeseries(
            "Time for one sample",
            "How long it takes to look at all kernels of a host, once a second. The five slowest "
            "hosts.",
            "s",
        )
        .height(9)
        .span(8)
        .with_target(
            query(
                f"topk(5, {hosts('jupyter_kernel_exporter_sample_duration_seconds')})",
                "{{instance}}",
            )
        )
    )


def sample_lag() -> Panel:
    """Whether it keeps up."""
    return (
        timeseries(
            "Lateness of samples",
            "How long after its due time the last sample began. Above a second samples are "
            "missed: the exporter gets too little processor time. The five latest hosts.",
            "s",
        )
        .height(8)
        .span(8)
        .with_target(
            query(f"topk(5, {hosts('jupyter_kernel_exporter_sample_lag_seconds')})", "{{instance}}")
        )
    )


def source_durations() -> Panel:
    """Which of them is slow."""
    return (
        timeseries(
            "Time for each source",
            "How long the slowest host took to read each source in its last sample.",
            "s",
        )
        .height(8)
        .span(8)
        .with_target(
            query(
                f"max by (source) ({hosts('jupyter_kernel_exporter_source_duration_seconds')})",
                "{{source}}",
            )
        )
    )


def scrape_duration() -> Panel:
    """What asking costs."""
    scrape = hosts("scrape_duration_seconds")
    build = hosts("jupyter_kernel_exporter_build_info")
    return (
        timeseries(
            "Time for one scrape",
            "How long Prometheus waited for each answer; the five slowest hosts. It gives up at "
            "its scrape timeout.",
            "s",
        )
        .height(8)
        .span(12)
        .with_target(query(f"topk(5, {scrape} and on (job, instance) {build})", "{{instance}}"))
    )


def kernels_by_host() -> Panel:
    """How much it has to watch."""
    return (
        timeseries(
            "Kernels by host",
            "How many kernels each exporter watches; the ten hosts that have most.",
            "none",
        )
        .decimals(0)
        .height(8)
        .span(12)
        .with_target(
            query(f"topk(10, sum by (instance) ({hosts('jupyter_kernels')}))", "{{instance}}")
        )
    )


def worst_lag() -> Panel:
    """Whether any of them is late."""
    return (
        number(
            "Latest sample",
            "How late the last sample of the slowest host began. From one second on samples are "
            "missed, and what happens in between is not seen.",
            "s",
        )
        .span(4)
        .thresholds(thresholds((None, GREEN), (0.5, ORANGE), (1, RED)))
        .with_target(query(f"max({hosts('jupyter_kernel_exporter_sample_lag_seconds')})", "lag"))
    )


def worst_sample() -> Panel:
    """How near it is to being late."""
    return (
        number(
            "Longest sample",
            "How long the slowest host took to look at all its kernels. It is due once a second: "
            "orange from a quarter of that.",
            "s",
        )
        .span(4)
        .thresholds(thresholds((None, GREEN), (0.25, ORANGE), (1, RED)))
        .with_target(
            query(f"max({hosts('jupyter_kernel_exporter_sample_duration_seconds')})", "sample")
        )
    )


def watched() -> Panel:
    """How much there is to do."""
    return (
        number("Kernels watched", "Live kernels on all chosen hosts.", "none")
        .span(4)
        .with_target(query(f"sum({hosts('jupyter_kernels')}) or vector(0)", "kernels"))
    )
