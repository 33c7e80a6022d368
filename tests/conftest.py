"""Two lanes for pytest-xdist: tests that mostly wait run beside all others, one after the other."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that compute would disturb each other's clocks: they share one lane."""
    for item in items:
        lane = "patient" if item.get_closest_marker("patient") else "busy"
        item.add_marker(pytest.mark.xdist_group(lane))
