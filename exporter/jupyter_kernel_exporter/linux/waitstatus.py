"""How a process ended: the wait status, as wait(2) gives it.

The low byte holds the signal (and 0x80 if a core was dumped), the next one the exit code. It is
the same number in ``/proc/PID/stat`` field 52, in process events and in PIDFD_GET_INFO.
"""

import signal
from typing import NamedTuple

CORE_DUMPED = 0x80
_STOPPED = 0x7F
_FIRST_REALTIME = 34
"""SIGRTMIN as programs see it: the C library keeps 32 and 33 for itself."""


class WaitStatus(NamedTuple):
    """Either an exit code or a signal; the other one is ``None``.

    >>> str(WaitStatus.from_raw(768)), str(WaitStatus.from_raw(139))
    ('exit 3', 'SIGSEGV')
    """

    code: int | None
    signal: int | None
    core: bool = False
    """Whether linux wrote a core dump, or gave it to a handler."""

    @classmethod
    def from_raw(cls, raw: int) -> "WaitStatus":
        """Take a wait status apart.

        Raises :exc:`ValueError` for one that is of no ended process (stopped, continued, absurd).
        """
        number = raw & 0x7F
        # Of a signal there is nothing in the high byte; of an exit there is nothing in the low one.
        torn = raw > 0xFF if number else raw & CORE_DUMPED
        if not 0 <= raw <= 0xFFFF or number == _STOPPED or torn:
            raise ValueError(f"{raw:#x} is no wait status of a process that ended")
        if number:
            return cls(None, number, bool(raw & CORE_DUMPED))
        return cls(raw >> 8, None)

    def __str__(self) -> str:
        """``exit 3`` or ``SIGSEGV``: what the label ``status`` shows."""
        return f"exit {self.code}" if self.signal is None else signal_name(self.signal)


def signal_name(number: int) -> str:
    """``SIGSEGV``, ``SIGRTMIN+3``, or ``signal 32`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        if _FIRST_REALTIME < number < signal.NSIG:
            return f"SIGRTMIN+{number - _FIRST_REALTIME}"
        return f"signal {number}"
