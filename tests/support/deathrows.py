"""Deaths to be remembered, for tests."""

from typing import Any

from jupyter_kernel_exporter.publish.deathrow import DeathRow, Identity


def death(number: int, **more: Any) -> DeathRow:
    """A death with a process of its own, ``number`` seconds into 2001."""
    fields: dict[str, Any] = {
        "process": Identity("boot-1", 1000 + number, number),
        "kernel_id": f"k-{number}",
        "username": "eva",
        "kernel_name": "python3",
        "reason": "segfault",
        "rule": "segfault",
        "because": "the process received SIGSEGV",
        "certain": True,
        "ended_at": 978_307_200.0 + number,
    }
    return DeathRow(**(fields | more))
