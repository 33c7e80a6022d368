"""People: who holds what, what their groups take, and what their notebooks would need."""

from dashboards.board import board, row
from dashboards.sdk import dashboard

from dashboards import numbers, people, sizing


def build() -> dashboard.Dashboard:
    """From all people to the single notebook."""
    hub = board(
        "users",
        "What people and groups hold and do, and which limits would suit their notebooks.",
        "username",
        span="24h",
    )
    for panel in (
        people.people_count(),
        people.kernels_each(),
        people.typical_memory(),
        people.largest_share(),
        numbers.idle_total().span(4),
        people.out_of_memory(),
    ):
        hub.with_panel(panel)
    row(
        hub,
        "Person by person",
        people.person_table(),
        people.memory_by_user(),
        people.processors_by_user(),
    )
    row(hub, "Right-sizing", sizing.right_sizing(), sizing.spec_peaks())
    row(hub, "Groups", people.memory_by_group(), people.processors_by_group())
    return hub
