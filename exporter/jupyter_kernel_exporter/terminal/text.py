"""Text for a terminal: how wide it is, whether it may have colour, and nothing to be obeyed."""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO


class Colour(StrEnum):
    """What colours mean here; the values are those of ECMA-48 (select graphic rendition)."""

    BAD = "31"
    TIGHT = "33"
    GOOD = "32"
    FAINT = "2"
    NONE = ""


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to print in colour: on a terminal, unless asked not to (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour) -> str:
    """A text in a colour."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def plain(text: str) -> str:
    """Without what a terminal would obey: names of notebooks and cgroups are chosen by users."""
    return "".join(character if character.isprintable() else "?" for character in text)


def width(text: str) -> int:
    """Columns that a text takes: two for wide characters, none for those that combine."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, columns: int, *, right: bool = False) -> str:
    """A text in exactly so many columns: cut with an ellipsis, or filled up with spaces."""
    if width(text) > columns:
        kept, room = "", columns - 1
        for character in text:
            room -= _width(character)
            if room < 0:
                break
            kept += character
        text = f"{kept}\N{HORIZONTAL ELLIPSIS}"
    filling = " " * (columns - width(text))
    return filling + text if right else text + filling
