"""The hub at a glance: who runs out next, who holds what, what died, whether to believe it."""

from dashboards.board import board, row
from dashboards.reasons import TROUBLE
from dashboards.sdk import dashboard

from dashboards import ends, health, kernels, numbers


def build() -> dashboard.Dashboard:
    """From the state of things to its causes."""
    hub = board(
        "overview",
        "Who runs out of memory next, who holds what, and what died and why.",
        "username",
    )
    for panel in (
        numbers.kernel_count(),
        numbers.busy_count(),
        numbers.memory_held(),
        numbers.idle_total(),
        numbers.processors_used(),
        numbers.soonest(),
        numbers.troubled_deaths(),
        numbers.exporters_up(),
    ):
        hub.with_panel(panel)
    row(hub, "Who runs out next", kernels.nearest_to_limits(), kernels.room_over_time())
    row(
        hub,
        "Who holds what",
        kernels.memory_by_kernel(),
        kernels.growth_by_kernel(),
        kernels.states(),
        kernels.memory_by_user(),
        kernels.idle_memory(),
        kernels.kernels_by_memory(),
    )
    row(
        hub,
        "What died",
        ends.deaths_by_reason(TROUBLE).span(10),
        ends.latest_deaths(),
    )
    row(
        hub,
        "Alerts, restarts, and whether to believe all this",
        health.alerts(),
        ends.restarts().span(6).height(9),
        health.sources().span(6),
    )
    return hub
