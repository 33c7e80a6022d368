"""A connection that does not wait for ever: HTTP/1.1 by uvicorn, with deadlines.

uvicorn waits without end for a request that never becomes whole (slow loris), and for a reader who
never reads. Here the server looks at its connections every few seconds, and ends those overdue.
"""

import asyncio
import time
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from jupyter_kernel_exporter.serve.lock_tls import names_of

HEAD_SECONDS = 5.0
"""For a request to become whole, from its first byte; and for the first one to begin."""
KEEP_ALIVE_SECONDS = 15
"""Between two requests: longer than the usual five seconds between two scrapes."""
READ_SECONDS = 30.0
"""For an answer to be read."""


class PatientProtocol(H11Protocol):
    """One connection, and since when it has been waiting for what."""

    client_allowed_sans: tuple[str, ...] = ()
    """Names of which a client's certificate must bear one; none: any will do."""
    waiting_since: float
    """When it began to wait for a request."""
    request_since: float | None = None
    """When the first byte came of a request that is not whole yet."""
    served: bool = False
    """Whether any request was answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and past the TLS handshake."""
        self.waiting_since = time.monotonic()
        super().connection_made(transport)
        peer = transport.get_extra_info("peercert")
        if self.client_allowed_sans and peer and not names_of(peer) & {*self.client_allowed_sans}:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        if self.transport.is_closing():
            return
        if not self.answering and self.request_since is None:
            self.request_since = time.monotonic()
        super().data_received(data)
        if self.answering:
            self.request_since = None

    def on_response_complete(self) -> None:
        """An answer was handed to the transport."""
        self.waiting_since = time.monotonic()
        self.request_since = None
        self.served = True
        super().on_response_complete()

    @property
    def answering(self) -> bool:
        """Whether a whole request waits for its answer."""
        cycle = cast(Any, self.cycle)
        return cycle is not None and not cycle.response_complete

    def is_overdue(self, now: float) -> bool:
        """Whether it has waited longer than one waits; ``now`` as of ``time.monotonic()``."""
        if self.answering:
            # An answer that is not read keeps the next part of it from being written.
            return now - self.waiting_since > READ_SECONDS + HEAD_SECONDS and self._unread
        if self._unread:
            return now - self.waiting_since > READ_SECONDS
        if self.request_since is not None:
            return now - self.request_since > HEAD_SECONDS
        patience = KEEP_ALIVE_SECONDS if self.served else HEAD_SECONDS
        return now - self.waiting_since > patience

    @property
    def _unread(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    def end(self) -> None:
        """Hang up, whatever is still unsaid."""
        self.connections.discard(self)
        self.transport.abort()
