"""The HTTP server: uvicorn, set up for a process that should cost nothing while nobody asks, and
that goes on whoever asks and however.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from jupyter_kernel_exporter.serve.hub import Hub
from jupyter_kernel_exporter.serve.lock import Lock
from jupyter_kernel_exporter.serve.patience import (
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    PatientProtocol,
)
from jupyter_kernel_exporter.settings import Address

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 3.0
"""How often connections are looked at, the lock's files too, and uvicorn renews its ``Date``."""
MOST_CONNECTIONS = 512
"""Handshakes included. With more than that, whoever waits longest without a request has to go."""
LARGEST_HEAD_BYTES = 16 * 1024


class Server(uvicorn.Server):
    """uvicorn, but woken to be stopped instead of looking ten times a second whether it should be.

    Each such look costs 0.2 ms on a machine with cold caches: more than watching ten kernels.
    And it accepts connections itself, to know all of them: uvicorn does not count those that never
    end their TLS handshake, and each of them takes a descriptor that the sampler may need.
    """

    def __init__(self, app: FastAPI, lock: Lock | None = None, hub: Hub | None = None) -> None:
        self._lock = lock
        self._hub = hub
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nobody is believed who says to speak for somebody else.
                proxy_headers=False,
                h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=2,
            )
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._accepting: list[asyncio.Task[None]] = []
        self._greetings: set[asyncio.Task[None]] = set()
        self._handshakes: dict[socket.socket, float] = {}
        """Connections whose TLS is not agreed on yet, and since when they are there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        self.servers = []
        for listener in sockets or ():
            listener.setblocking(False)
            self._accepting.append(asyncio.create_task(self._accept(listener)))
        self.started = True

    async def main_loop(self) -> None:
        """Until it is told to stop."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), HOUSEKEEPING_SECONDS)
            self._end_those(lambda connection: connection.is_overdue(time.monotonic()))
            if self._lock is not None:
                await self._loop.run_in_executor(None, self._lock.renew)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let answers be finished, and end."""
        tasks = [*self._accepting, *self._greetings]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().shutdown(sockets)
        if self._lock is not None:
            self._lock.close()
        if self._hub is not None:
            await self._hub.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal says that it should stop."""
        super().handle_exit(sig, frame)
        self._wake()

    def stop(self) -> None:
        """Stop soon; may be called by any thread."""
        self.should_exit = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _accept(self, listener: socket.socket) -> None:
        """Take in connections, one after the other, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                # Out of descriptors, or whoever called has hung up already (accept(2)).
                log.warning("connection not accepted", extra={"problem": str(error)})
                await asyncio.sleep(HOUSEKEEPING_SECONDS)
                continue
            if self._make_room():
                self._handshakes[connection] = time.monotonic()
                task = asyncio.create_task(self._greet(connection))
                self._greetings.add(task)
                task.add_done_callback(self._greetings.discard)
            else:
                connection.close()
            # While others wait to be accepted, nothing above lets the event loop do its work.
            await asyncio.sleep(0)

    async def _greet(self, connection: socket.socket) -> None:
        """Begin to talk, behind TLS if there is any."""
        loop = asyncio.get_running_loop()
        context = self._lock.context if self._lock is not None else None
        try:
            await loop.connect_accepted_socket(
                self._make_protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=HEAD_SECONDS if context else None,
                ssl_shutdown_timeout=HEAD_SECONDS if context else None,
            )
        except OSError as error:  # ssl.SSLError is one: whoever called does not speak TLS as asked
            log.debug("handshake failed", extra={"problem": str(error)})
            connection.close()
        finally:
            self._handshakes.pop(connection, None)

    def _make_protocol(self) -> PatientProtocol:
        protocol = PatientProtocol(self.config, self.server_state, {})
        tls = self._lock.config.tls if self._lock is not None else None
        if tls is not None:
            protocol.client_allowed_sans = tls.client_allowed_sans
        return protocol

    def _make_room(self) -> bool:
        """Whether there is room for one more connection, or was made."""
        connections = self._connections
        if len(connections) + len(self._handshakes) < MOST_CONNECTIONS:
            return True
        idle = [one for one in connections if not one.answering]
        eldest = min(idle, key=lambda one: one.waiting_since, default=None)
        greeted = min(self._handshakes, key=self._handshakes.__getitem__, default=None)
        if greeted is not None and (
            eldest is None or self._handshakes[greeted] < eldest.waiting_since
        ):
            del self._handshakes[greeted]
            # Its transport, which owns it, sees its end.
            with contextlib.suppress(OSError):  # it is over already
                greeted.shutdown(socket.SHUT_RDWR)
            return True
        if eldest is not None:
            eldest.end()
        return eldest is not None

    def _end_those(self, is_due: Callable[[PatientProtocol], bool]) -> None:
        for connection in self._connections:
            if is_due(connection):
                connection.end()

    @property
    def _connections(self) -> list[PatientProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, PatientProtocol)]


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises :exc:`OSError` with the address in its text."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=128)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error
    # Else the second part of an answer waits 40 ms for the acknowledgement of the first (Nagle's
    # algorithm, tcp(7)). asyncio does it only for sockets that name their protocol. Connections
    # inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
