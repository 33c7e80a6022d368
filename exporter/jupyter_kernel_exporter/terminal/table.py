"""Rows -> lines of a given width. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from jupyter_kernel_exporter.terminal.text import Colour, fit, paint, plain, width

GAP = "  "


class Column(NamedTuple):
    """One column of a table."""

    head: str
    least: int = 0
    """Columns that it keeps where room is short; 0: all that it needs."""
    right: bool = False
    """Numbers stand at the right."""


class Cell(NamedTuple):
    """What stands in it."""

    text: str
    colour: Colour = Colour.NONE


def render(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, *, colour: bool
) -> list[str]:
    """The table in lines of at most ``room`` columns, as long as the least widths allow it."""
    texts = [[plain(cell.text) for cell in row] for row in rows]
    widths = [
        max([width(column.head), *(width(row[at]) for row in texts)])
        for at, column in enumerate(columns)
    ]
    _shrink(columns, widths, room - len(GAP) * (len(columns) - 1))
    head = [fit(c.head, w, right=c.right) for c, w in zip(columns, widths, strict=True)]
    lines = [GAP.join(head).rstrip()]
    for row, words in zip(rows, texts, strict=True):
        cells = [
            paint(fitted, cell.colour) if colour else fitted
            for cell, fitted in zip(
                row,
                (
                    fit(word, w, right=c.right)
                    for word, c, w in zip(words, columns, widths, strict=True)
                ),
                strict=True,
            )
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines


def _shrink(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Take from the widest of the columns that can give, until all fit."""
    while sum(widths) > room:
        giving = [at for at, c in enumerate(columns) if c.least and widths[at] > c.least]
        if not giving:
            return
        widths[max(giving, key=widths.__getitem__)] -= 1
