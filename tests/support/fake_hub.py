"""A JupyterHub's API as far as a service asks it, with people and tokens made up."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx

from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.serve.hub import open_hub
from jupyter_kernel_exporter.serve.server import Server, listen
from jupyter_kernel_exporter.settings import Address, resolve
from support.jupyter import wait_until
from support.serving import serving
from support.snapshots import NOW

PREFIX = "/services/kernels/"
SERVICE_TOKEN = "hush-the-token-of-the-service"
ACCESS = "access:services!service=kernels"


def model(name: str, *, kind: str = "user", admin: bool = False, **more: Any) -> dict[str, Any]:
    """What the hub says of somebody who may come in."""
    return {"kind": kind, "name": name, "admin": admin, "scopes": [ACCESS]} | more


PEOPLE: Mapping[str, dict[str, Any]] = {
    "token-of-ada": model("ada"),
    "token-of-grace": model("grace"),
    "token-of-nobody": model("nobody-has-this-name"),
    "token-of-admin": model("root", admin=True),
    "token-of-prometheus": model("prometheus", kind="service"),
    "token-of-stranger": model("stranger", scopes=["access:services!service=another"]),
    "token-of-adas-server": model("ada", scopes=["users:activity!user=ada"]),
}


@dataclass(slots=True)
class FakeHub:
    """What it was asked, and what it is made to do."""

    url: str
    asked: list[str] = field(default_factory=list)
    """Tokens that it was asked about."""
    logins: list[dict[str, str]] = field(default_factory=list)
    """Forms that came with codes."""
    broken: int = 0
    """A status to answer instead."""
    released: threading.Event = field(default_factory=threading.Event)
    """Cleared: it does not answer."""

    @property
    def environ(self) -> dict[str, str]:
        """What a hub gives to its service."""
        return {
            "JUPYTERHUB_API_URL": f"{self.url}/hub/api",
            "JUPYTERHUB_API_TOKEN": SERVICE_TOKEN,
            "JUPYTERHUB_SERVICE_NAME": "kernels",
            "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
            "JUPYTERHUB_CLIENT_ID": "service-kernels",
        }


@contextlib.contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A hub on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("token ")
            hub.asked.append(token)
            known = PEOPLE.get(token)
            self.answer(200 if known else 403, known or {"message": "Forbidden"})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            login = {name: values[0] for name, values in form.items()}
            hub.logins.append(login)
            right = login["code"].startswith("code-of-") and login["client_secret"] == SERVICE_TOKEN
            token = login["code"].replace("code", "token")
            answer = {"access_token": token} if right else {"error": "invalid_grant"}
            self.answer(200 if right else 400, answer)

        def answer(self, status: int, content: dict[str, Any]) -> None:
            hub.released.wait(30)
            text = json.dumps(content).encode()
            with contextlib.suppress(ConnectionError):  # whoever asked has waited long enough
                self.send_response(hub.broken or status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}")
        hub.released.set()
        try:
            yield hub
        finally:
            hub.released.set()


@contextlib.contextmanager
def hub_site(
    hub: FakeHub,
    published: Published,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[httpx.Client]:
    """The exporter as that hub's service, as the daemon starts it; a client without a login."""
    settings = resolve({"web.jupyterhub": "true", **(flags or {})}, {})
    with listen(Address("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = open_hub(settings, {**hub.environ, **(environ or {})})
        app = create_app(published, settings, clock=lambda: NOW, host_name="here", hub=asked)
        server = Server(app, hub=asked)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            wait_until(lambda: server.started, "the server accepts", every=0.005)
            with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
                yield client
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def bearer(token: str) -> dict[str, str]:
    """Headers of a script that has a token."""
    return {"Authorization": f"Bearer {token}"}
