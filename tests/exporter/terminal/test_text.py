"""What a terminal can show."""

import io

import pytest

from jupyter_kernel_exporter.terminal.text import Colour, fit, paint, plain, wants_colour, width


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("💥", 2), ("ä", 1)],
)
def test_width(text: str, columns: int) -> None:
    """Wide characters take two columns, those that combine none."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "right", "fitted"),
    [
        ("abc", 5, False, "abc  "),
        ("abc", 5, True, "  abc"),
        ("abcdef", 4, False, "abc…"),
        ("日本語", 4, False, "日… "),
        ("日本語", 5, False, "日本…"),
        ("abc", 3, False, "abc"),
    ],
)
def test_fit(text: str, columns: int, right: bool, fitted: str) -> None:
    """Exactly as wide as asked for."""
    assert fit(text, columns, right=right) == fitted
    assert width(fitted) == columns


def test_nothing_to_be_obeyed() -> None:
    """No escape sequence, line break or change of direction comes through."""
    assert plain("a\x1b[31m\r\n\t\u202e\x9bb") == "a?[31m?????b"


def test_colour_only_where_it_is_wanted() -> None:
    """On a terminal, unless asked not to."""
    assert wants_colour(Terminal(), {})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})


def test_paint() -> None:
    """A colour ends where it began."""
    assert paint("x", Colour.BAD) == "\x1b[31mx\x1b[0m"
    assert paint("x", Colour.NONE) == "x"
