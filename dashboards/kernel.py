"""One kernel's story: how near its end is, how it came there, what it did, how it ended."""

from dashboards.ask import kernel
from dashboards.board import board, mark, row
from dashboards.house import RED
from dashboards.sdk import dashboard

from dashboards import ends, story, vitals


def build() -> dashboard.Dashboard:
    """From its present to its past."""
    one = board(
        "kernel",
        "One kernel: its memory against its limits with the forecast, its work, its deaths.",
        "username",
        "kernel",
    )
    one.annotation(
        mark(
            "Died",
            kernel("jupyter_kernel_last_death_timestamp_seconds"),
            "{{reason}}, {{status}}",
            RED,
        )
    )
    one.annotation(
        mark("Started", kernel("jupyter_kernel_start_time_seconds"), "a new process", "blue")
    )
    for panel in (
        vitals.state(),
        vitals.held(),
        vitals.room(),
        vitals.runs_out(),
        vitals.processors(),
        vitals.idle_for(),
        vitals.age(),
        vitals.restart_count(),
        vitals.identity(),
    ):
        one.with_panel(panel)
    row(one, "Memory", story.memory_against_limits(), story.headroom())
    row(
        one,
        "What it does",
        story.processors_over_time(),
        story.state_over_time(),
        story.children(),
        story.storage().span(12),
        story.waiting().span(12),
    )
    row(
        one,
        "What threatens it, and how it ended",
        story.forecast(),
        story.oom_score(),
        story.errors(),
        ends.the_dead(kernel).title("Its deaths").no_value("none known").height(6),
    )
    # Empty for most, so closed at first.
    one.with_row(dashboard.Row("GPUs").with_panel(story.gpu()))
    return one
