"""The web application over snapshots made by hand, served on a loopback port."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.serve.scrape import Scrape
from jupyter_kernel_exporter.settings import resolve
from support.snapshots import NOW


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """What is served, and a client of it."""

    client: httpx.Client
    published: Published = field(default_factory=Published)
    clock: Clock = field(default_factory=Clock)

    def publish(self, snapshot: Snapshot) -> None:
        """Do as the daemon does at each tick."""
        self.published.recent.append(snapshot)
        self.published.snapshot = snapshot


@contextmanager
def site(
    *snapshots: Snapshot, flags: dict[str, Any] | None = None, scrape: Scrape | None = None
) -> Iterator[Site]:
    """Serve these snapshots, published one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            made = Site(client)
            for snapshot in snapshots:
                made.publish(snapshot)
            settings = resolve(flags or {}, {})
            app = create_app(
                made.published, settings, scrape=scrape, clock=made.clock, host_name="testhost"
            )
            with served(app, listener):
                yield made


@contextmanager
def served(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """Run uvicorn in a thread until the block ends."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
