"""What linux says in the log when a program breaks a rule of the processor (x86).

arch/x86/mm/fault.c and kernel/traps.c:

    python3[9872]: segfault at 0 ip 00007f0d91185ad8 sp 00007f0d90a276f8 error 4 in libc.so.6[...]
    traps: python3[9923] general protection fault ip:55c6ee617238 sp:7ffcf3e50070 error:0 in f[...]

The number is the *thread's* id. There is no such line if the signal was sent by kill(2), if a
handler is there to take it (faulthandler), with the sysctl ``debug.exception-trace`` off, and for
most of many in 5 s: it adds a detail where it is there, and proves nothing where it is not.
"""

import re
from typing import NamedTuple

from jupyter_kernel_exporter.linux.kmsg import Record

STACK_REACH = 64 << 10
"""A fault so close to the stack pointer, in bytes, means that there is no stack there any more."""


class Fault(NamedTuple):
    """A fault that linux answered with a signal."""

    tid: int
    """The thread, in the first pid namespace; ``/proc/PID/task`` says whose, while it lives."""
    comm: str
    """The thread's name, which is not always that of the process."""
    what: str
    """``segfault``, ``general protection fault``, ``trap divide error``..."""
    address: int | None
    """What could not be read, written or run; linux tells it of a segfault only."""
    instruction: int
    stack: int
    mapping: str | None
    """Name of the file that the instruction was in; ``None`` for none."""
    at: float
    """On the clock of :class:`.kmsg.Record`."""

    @property
    def stack_overflow(self) -> bool:
        """Whether the stack was used up, by endless recursion mostly."""
        return self.address is not None and abs(self.address - self.stack) <= STACK_REACH


# The first place that fits counts: names of processes are too short to look like the rest.
_SEGFAULT = re.compile(
    r"(?P<comm>.*?)\[(?P<tid>\d+)\]: (?P<what>segfault) at (?P<address>[0-9a-f]+)"
    r" ip (?P<ip>[0-9a-f]+) sp (?P<sp>[0-9a-f]+) error [0-9a-f]+",
    re.DOTALL,
)
_TRAP = re.compile(
    r"traps: (?P<comm>.*?)\[(?P<tid>\d+)\] (?P<what>[a-z0-9 ]+)"
    r" ip:(?P<ip>[0-9a-f]+) sp:(?P<sp>[0-9a-f]+) error:[0-9a-f]+",
    re.DOTALL,
)
_MAPPING = re.compile(r" in (?P<name>.*)\[[0-9a-f]+(?:,[0-9a-f]+)?\+[0-9a-f]+\]", re.DOTALL)


def parse_fault(record: Record) -> Fault | None:
    """Parse a record of linux; ``None`` if it is of no fault."""
    found = _TRAP.match(record.text) or _SEGFAULT.match(record.text)
    if found is None:
        return None
    mapping = _MAPPING.match(record.text, found.end())
    address = found.groupdict().get("address")
    return Fault(
        tid=int(found["tid"]),
        comm=found["comm"],
        what=found["what"],
        address=None if address is None else int(address, 16),
        instruction=int(found["ip"], 16),
        stack=int(found["sp"], 16),
        mapping=mapping and mapping["name"],
        at=record.at,
    )
