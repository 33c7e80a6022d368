"""The hub at a glance: the state of things first, then who causes it."""

from dashboards.house import board
from dashboards.sdk import dashboard

from dashboards import health, kernels, numbers

UID = "jupyter-kernels-overview"


def build() -> dashboard.Dashboard:
    """The dashboard, from the state of things to its causes."""
    hub = board(UID, "Jupyter kernels", "Who holds what on each host, and who runs out next.")
    for panel in (
        numbers.kernel_count(),
        numbers.busy_count(),
        numbers.memory_held(),
        numbers.processors_used(),
        numbers.tightest(),
        health.exporters_up(),
        kernels.kernels_by_memory(),
        kernels.memory_by_kernel(),
        kernels.processors_by_kernel(),
        kernels.share_of_limit(),
        kernels.headroom(),
        kernels.states(),
        kernels.memory_by_user(),
        kernels.idle_memory(),
    ):
        hub.with_panel(panel)
    hub.with_row(dashboard.Row("The exporter itself"))
    for panel in (health.sources(), health.sample_duration(), health.skipped_files()):
        hub.with_panel(panel)
    return hub
