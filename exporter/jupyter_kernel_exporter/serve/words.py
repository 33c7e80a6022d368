"""Numbers as the page writes them for people. ``static/page.js`` does the same; a test compares."""

import math

UNKNOWN = "\N{EN DASH}"

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def number(value: float) -> str:
    """One digit after the point below 100, none above: ``1.2``, ``2``, ``340``."""
    if value >= 100:
        return str(math.floor(value + 0.5))
    return f"{math.floor(value * 10 + 0.5) / 10:g}"


def size(count: int) -> str:
    """Bytes: ``512 MiB``, ``1.2 GiB``, ``2 GiB``."""
    value = float(count)
    unit = 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    # Tenths of a mebibyte only make the page restless.
    text = number(value) if unit >= _UNITS.index("GiB") else str(math.floor(value + 0.5))
    return f"{text} {_UNITS[unit]}"


def cores(value: float | None) -> str:
    """Processors in use."""
    return UNKNOWN if value is None else number(value)


def growth(bytes_per_second: float | None) -> str:
    """Memory per minute, the unit in which people wait: ``+24 MiB/min``, ``steady``."""
    if bytes_per_second is None:
        return UNKNOWN
    mebibytes = abs(bytes_per_second) * 60 / (1 << 20)
    if mebibytes < 0.1:
        return "steady"
    sign = "+" if bytes_per_second > 0 else "\N{MINUS SIGN}"
    if mebibytes >= 1024:
        return f"{sign}{number(mebibytes / 1024)} GiB/min"
    return f"{sign}{number(mebibytes)} MiB/min"


def pace(bytes_per_second: float | None, bytes_left: int | None) -> str:
    """When a growth would reach the limit: ``limit in 12 min``; empty for one beyond a day."""
    if bytes_per_second is None or bytes_left is None or growth(bytes_per_second)[0] != "+":
        return ""
    seconds = bytes_left / bytes_per_second
    return f"limit in {duration(seconds)}" if seconds < 86400 else ""


def duration(seconds: float) -> str:
    """A span of time: ``45 s``, ``12 min``, ``3 h 12 min``, ``4 d 3 h``."""
    minutes = max(0, math.floor(seconds / 60))
    hours, days = minutes // 60, minutes // 1440
    if minutes < 1:
        return f"{max(0, math.floor(seconds))} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
