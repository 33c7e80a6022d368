"""Certificates and passwords for tests of the lock, made by openssl and bcrypt."""

import asyncio
import base64
import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import bcrypt

from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.serve.lock import Lock
from jupyter_kernel_exporter.serve.server import Server
from jupyter_kernel_exporter.settings import resolve
from support.jupyter import wait_until
from support.snapshots import NOW, snapshot


def openssl(*arguments: str) -> None:
    """Run it; what it says is of interest only if it fails."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def make_certificate(
    folder: Path, name: str, *, signed_by: str = "", sans: str = "IP:127.0.0.1,DNS:localhost"
) -> None:
    """``NAME.pem`` and ``NAME.key``: an authority, or signed by one."""
    where = {"name": f"{folder}/{name}", "by": f"{folder}/{signed_by}"}
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName={sans}"),
        *("-keyout", "{name}.key".format(**where), "-out", "{name}.pem".format(**where)),
        *(
            (
                *("-CA", "{by}.pem".format(**where), "-CAkey", "{by}.key".format(**where)),
                *("-addext", "basicConstraints=critical,CA:FALSE"),
            )
            if signed_by
            else ()
        ),
    )


def hashed(password: str, cost: int = 4) -> str:
    """As ``htpasswd -nB`` has it."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def basic(name: str, password: str | bytes) -> str:
    """The value of an ``Authorization`` header."""
    secret = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(name.encode() + b":" + secret).decode()


@contextlib.contextmanager
def locked_site(path: Path | None, *snapshots: Snapshot) -> Iterator[int]:
    """The server as the daemon starts it, behind the lock in ``path``; its port."""
    lock = Lock(str(path)) if path else None
    published = Published()
    for shown in snapshots or (snapshot(),):
        published.snapshot = shown
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = int(listener.getsockname()[1])
        server = Server(create_app(published, resolve({}, {}), clock=lambda: NOW, lock=lock), lock)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            wait_until(lambda: server.started, "the server accepts", every=0.005)
            yield port
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()
