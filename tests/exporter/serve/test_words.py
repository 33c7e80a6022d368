"""Numbers as people read them."""

import pytest

from jupyter_kernel_exporter.serve.words import cores, duration, growth, number, pace, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.04, "0"),
        (0.05, "0.1"),
        (1.25, "1.3"),
        (2, "2"),
        (99.94, "99.9"),
        (340.5, "341"),
    ],
)
def test_number(value: float, text: str) -> None:
    """One digit after the point while it says something; halves go up."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "2 KiB"),
        (700 << 20, "700 MiB"),
        ((1 << 30) - 1, "1024 MiB"),
        (2 << 30, "2 GiB"),
        (5 << 28, "1.3 GiB"),
        (300 << 30, "300 GiB"),
        (3 << 40, "3 TiB"),
        (5000 << 50, "5000 PiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    """Binary units; tenths from GiB on."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d 0 h"),
        (40_000_000, "462 d 23 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Two units at most, rounded down."""
    assert duration(seconds) == text


def test_cores_not_known() -> None:
    """What is not known is a dash, not a 0."""
    assert cores(None) == "\N{EN DASH}"
    assert cores(0.0) == "0"


@pytest.mark.parametrize(
    ("mebibytes_a_minute", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "steady"),
        (-0.09, "steady"),
        (0.1, "+0.1 MiB/min"),
        (-5.04, "\N{MINUS SIGN}5 MiB/min"),
        (300.4, "+300 MiB/min"),
        (1024.0, "+1 GiB/min"),
        (-1e7, "\N{MINUS SIGN}9766 GiB/min"),
    ],
)
def test_growth(mebibytes_a_minute: float | None, text: str) -> None:
    """Per minute, with a sign; what nobody would notice is steady."""
    one = None if mebibytes_a_minute is None else mebibytes_a_minute * (1 << 20) / 60
    assert growth(one) == text


@pytest.mark.parametrize(
    ("growing", "left", "text"),
    [
        (1 << 20, 600 << 20, "limit in 10 min"),
        (1 << 20, 0, "limit in 0 s"),
        (1 << 20, 90000 << 20, ""),
        (100, 600 << 20, ""),
        (-(1 << 20), 600 << 20, ""),
        (None, 600 << 20, ""),
        (1 << 20, None, ""),
    ],
    ids=["minutes", "at it", "not today", "steady", "shrinking", "young", "no limit"],
)
def test_pace(growing: float | None, left: int | None, text: str) -> None:
    """Only where somebody may wish to know."""
    assert pace(growing, left) == text
