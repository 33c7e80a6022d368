"""The nouns of the doctor: a probe, what it saw, and what that means."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from jupyter_kernel_exporter.doctor.site import Site


class Works(StrEnum):
    """Whether a source works here."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    NOT_HERE = "not here"
    """There is nothing to read, and so nothing is lost."""


class Seen(NamedTuple):
    """What a probe that worked has seen, as sentences without a full stop."""

    says: str
    less: str = ""
    """What it does not give, if anything."""
    absent: bool = False
    """There is nothing of its kind on this machine."""


class Probe(NamedTuple):
    """One thing to try."""

    source: str
    gives: str
    without: str
    """What is lost where it does not work."""
    remedy: str
    try_it: Callable[[Site], Seen]
    """Raises :exc:`.Unavailable` with a sentence where there is nothing to be had."""
    capabilities: tuple[str, ...] = ()
    """What gives all of it to a daemon that is not root."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe and how it went."""

    probe: Probe
    enabled: bool
    """Whether the daemon would use the source."""
    works: Works
    says: str
    less: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found."""

    linux: str
    uid: int
    capabilities: frozenset[str]
    """In effect, of those that matter here."""
    kernels: int
    """Found alive."""
    tried_on: tuple[int, ...]
    """Pids of the kernels and other users' processes that were tried."""
    blind: bool
    """Whether no kernel could be seen."""
    findings: tuple[Finding, ...]
    node: tuple[Finding, ...]

    @property
    def missing_capabilities(self) -> dict[str, list[str]]:
        """The capabilities that would give more, each with the sources that it is for."""
        missing: dict[str, list[str]] = {}
        held = set(self.capabilities)
        if "CAP_DAC_OVERRIDE" in held:  # all of the other, and more
            held.add("CAP_DAC_READ_SEARCH")
        for finding in self.findings:
            if finding.enabled and finding.works in (Works.PARTLY, Works.NO):
                for name in finding.probe.capabilities:
                    if name not in held:
                        missing.setdefault(name, []).append(finding.probe.source)
        return missing
