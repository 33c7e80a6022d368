"""The exporters: whether they answer, see everything, and keep up; what that costs."""

from dashboards.board import board, row
from dashboards.sdk import dashboard

from dashboards import cost, health, numbers


def build() -> dashboard.Dashboard:
    """From all exporters to each, then to their sources and their cost."""
    hub = board(
        "exporter",
        "Whether the exporters answer, what they cannot read, whether they keep up.",
    )
    for panel in (
        numbers.exporters_up().span(4),
        cost.watched(),
        health.sources_down(),
        cost.worst_sample(),
        cost.worst_lag(),
        health.unexplained(),
    ):
        hub.with_panel(panel)
    row(hub, "Host by host", health.exporters())
    row(
        hub,
        "What they can read",
        health.sources().height(8),
        health.source_history(),
        health.skipped_files(),
    )
    row(
        hub,
        "What it costs, and whether they keep up",
        cost.sample_duration().height(8),
        cost.sample_lag(),
        cost.source_durations(),
        cost.scrape_duration(),
        cost.kernels_by_host(),
    )
    return hub
