"""When a sample no longer counts as the present."""

import pytest

from jupyter_kernel_exporter.serve.health import stale_after_seconds, staleness
from jupyter_kernel_exporter.settings import resolve
from support.snapshots import NOW, snapshot


@pytest.mark.parametrize(
    ("interval", "age", "stale"),
    [
        ("1", 0, False),
        ("1", 10, False),
        ("1", 10.5, True),
        ("0.05", 9, False),
        ("60", 299, False),
        ("60", 301, True),
        ("1", -3600, False),
    ],
)
def test_age(interval: str, age: float, stale: bool) -> None:
    """Stale is older than ten seconds and than five intervals; a clock set back is not stale."""
    settings = resolve({"sample.interval": interval}, {})
    problem = staleness(snapshot(), settings, NOW + age)
    assert (problem is not None) == stale
    assert stale_after_seconds(settings) == max(10, 5 * float(interval))


def test_nothing_yet() -> None:
    """Before the first sample there is nothing fresh."""
    assert staleness(None, resolve({}, {}), NOW) == "no sample has been taken yet"
