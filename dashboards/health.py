"""The exporter itself: whether the rest can be believed. A function for each panel."""

from dashboards.house import (
    GREEN,
    ORANGE,
    RED,
    Panel,
    exporters,
    number,
    query,
    thresholds,
    timeseries,
)
from dashboards.sdk import common_model
from dashboards.sdk import dashboard_model as model


def exporters_up() -> Panel:
    """Whether all this can be believed."""
    return (
        number(
            "Exporters that answer",
            "Share of the exporters that answered the last scrape. Nothing is known of the "
            "kernels of the others.",
            "percentunit",
        )
        .thresholds(thresholds((None, RED), (1, GREEN)))
        .no_value("none")
        .with_target(query(f"avg({exporters('up')})", "up"))
    )


def sources() -> Panel:
    """What it can read."""
    return (
        number(
            "Sources",
            "What the exporter reads. One that is down is missing from the metrics; its log says "
            "why.",
            "none",
        )
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.BACKGROUND)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        # Orange: some sources, such as delay accounting, are off on most machines.
        .thresholds(thresholds((None, ORANGE), (1, GREEN)))
        .mappings(
            [
                model.ValueMap(
                    options={
                        "0": model.ValueMappingResult(text="down"),
                        "1": model.ValueMappingResult(text="up"),
                    }
                )
            ]
        )
        .height(7)
        .span(8)
        .with_target(
            query(
                f"min by (source) ({exporters('jupyter_kernel_exporter_source_up')})",
                "{{source}}",
            ).instant()
        )
    )


def sample_duration() -> Panel:
    """What looking costs."""
    return (
        timeseries(
            "Time for one sample",
            "How long it takes to look at all kernels of a host. Late is how long after its due "
            "time a sample began: above zero the exporter gets too little CPU.",
            "s",
        )
        .height(7)
        .span(8)
        .with_target(
            query(exporters("jupyter_kernel_exporter_sample_duration_seconds"), "{{instance}}")
        )
        .with_target(
            query(exporters("jupyter_kernel_exporter_sample_lag_seconds"), "{{instance}} late", "B")
        )
    )


def skipped_files() -> Panel:
    """What it passes over."""
    skipped = exporters("jupyter_kernel_exporter_connection_files_skipped_total")
    return (
        timeseries(
            "Connection files passed over",
            "Files in runtime directories that are no connection files: half-written, of another "
            "owner, too large, or made to deceive.",
            "none",
        )
        .no_value("none")
        .height(7)
        .span(8)
        .with_target(
            query(
                f"sum by (instance, cause) (increase({skipped}[$__rate_interval]))",
                "{{instance}} · {{cause}}",
            )
        )
    )
