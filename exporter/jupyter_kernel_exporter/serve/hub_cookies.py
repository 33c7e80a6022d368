"""What a browser keeps for a login with the hub: signed, so that nobody else can have made it.

The key lives as long as the process. After a restart a browser goes to the hub once more, which
knows it still.
"""

import json
import secrets
from typing import Any, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from jupyter_kernel_exporter.serve.hub import Hub, Login

LOGIN_SECONDS = 600
"""How long somebody may take to log in."""


class Begun(NamedTuple):
    """A login that a browser has begun, as it remembers it."""

    state: str
    verifier: str
    then: str
    """Where it wanted to go."""


class Cookies:
    """Reads and writes the cookies of one service, with the names and the path that the hub's own
    client gives them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._key = secrets.token_bytes(32)

    def token(self, asked: HTTPConnection) -> str | None:
        """The token of whoever has logged in with this browser."""
        return self._read(asked, self._hub.cookie)

    def begun(self, asked: HTTPConnection, state: str) -> Begun | None:
        """The login that comes back with ``state``; ``None`` if this browser did not begin it."""
        text = self._read(asked, self._login_cookie(state))
        begun = Begun(*json.loads(text)) if text else None
        return begun if begun and begun.state == state else None

    def begin(self, asked: HTTPConnection, answer: Response, login: Login, then: str) -> None:
        """Let the browser remember a login."""
        text = json.dumps(Begun(login.state, login.verifier, then))
        name = self._login_cookie(login.state)
        self._write(asked, answer, name, text, {"max_age": LOGIN_SECONDS})

    def finish(self, asked: HTTPConnection, answer: Response, token: str) -> None:
        """Let the browser remember who it is, and forget how it found out."""
        for name in asked.cookies:
            if name.startswith(self._login_cookie("")):
                answer.set_cookie(name, **self._flags(asked), max_age=0)
        lasts = {"max_age": self._hub.cookie_seconds}
        self._write(asked, answer, self._hub.cookie, token, lasts)

    def _login_cookie(self, state: str) -> str:
        """Of one login: several windows may be at it at once."""
        return f"{self._hub.cookie}-oauth-state-{state[:8]}"

    def _read(self, asked: HTTPConnection, name: str) -> str | None:
        from tornado.web import decode_signed_value  # noqa: PLC0415  # comes with JupyterHub

        value = decode_signed_value(self._key, name, asked.cookies.get(name), min_version=2)
        return value.decode() if value is not None else None

    def _write(
        self, asked: HTTPConnection, answer: Response, name: str, value: str, lasts: dict[str, Any]
    ) -> None:
        from tornado.web import create_signed_value  # noqa: PLC0415  # comes with JupyterHub

        signed = create_signed_value(self._key, name, value, version=2).decode()
        answer.set_cookie(name, signed, **self._flags(asked), **lasts)

    def _flags(self, asked: HTTPConnection) -> dict[str, Any]:
        return {
            "path": self._hub.cookie_path,
            "httponly": True,
            "secure": self._hub.always_secure or _browser_protocol(asked) == "https",
            "samesite": "lax",
            **self._hub.cookie_flags,
        }


class _Asked(NamedTuple):
    """As much of a request as the hub's client looks at."""

    headers: Headers
    protocol: str


def _browser_protocol(asked: HTTPConnection) -> str:
    """What the browser speaks: with the proxy, which says so in a header, or with us."""
    from jupyterhub.utils import get_browser_protocol  # noqa: PLC0415  # an optional extra

    protocol: str = get_browser_protocol(_Asked(asked.headers, asked.scope["scheme"]))
    return protocol
