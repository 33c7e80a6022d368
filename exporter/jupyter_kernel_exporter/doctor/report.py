"""Findings as text of 80 columns for people, and as JSON for machines. Pure."""

import json
import textwrap
from collections.abc import Mapping, Sequence

from jupyter_kernel_exporter import __version__
from jupyter_kernel_exporter.doctor.probe import Examination, Finding, Works
from jupyter_kernel_exporter.terminal.text import Colour, paint

WIDTH = 80
_COLOURS: Mapping[Works, Colour] = {
    Works.YES: Colour.GOOD,
    Works.PARTLY: Colour.TIGHT,
    Works.NO: Colour.BAD,
    Works.NOT_HERE: Colour.FAINT,
}
_NODE_WORDS: Mapping[Works, str] = {
    Works.YES: "fine",
    Works.PARTLY: "RISK",
    Works.NO: "unknown",
    Works.NOT_HERE: "not here",
}
_TROUBLE = (Works.PARTLY, Works.NO)
_HOW_TO_GIVE = (
    "A capability is given with AmbientCapabilities= (systemd), cap_add (docker, user 0) or"
    " securityContext.capabilities.add (Kubernetes, user 0)."
)


def as_text(examination: Examination, *, colour: bool) -> str:
    """A table of everything, then the details of what does not work."""
    rights = ", ".join(sorted(examination.capabilities)) or "none of those that matter here"
    lines = [
        f"linux {examination.linux}, uid {examination.uid}; kernels found: {examination.kernels}",
        *_wrap(f"capabilities: {rights}", ""),
        "",
    ]
    rows = [
        (f, f.works.value if f.enabled else f"{f.works.value} (off)") for f in examination.findings
    ]
    node = [(f, _NODE_WORDS[f.works]) for f in examination.node]
    lines += _table(("source", "works", "gives"), rows, colour)
    lines += ["", *_table(("this node", "is", "so that"), node, colour)]
    for finding in (*examination.findings, *examination.node):
        if finding.enabled and finding.works in _TROUBLE:
            lines += ["", *_details(finding)]
    missing = examination.missing_capabilities
    if missing:
        lines += ["", "Capabilities that would give more:"]
        for name, sources in sorted(missing.items()):
            lines += _wrap(f"{name:<20} {', '.join(sources)}", "  ", 21)
        lines += _wrap(_HOW_TO_GIVE, "")
    if examination.blind:
        lines += ["", "The exporter would be BLIND here: it would see no kernel at all."]
    return "\n".join(lines)


def _table(
    heads: tuple[str, str, str], rows: Sequence[tuple[Finding, str]], colour: bool
) -> list[str]:
    width = max(len(finding.probe.source) for finding, _ in rows)
    states = max(len(state) for _, state in rows)
    room = WIDTH - width - states - 4
    lines = [f"{heads[0]:<{width}}  {heads[1]:<{states}}  {heads[2]}"]
    for finding, state in rows:
        cell = f"{state:<{states}}"
        if colour:
            cell = paint(cell, _COLOURS[finding.works])
        absent = finding.works is Works.NOT_HERE
        first, *more = textwrap.wrap(finding.says if absent else finding.probe.gives, room)
        lines.append(f"{finding.probe.source:<{width}}  {cell}  {first}")
        lines += [" " * (width + states + 4) + line for line in more]
    return lines


def _details(finding: Finding) -> list[str]:
    probe = finding.probe
    why = finding.less or finding.says
    return [
        f"{probe.source}",
        *_row("here", why),
        *_row("without", probe.without),
        *_row("remedy", probe.remedy),
    ]


def _row(name: str, text: str) -> list[str]:
    return _wrap(f"{name:<8} {text}", "  ", 9)


def _wrap(text: str, indent: str, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(examination: Examination) -> str:
    """One object; the names are stable."""
    return json.dumps(
        {
            "version": __version__,
            "linux": examination.linux,
            "uid": examination.uid,
            "capabilities": sorted(examination.capabilities),
            "missing_capabilities": examination.missing_capabilities,
            "kernels": examination.kernels,
            "tried_on": list(examination.tried_on),
            "blind": examination.blind,
            "sources": [_as_object(finding) for finding in examination.findings],
            "node": [_as_object(finding) for finding in examination.node],
        },
        indent=2,
    )


def _as_object(finding: Finding) -> dict[str, object]:
    probe = finding.probe
    return {
        "name": probe.source,
        "enabled": finding.enabled,
        "works": finding.works.value,
        "says": finding.says,
        "less": finding.less,
        "gives": probe.gives,
        "without": probe.without,
        "remedy": probe.remedy,
        "capabilities": list(probe.capabilities),
    }
