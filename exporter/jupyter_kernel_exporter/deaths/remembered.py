"""A dossier as it is written down, so that the next daemon knows who was alive: plain JSON.

No more than is needed to explain an end and to give it its labels. Neither keys nor tokens are
among it, and nothing of a cell.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jupyter_kernel_exporter.deaths.dossier import Dossier
from jupyter_kernel_exporter.model import Kernel, ProcessId

OF_THE_KERNEL = tuple(field.name for field in fields(Kernel) if field.name != "process")
PROCESSES = ("parent", "wrapper", "server")
PLAIN = ("file", "server_file", "cpu_limit_seconds", "stillborn")


def to_text(dossier: Dossier) -> str:
    """What is remembered of a living kernel; its process is not part of it."""
    kernel = {name: getattr(dossier.kernel, name) for name in OF_THE_KERNEL}
    around = {name: getattr(dossier, name) for name in (*PROCESSES, *PLAIN)}
    return json.dumps({"kernel": kernel, **around}, separators=(",", ":"))


def from_text(process: ProcessId, text: str) -> Dossier:
    """The dossier of a process; raises :exc:`ValueError` for a text that is none."""
    try:
        facts: Mapping[str, Any] = json.loads(text)
        kernel = Kernel(process=process, **facts["kernel"])
        around = {name: facts[name] for name in PLAIN}
        for name in PROCESSES:
            around[name] = None if facts[name] is None else ProcessId(*facts[name])
    except (LookupError, TypeError) as error:
        raise ValueError(f"nothing that was remembered of a kernel: {text[:80]!r}") from error
    return Dossier(kernel, **around)
