"""What works here, what is lost without what does not, and how to get it. Nothing is changed.

The room reads in this order:

* ``probe``      the nouns: a probe, what it saw, the finding
* ``site``       what is there to try on: kernels, other users' processes
* ``processes``  probes of processes and their files
* ``machine``    probes of the machine: memory, cgroups, GPUs, the state directory
* ``ends``       probes of what tells of ends: log, events, pidfds, iopub
* ``node``       settings of the node by which one kernel's end is that of a whole server
* ``table``      every source once: what it gives, what is lost without it, what it takes
* ``report``     findings as text for people and JSON for machines

Every probe tries the very thing that the daemon does: the same functions, with the same rights.
So run it as the daemon runs: the same user and capabilities, in the same container.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jupyter_kernel_exporter.doctor import report
from jupyter_kernel_exporter.doctor.probe import Examination, Finding, Probe, Seen, Works
from jupyter_kernel_exporter.doctor.site import Site, survey
from jupyter_kernel_exporter.doctor.table import NODE_PROBES, PROBES
from jupyter_kernel_exporter.linux.capabilities import read_capabilities
from jupyter_kernel_exporter.settings import ALWAYS_ON, SOURCES, Settings
from jupyter_kernel_exporter.sources import Sources
from jupyter_kernel_exporter.terminal.text import plain, wants_colour

DEADLINE_SECONDS = 5.0
"""For one probe: a home on a server that is gone must not hold up all others."""


def doctor(settings: Settings, options: Mapping[str, Any]) -> int:
    """Print what works here, with ``json`` for machines. The exit status: 1 if it is blind."""
    with _quiet():
        examination = examine(settings)
    if options["json"]:
        print(report.as_json(examination))
    else:
        print(report.as_text(examination, colour=wants_colour(sys.stdout, os.environ)))
    return 1 if examination.blind else 0


def examine(settings: Settings) -> Examination:
    """Try everything once."""
    names = [probe.source for probe in (*PROBES, *NODE_PROBES)]
    sources = Sources(names)
    sources.begin()
    site = sources.run_within(2 * DEADLINE_SECONDS, ALWAYS_ON, survey, settings)
    if site is None:  # what needs no process may work nevertheless
        site = Site(settings, os.geteuid(), read_capabilities())
    seen: dict[str, Seen] = {}
    for probe in (*PROBES, *NODE_PROBES):
        result = sources.run_within(DEADLINE_SECONDS, probe.source, probe.try_it, site)
        if result is not None:
            seen[probe.source] = result
    problems = {status.name: status.problem for status in sources.end()}
    off = {source.name for source in SOURCES} - set(settings.sources)

    def find(probe: Probe) -> Finding:
        name = probe.source
        return judge(probe, name not in off, seen.get(name), problems[name])

    findings = tuple(find(probe) for probe in PROBES)
    return Examination(
        linux=os.uname().release,
        uid=site.uid,
        capabilities=site.capabilities,
        kernels=len(site.kernels),
        tried_on=tuple(subject.process.pid for subject in site.subjects),
        blind=findings[0].works is Works.NO,
        findings=findings,
        node=tuple(find(probe) for probe in NODE_PROBES),
    )


def judge(probe: Probe, enabled: bool, seen: Seen | None, problem: str) -> Finding:
    """What a probe's result means."""
    if problem or seen is None:
        return Finding(probe, enabled, Works.NO, plain(problem))
    works = Works.NOT_HERE if seen.absent else Works.PARTLY if seen.less else Works.YES
    return Finding(probe, enabled, works, plain(seen.says), plain(seen.less))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What would be logged is in the report."""
    log = logging.getLogger("jupyter_kernel_exporter")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
