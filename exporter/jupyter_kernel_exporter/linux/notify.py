"""Telling systemd that the daemon is ready, and that it is still alive: sd_notify(3).

    READY=1             to the datagram socket that $NOTIFY_SOCKET names
    WATCHDOG=1          at least each $WATCHDOG_USEC microseconds, or systemd restarts the daemon

Without systemd nothing is said. Whoever feeds the watchdog vouches for it: here the sampling.
"""

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Talks to whoever started the daemon."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = parse_address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = parse_watchdog(environ, os.getpid())
        """How long systemd waits for a sign of life; ``None``: it does not watch."""

    def ready(self, interval_seconds: float) -> None:
        """The daemon serves. ``interval_seconds`` is the time between two signs of life."""
        words = ["READY=1"]
        if self.watchdog_seconds is not None and self.watchdog_seconds < 5 * interval_seconds:
            # Slower than the unit's author thought of, and not dead.
            self.watchdog_seconds = 5 * interval_seconds
            words.append(f"WATCHDOG_USEC={self.watchdog_seconds * 1e6:.0f}")
        self._say("\n".join(words))

    def alive(self) -> None:
        """A sign of life."""
        if self.watchdog_seconds is not None:
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon is about to end, as it was asked to."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
                one.sendto(words.encode(), self._address)
        except OSError as error:
            # Sampling goes on: if nobody hears of it, systemd will see to that.
            log.warning("systemd is not told", extra={"problem": str(error)})


def parse_address(text: str) -> str | bytes | None:
    """The socket's address: a path, or after an ``@`` a name without one; ``None`` for others."""
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    return text if text.startswith("/") else None


def parse_watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds of ``$WATCHDOG_USEC``, if ``$WATCHDOG_PID`` means this process, or nobody."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not microseconds.isdecimal():
        return None
    return int(microseconds) / 1e6 or None
