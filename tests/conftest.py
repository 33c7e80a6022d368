"""Two lanes: tests that mostly wait can run beside all others, in a process of their own."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Run only one of the lanes; ``make test`` runs both at a time."""
    parser.addoption("--lane", choices=("busy", "patient"), help="only tests of this lane")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other lane."""
    lane = config.getoption("--lane")
    if lane is None:
        return
    mine = [
        i for i in items if (i.get_closest_marker("patient") is not None) == (lane == "patient")
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
    items[:] = mine
