"""Lets in whom the hub knows, and says to the routes who it is.

    GET PREFIX/            without a cookie: on to the hub, which asks for a login
    GET PREFIX/oauth_callback?code=…&state=…      back from there: a cookie, and on to the page
    Authorization: Bearer TOKEN                   for scripts and Prometheus

Everything is below the prefix that the hub gives its service, and nothing is there for those who
have not logged in.
"""

from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jupyter_kernel_exporter.serve.hub import Hub, NotAllowed, Unanswered
from jupyter_kernel_exporter.serve.hub_cookies import Cookies
from jupyter_kernel_exporter.serve.viewer import EVERYTHING, Viewer

CALLBACK = "oauth_callback"
CHALLENGE = 'Bearer realm="jupyter-kernel-exporter"'
SESSION_COOKIE = "jupyterhub-session-id"
"""The hub's own, for the whole host; it changes with a logout."""
LONGEST_WAY = 1024
"""Of an address that is gone back to after a login; browsers keep 4 KiB in a cookie."""


class HubGuard:
    """Without a hub, whoever has come so far may see everything."""

    def __init__(self, app: ASGIApp, hub: Hub | None) -> None:
        self._app = app
        self._door = _Door(hub) if hub else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._door is None:
            await self._app(_seen_by(EVERYTHING, scope), receive, send)
            return
        answer = await self._door.ask(scope)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
            return
        below = {**_seen_by(answer, scope), "root_path": self._door.root}
        await self._app(below, receive, send)


def _seen_by(viewer: Viewer, scope: Scope) -> Scope:
    return {**scope, "state": {**scope.get("state", {}), "viewer": viewer}}


class _Door:
    """Asks everybody who they are."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._cookies = Cookies(hub)
        self._prefix = unquote(hub.prefix)
        self.root = self._prefix.rstrip("/")

    async def ask(self, scope: Scope) -> Viewer | Response:
        """Who it is, or the answer for those who may not go on."""
        path, asked = scope["path"], HTTPConnection(scope)
        if path == self.root:
            return RedirectResponse(self._hub.prefix)
        if not path.startswith(self._prefix):
            return JSONResponse({"detail": f"all there is, is below {self._hub.prefix}"}, 404)
        try:
            if path == self._prefix + CALLBACK:
                return await self._come_back(asked)
            return await self._recognise(asked) or self._send_away(asked)
        except NotAllowed:
            detail = "the hub has not given you access to this service"
            return JSONResponse({"detail": detail}, 403)
        except Unanswered as error:
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "5"})

    async def _recognise(self, asked: HTTPConnection) -> Viewer | None:
        given = asked.headers.getlist("authorization")
        if given:
            # Whoever says who they are, is that or nobody.
            token = parse_bearer(given[0]) if len(given) == 1 else None
            return await self._hub.viewer(token) if token else None
        token = self._cookies.token(asked)
        session = asked.cookies.get(SESSION_COOKIE, "")
        return await self._hub.viewer(token, session) if token else None

    def _send_away(self, asked: HTTPConnection) -> Response:
        """To the login, if a person is there to log in."""
        if not _is_visit(asked.scope["method"], asked.headers):
            headers = {"WWW-Authenticate": CHALLENGE}
            return JSONResponse({"detail": "log in to the hub, or send a token"}, 401, headers)
        login = self._hub.begin()
        answer = RedirectResponse(login.url, 302)
        # Only ever below the prefix: it begins with it.
        then = quote(asked.scope["path"]) + ("?" + asked.url.query if asked.url.query else "")
        then = then if len(then) <= LONGEST_WAY else self._hub.prefix
        self._cookies.begin(asked, answer, login, then)
        return answer

    async def _come_back(self, asked: HTTPConnection) -> Response:
        """The hub sends the browser back with a code, and the state that it was sent with."""
        code, state = (asked.query_params.get(name, "") for name in ("code", "state"))
        begun = self._cookies.begun(asked, state)
        if begun is None:
            return JSONResponse({"detail": "this browser did not begin this login"}, 403)
        if not code:
            return JSONResponse({"detail": "the hub has refused this login"}, 403)
        token = await self._hub.token(code, begun.verifier)
        if await self._hub.viewer(token, asked.cookies.get(SESSION_COOKIE, "")) is None:
            return JSONResponse({"detail": "the hub does not know who logged in"}, 403)
        answer = RedirectResponse(begun.then, 302)
        self._cookies.finish(asked, answer, token)
        return answer


def parse_bearer(header: str) -> str | None:
    """The token of an ``Authorization`` header, in the hub's words (``token``) or RFC 6750's."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() or None if scheme.lower() in {"bearer", "token"} else None


def _is_visit(method: str, headers: Headers) -> bool:
    """Whether a person opens a page: a script could do nothing with a login."""
    mode = headers.get("sec-fetch-mode", "navigate")
    return (
        method in {"GET", "HEAD"}
        and mode == "navigate"
        and "text/html" in headers.get("accept", "")
        and "authorization" not in headers
    )
