"""The daemon as a program: it ticks in one thread and serves in others until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import threading
from collections.abc import Callable

from jupyter_kernel_exporter.daemon import Daemon
from jupyter_kernel_exporter.linux.gpu import Gpus
from jupyter_kernel_exporter.linux.host import protect_from_oom
from jupyter_kernel_exporter.linux.notify import Notifier
from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.serve.hub import open_hub
from jupyter_kernel_exporter.serve.lock import open_lock
from jupyter_kernel_exporter.serve.server import Server, listen
from jupyter_kernel_exporter.settings import Settings, state_directory

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Watch and serve until SIGINT or SIGTERM. The exit status.

    Raises :exc:`OSError` if an address cannot be listened on, ``AlreadyRunning`` if another
    daemon has the state directory, ``LockError`` if the lock's file cannot be used, ``HubError`` if
    the hub cannot.
    """
    with contextlib.ExitStack() as stack:
        lock = open_lock(settings)
        hub = open_hub(settings)
        listeners = [stack.enter_context(listen(a)) for a in settings["web.listen-address"]]
        protect_from_oom()
        gpus = Gpus.open() if settings["source.nvml"] else None
        history = History.open(state_directory(settings), notebook=settings["privacy.notebook"])
        stack.callback(history.close)
        daemon = Daemon(settings, gpus=gpus, history=history)
        daemon.start()
        stack.callback(daemon.stop)
        published = Published(history=history)
        publish(daemon.tick(), published)
        # What was loaded until now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        server = Server(create_app(published, settings, lock=lock, hub=hub), lock, hub)
        notifier = Notifier()
        stop = threading.Event()
        failed = threading.Event()

        def sample() -> None:
            try:
                sample_for_ever(daemon, published, stop, notifier.alive)
            finally:
                if not stop.is_set():  # a fault of ours: better to end than to serve old numbers
                    failed.set()
                    server.stop()

        # uvicorn raises the signal that stopped it once more when it is done.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        sampler = threading.Thread(target=sample, name="sampler")
        sampler.start()
        for address in settings["web.listen-address"]:
            log.info("serving", extra={"address": str(address)})
        # Who connects from now on is kept by linux until the server takes them in.
        notifier.ready(settings["sample.interval"])
        try:
            asyncio.run(server.serve(sockets=listeners))
        finally:
            notifier.stopping()
            stop.set()
            daemon.wake.set()
            sampler.join()
        return 1 if failed.is_set() else 0


def sample_for_ever(
    daemon: Daemon,
    published: Published,
    stop: threading.Event,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Tick at a steady pace until ``stop``; a tick that is missed is not made up for.

    ``alive`` is called after each.
    """
    interval = daemon.settings["sample.interval"]
    due = daemon.monotonic()
    while not stop.is_set():
        snapshot = daemon.tick(lag=max(0.0, daemon.monotonic() - due))
        publish(snapshot, published)
        alive()
        due = max(due + interval, daemon.monotonic() - interval)
        while not stop.is_set() and (left := due - daemon.monotonic()) > 0:
            patience = daemon.patience_seconds()
            woken = daemon.wake.wait(left if patience is None else min(left, patience))
            if not woken and patience is None:
                continue
            daemon.wake.clear()
            news = daemon.attend()
            if news is not None:
                published.snapshot = news


def publish(snapshot: Snapshot, published: Published) -> None:
    """Show a snapshot to those who serve."""
    published.recent.append(snapshot)
    published.snapshot = snapshot
