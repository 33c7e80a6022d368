"""A death as it is remembered, and what it adds to the counters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Identity(NamedTuple):
    """A process for good: ticks count from a boot, so the boot belongs to it."""

    boot_id: str
    """``/proc/sys/kernel/random/boot_id``."""
    pid: int
    start_ticks: int


class CounterKey(NamedTuple):
    """One series of a counter."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """Names and values, sorted by name."""


def counter_key(name: str, labels: Mapping[str, str]) -> CounterKey:
    """The series of a counter with these labels, in whatever order."""
    return CounterKey(clean(name), tuple((clean(k), clean(v)) for k, v in sorted(labels.items())))


def clean(text: str) -> str:
    """Text that can be stored: bytes of a path that are no UTF-8 are written as ``\\udc..``."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class DeathRow:
    """One death. Holds neither keys nor tokens nor anything of a cell."""

    process: Identity
    kernel_id: str
    username: str
    kernel_name: str
    reason: str
    rule: str
    """The rule of the decision table that held."""
    because: str
    """One sentence for people."""
    certain: bool
    ended_at: float
    """Seconds since the epoch."""
    status: str | None = None
    """``exit 3``, ``SIGSEGV``, …; ``None`` if nobody could tell."""
    started_at: float | None = None
    notebook: str = ""
    server: str = ""
    container: str = ""
    last_rss_bytes: int | None = None
    last_limit_bytes: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What was there; JSON."""
    missing: tuple[str, ...] = ()
    """Sources that could not be asked."""
