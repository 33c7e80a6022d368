"""The HTTP server: uvicorn, set up for a process that should cost nothing while nobody asks."""

import asyncio
import contextlib
import os
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from jupyter_kernel_exporter.settings import Address

HOUSEKEEPING_SECONDS = 1.0
"""How often uvicorn renews what it says in the header Date."""


class Server(uvicorn.Server):
    """uvicorn, but woken to be stopped instead of looking ten times a second whether it should be.

    Each such look costs 0.2 ms on a machine with cold caches: more than watching ten kernels.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    async def main_loop(self) -> None:
        """Until it is told to stop."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), HOUSEKEEPING_SECONDS)

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


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises :exc:`OSError` with the address in its text."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=128)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error
