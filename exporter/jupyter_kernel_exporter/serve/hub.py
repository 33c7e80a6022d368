"""Who somebody is, by a JupyterHub whose service the exporter is.

OAuth is done by JupyterHub's own client (``jupyterhub.services.auth.HubOAuth``, the optional extra
``hub``); here are what it is set up with, and what the hub's answers mean:
https://jupyterhub.readthedocs.io/en/stable/howto/services/services-auth.html
"""

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from jupyter_kernel_exporter.privacy import open_privacy
from jupyter_kernel_exporter.serve.viewer import EVERYTHING, Viewer
from jupyter_kernel_exporter.settings import Settings

if TYPE_CHECKING:
    from jupyterhub.services.auth import HubOAuth

NEEDED = (
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_SERVICE_NAME",
    "JUPYTERHUB_SERVICE_PREFIX",
    "JUPYTERHUB_CLIENT_ID",
)
"""What a hub puts into the environment of the services that it starts."""

KNOWN_SECONDS = 60
"""How long an answer of the hub counts: whoever is locked out there is locked out here by then."""
PATIENCE_SECONDS = 10.0
MOST_ASKED = 64
"""Questions to the hub at once; whoever makes up tokens must not make it answer more."""

_TOKEN = re.compile(r"[\w.~+/=-]{1,512}", re.ASCII)


class HubError(ValueError):
    """The hub cannot be used; the text is one clear line for the person who wants it."""


class Unanswered(Exception):  # noqa: N818  # of the hub, no fault of ours
    """The hub did not say who somebody is; the text is for whoever asked us."""


class NotAllowed(Exception):  # noqa: N818  # an answer
    """The hub knows who it is, and has not granted access to this service."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that has begun: where to send the browser, and what proves that it is the same one
    that comes back."""

    url: str
    state: str
    verifier: str
    """The secret half of PKCE (RFC 7636); empty before JupyterHub 6."""


class Hub:
    """The hub, asked over its API. ``name`` makes the label ``username`` of a hub's user."""

    def __init__(self, auth: "HubOAuth", service: str, name: Callable[[str], str] = str) -> None:
        self._auth = auth
        self._scopes = {f"access:services!service={service}"}
        self._name = name
        self._asked = 0
        self.prefix: str = auth.base_url
        """The path that everything is below, with a slash at both ends."""
        self.cookie: str = auth.cookie_name
        self.cookie_path: str = auth.cookie_path
        self.cookie_flags, self.cookie_seconds = parse_cookie_options(auth.cookie_options)
        public = urlsplit(os.environ.get("JUPYTERHUB_PUBLIC_URL", ""))
        self.always_secure: bool = public.scheme == "https" or self.cookie.startswith("__Host-")
        """Whether browsers reach it by TLS, whatever a request says of itself."""

    async def viewer(self, token: str, session: str = "") -> Viewer | None:
        """Whose token it is; ``None`` if it is nobody's.

        ``session`` is the hub's session of the browser: with its end, the answer is asked for anew.
        Raises :exc:`Unanswered` and :exc:`NotAllowed`.
        """
        if not _TOKEN.fullmatch(token):
            return None
        model = await self._ask(self._auth.user_for_token(token, session_id=session, sync=False))
        if model is None:
            return None
        if not self._auth.check_scopes(self._scopes, model):
            raise NotAllowed
        return self._judge(model)

    def begin(self) -> Login:
        """Begin to find out who sits before a browser."""
        state, verifier, more = secrets.token_urlsafe(24), "", {}
        if getattr(self._auth, "pkce_enabled", False):
            verifier, challenge, method = self._auth.generate_pkce_code_challenge()
            more = {"code_challenge": challenge, "code_challenge_method": method}
        query = urlencode({"state": state, **more})
        return Login(f"{self._auth.login_url}&{query}", state, verifier)

    async def token(self, code: str, verifier: str) -> str:
        """The token that the hub gives for the code of a login. Raises :exc:`Unanswered`."""
        more = {"code_verifier": verifier} if verifier else {}
        token: str = await self._ask(self._auth.token_for_code(code, sync=False, **more))
        return token

    async def close(self) -> None:
        """Nobody asks any more."""
        try:
            from jupyterhub.httpclient import JupyterHubHTTPClient  # noqa: PLC0415  # optional
        except ImportError:  # JupyterHub 5 keeps no connection
            return
        await JupyterHubHTTPClient.loop_instance().close()

    async def _ask(self, answer: Any) -> Any:
        from tornado.web import HTTPError  # noqa: PLC0415  # comes with JupyterHub

        if self._asked >= MOST_ASKED:
            answer.close()
            raise Unanswered("too many questions to the hub at once")
        self._asked += 1
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await answer
        except (TimeoutError, HTTPError):  # the hub's client has logged which, and why
            raise Unanswered("the hub gives no answer; try again") from None
        finally:
            self._asked -= 1

    def _judge(self, model: Mapping[str, Any]) -> Viewer:
        """What a user or a service of the hub may see."""
        if model.get("admin") is True or model.get("kind") == "service":
            return EVERYTHING
        return Viewer(username=self._name(str(model["name"])))


def parse_cookie_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """What the hub's administrator wants of cookies (``cookie_options``, in tornado's words): how
    they are sent, and how many seconds the login lasts, ``None`` for as long as the browser runs.

    Raises :exc:`HubError` for what cannot be done.
    """
    wanted = {name.lower(): value for name, value in options.items()}
    days = wanted.pop("expires_days", None)
    seconds = wanted.pop("max_age", None if days is None else days * 86400)
    if unknown := wanted.keys() - {"samesite", "secure", "domain"}:
        raise HubError(f"JUPYTERHUB_COOKIE_OPTIONS: {', '.join(sorted(unknown))} cannot be set")
    if "samesite" in wanted:
        wanted["samesite"] = str(wanted["samesite"]).lower()
    return wanted, seconds if seconds is None else int(seconds)


def open_hub(settings: Settings, environ: Mapping[str, str] = os.environ) -> Hub | None:
    """The hub, if the exporter is to be its service. Raises :exc:`HubError`."""
    if not settings["web.jupyterhub"]:
        return None
    missing = [name for name in NEEDED if not environ.get(name)]
    if missing:
        raise HubError(f"{', '.join(missing)} missing in the environment: a hub sets it")
    if not settings["source.environ"]:
        # Owners of processes, who stand in for them, may bear the name of somebody else on the hub.
        raise HubError("whose kernel it is says its environment: not with --no-source.environ")
    # The hub's client tells a log of people's names and sessions, and of what it is made of.
    for name in ("tornado.application", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        from jupyterhub.services.auth import HubOAuth  # noqa: PLC0415  # an optional extra
    except ImportError:
        hint = "pip install 'jupyter-kernel-exporter[hub]'"
        raise HubError(f"JupyterHub's client is not installed: {hint}") from None
    auth = HubOAuth(
        api_url=environ["JUPYTERHUB_API_URL"],
        api_token=environ["JUPYTERHUB_API_TOKEN"],
        base_url=environ["JUPYTERHUB_SERVICE_PREFIX"],
        oauth_client_id=environ["JUPYTERHUB_CLIENT_ID"],
        cache_max_age=KNOWN_SECONDS,
    )
    return Hub(auth, environ["JUPYTERHUB_SERVICE_NAME"], open_privacy(settings).reduce_username)
