"""The daemon as user nobody, also where only root may read the Python that runs it.

Everything that is loaded on first use is used first, then the rights are given up for good.
"""

import importlib
import os
import sys

from fastapi.testclient import TestClient

from jupyter_kernel_exporter import daemon, service
from jupyter_kernel_exporter.cli import main
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.settings import resolve

LOADED_LATE = (
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.h11_impl",
)
"""Modules that uvicorn finds by their names when it starts."""

if __name__ == "__main__":
    for name in LOADED_LATE:
        importlib.import_module(name)
    watcher = daemon.Daemon(resolve({}, {}))
    published = Published()
    service.publish(watcher.tick(), published)
    client = TestClient(create_app(published, watcher.settings), base_url="http://127.0.0.1")
    for path in ("/", "/metrics", "/api/v1/kernels", "/-/ready", "/nowhere"):
        client.get(path)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    sys.exit(main())
