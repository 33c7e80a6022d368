"""Rows -> lines of a width."""

import pytest

from jupyter_kernel_exporter.terminal.table import Cell, Column, render
from jupyter_kernel_exporter.terminal.text import Colour, width

COLUMNS = (Column("WHO", 4), Column("N", right=True))


def cells(*texts: str) -> tuple[Cell, ...]:
    """A row without colours."""
    return tuple(Cell(text) for text in texts)


def test_as_wide_as_it_needs_to_be() -> None:
    """Columns are as wide as what is in them, numbers stand at the right."""
    rows = [cells("ada", "7"), cells("grace hopper", "1000")]
    assert render(COLUMNS, rows, 80, colour=False) == [
        "WHO              N",
        "ada              7",
        "grace hopper  1000",
    ]


@pytest.mark.parametrize("room", [40, 20, 12])
def test_the_widest_gives_way(room: int) -> None:
    """No line is longer than there is room, while columns can give."""
    lines = render(COLUMNS, [cells("x" * 100, "1000")], room, colour=False)
    assert all(width(line) <= room for line in lines)
    assert lines[1].endswith("1000")


def test_least_widths_are_kept() -> None:
    """Where there is no room at all the lines grow longer, and are still of use."""
    lines = render(COLUMNS, [cells("x" * 100, "1000")], 5, colour=False)
    assert lines[1] == "xxx…  1000"


def test_colours_take_no_room() -> None:
    """A line has the same text with and without."""
    row = [Cell("ada", Colour.BAD), Cell("7")]
    (_, line) = render(COLUMNS, [row], 80, colour=True)
    assert line == "\x1b[31mada\x1b[0m  7"


def test_hostile_names() -> None:
    """A name cannot move the cursor or begin a line."""
    (_, line) = render(COLUMNS, [cells("a\n\x1b[2Jb", "1")], 80, colour=False)
    assert line == "a??[2Jb  1"
