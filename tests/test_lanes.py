"""Two lanes of tests, and one exit status."""

import pytest

from lanes import worse


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (0, 5, 0), (5, 5, 5), (5, 1, 1), (2, 1, 2), (0, -9, 1)],
)
def test_a_fault_of_either_counts(one: int, other: int, both: int) -> None:
    """Nothing to run is a fault only if there was nothing in both."""
    assert worse(one, other) == worse(other, one) == both
