"""What the benchmark found, beside what was promised."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """Whether a promise is kept."""

    PASS = "pass"
    MISS = "MISS"
    NONE = ""


class Row(NamedTuple):
    """One measure of both exporters. Times in seconds, memory in bytes."""

    shape: str
    measure: str
    unit: str
    """``ms``, ``MiB`` or empty for a plain number."""
    ours: float
    peer: float | None = None
    most_ratio: float | None = None
    """The promise: ours is at most this share of the peer's."""
    most: float | None = None
    """The promise: ours is at most this, in the row's unit."""

    @property
    def ratio(self) -> float | None:
        """Ours as a share of the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def verdict(self) -> Verdict:
        """Whether this row keeps what it promises."""
        if self.most_ratio is not None:
            kept = self.ratio is not None and self.ratio <= self.most_ratio
        elif self.most is not None:
            kept = scaled(self.ours, self.unit) <= self.most
        else:
            return Verdict.NONE
        return Verdict.PASS if kept else Verdict.MISS

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        if self.most_ratio is not None:
            target = f"<= {fraction(self.most_ratio)}"
        elif self.most is not None:
            target = f"<= {self.most:g} {self.unit}".rstrip()
        else:
            target = ""
        return (
            self.shape,
            self.measure,
            number(self.ours, self.unit),
            "" if self.peer is None else number(self.peer, self.unit),
            "" if self.ratio is None else fraction(self.ratio),
            target,
            self.verdict,
        )


HEADER = ("shape", "measure", "ours", "process-exporter", "ratio", "target", "")
NUMBERS = range(2, 5)
"""Columns that are set flush right."""


def scaled(value: float, unit: str) -> float:
    """A value in the unit that is shown."""
    return value * {"ms": 1e3, "MiB": 1 / 2**20, "": 1.0}[unit]


def number(value: float, unit: str) -> str:
    """A value as people read it.

    >>> number(0.01234, "ms"), number(61 * 2**20, "MiB")
    ('12.3 ms', '61.0 MiB')
    """
    shown = scaled(value, unit)
    digits = 1 if shown >= 10 else 2
    return f"{shown:.{digits}f} {unit}".rstrip()


def fraction(ratio: float) -> str:
    """A share as one by so much.

    >>> fraction(0.05), fraction(2.5)
    ('1/20', '2.5')
    """
    return f"1/{1 / ratio:.3g}" if 0 < ratio < 1 else f"{ratio:.3g}"


def render(rows: Sequence[Row]) -> str:
    """All rows as a table for the terminal."""
    table = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
    lines = []
    for line in table:
        cells = [
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def growth(costs: Sequence[tuple[int, float]]) -> float:
    """How the price of one more kernel rises with their number: 1 where cost grows linearly.

    ``costs`` are three numbers of kernels, rising, each with its cost. What a kernel adds between
    the second and the third, by what one adds between the first and the second: fixed costs fall
    out. Were each kernel compared with each other, 100, 300 and 1,000 kernels would give 3.25.
    """
    (n1, c1), (n2, c2), (n3, c3) = costs
    return ((c3 - c2) / (n3 - n2)) / ((c2 - c1) / (n2 - n1))
