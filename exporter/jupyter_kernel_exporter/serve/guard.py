"""What stands before every route: whose requests are answered, and what browsers may do with it.

The page shows people's notebooks. An exporter that listens on loopback only is meant for this
machine; a website that a person visits could still make the person's browser ask it, under a name
of its own that it lets point to 127.0.0.1 (DNS rebinding). The ``Host`` header gives that away.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jupyter_kernel_exporter.settings import Address

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_HOST = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:\[\]]*))(?::\d*)?")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(host_header: str) -> str:
    """The name in a ``Host`` header, without its port and in small letters; empty for junk."""
    match = _HOST.fullmatch(host_header.strip())
    if match is None:
        return ""
    return (match["bracketed"] or match["plain"] or "").lower().removesuffix(".")


def names_this_machine(host_header: str) -> bool:
    """Whether a ``Host`` header names this machine's loopback: ``localhost:18888``, ``[::1]``."""
    return is_loopback(host_of(host_header))


class HostGuard:
    """Answers to loopback names and those that are allowed, once any are; without any, to loopback
    names while the exporter listens on loopback only, and to every name on a network.

    Behind a hub's proxy requests bear the hub's own name, which the service is not told. Nothing is
    answered there without a login, and a browser shows its cookie to the name alone that has given
    it: ``logged_in`` says that it is so, and that every name is answered if none are allowed.
    """

    def __init__(
        self,
        app: ASGIApp,
        addresses: Iterable[Address],
        allowed_hosts: Iterable[str] = (),
        logged_in: bool = False,
    ) -> None:
        self._app = app
        self._allowed = frozenset(allowed_hosts)
        loopback = all(is_loopback(a.host) for a in addresses)
        self._guards = bool(self._allowed) or (loopback and not logged_in)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._guards and scope["type"] == "http":
            # Browsers always send the header; scripts that leave it out are no browser.
            hosts = Headers(scope=scope).getlist("host")
            if not all(names_this_machine(one) or host_of(one) in self._allowed for one in hosts):
                detail = "this exporter answers to loopback names, and those of --web.allowed-host"
                await JSONResponse({"detail": detail}, 421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Adds :data:`HEADERS` to every response, and ``more`` besides or instead."""

    def __init__(self, app: ASGIApp, more: Callable[[], Mapping[str, str]] = dict) -> None:
        self._app = app
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.update(self._more())
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeadIsGet:
    """Lets every route that answers GET answer HEAD: the same headers without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "GET" in headers.get("allow", ""):
                    headers["allow"] = "GET, HEAD"
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if is_head else scope, receive, send_head)
