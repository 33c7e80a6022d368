"""What this process may do: its effective capabilities, ``CapEff`` of ``/proc/self/status``.

    CapEff:	0000000000080000        bit 19: CAP_SYS_PTRACE

The numbers are those of ``linux/capability.h``; only capabilities that matter here have a name.
"""

from collections.abc import Mapping
from types import MappingProxyType

CAPABILITIES: Mapping[str, int] = MappingProxyType(
    {
        "CAP_DAC_OVERRIDE": 1,
        "CAP_DAC_READ_SEARCH": 2,
        "CAP_KILL": 5,
        "CAP_NET_ADMIN": 12,
        "CAP_SYS_PTRACE": 19,
        "CAP_SYS_ADMIN": 21,
        "CAP_SYS_RESOURCE": 24,
        "CAP_SYSLOG": 34,
        "CAP_PERFMON": 38,
    }
)


def parse_capabilities(text: str) -> frozenset[str]:
    """The names of those that are in effect; raises :exc:`ValueError` for a text without them."""
    _, found, rest = text.partition("\nCapEff:")
    if not found:
        raise ValueError("/proc/self/status: no CapEff")
    held = int(rest.split(None, 1)[0], 16)
    return frozenset(name for name, bit in CAPABILITIES.items() if held >> bit & 1)


def read_capabilities() -> frozenset[str]:
    """What this process itself may do, in its user namespace."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return parse_capabilities(file.read())
