"""The lock on every route: TLS, client certificates, names with passwords, a rate.

It follows its files while it runs. What cannot be used, as a certificate whose key is still the
old one, changes nothing: the lock stays as it was until the files agree, and the log says so.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jupyter_kernel_exporter.serve.auth import Credentials, Crowded, parse_authorization
from jupyter_kernel_exporter.serve.guard import is_loopback
from jupyter_kernel_exporter.serve.lock_config import LockConfig, LockError, read_lock_config
from jupyter_kernel_exporter.serve.lock_tls import RenewableContext, make_context
from jupyter_kernel_exporter.settings import Settings

log = logging.getLogger(__name__)

CHALLENGE = 'Basic realm="jupyter-kernel-exporter", charset="UTF-8"'


class Refusal(NamedTuple):
    """The answer to a request that is not let in."""

    status: int
    detail: str
    headers: dict[str, str]


class Lock:
    """What the file says just now. Raises :exc:`LockError` at the start if it cannot be used.

    ``beside_hub``: a hub says who people are, so the file may not.
    """

    def __init__(
        self, path: str, clock: Callable[[], float] = time.monotonic, *, beside_hub: bool = False
    ) -> None:
        self._path = path
        self._beside_hub = beside_hub
        self._signature = self._sign(())
        self.config = self._read()
        """Replaced whole when the file changes."""
        self.context = RenewableContext(make_context(self.config.tls)) if self.config.tls else None
        self._signature = self._sign(self.config.tls.files if self.config.tls else ())
        self._rate = Rate(self.config, clock)
        self._clock = clock
        self._credentials = Credentials()

    @property
    def keeps_out(self) -> bool:
        """Whether it keeps anybody out; TLS alone does not."""
        return _keeps_out(self.config)

    def renew(self) -> bool:
        """Look whether the files have changed, and follow them; whether they were followed."""
        signature = self._sign(self.config.tls.files if self.config.tls else ())
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            self._follow(self._read())
        except LockError as error:
            log.warning("lock stays as it was", extra={"problem": str(error)})
            return False
        self._signature = self._sign(self.config.tls.files if self.config.tls else ())
        log.info("lock renewed", extra={"file": self._path})
        return True

    async def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is not let in; ``None`` if it is."""
        if not self._rate.take():
            return Refusal(429, "too many requests", {"Retry-After": "1"})
        users = self.config.users
        if not users:
            return None
        refused = Refusal(401, "name and password, please", {"WWW-Authenticate": CHALLENGE})
        given = Headers(scope=scope).getlist("authorization")
        credentials = parse_authorization(given[0]) if len(given) == 1 else None
        if credentials is None:
            return refused
        try:
            return None if await self._credentials.fit(users, *credentials) else refused
        except Crowded:
            return Refusal(503, "too many passwords at once", {"Retry-After": "1"})

    def headers(self) -> Mapping[str, str]:
        """What every answer bears."""
        return self.config.headers

    def close(self) -> None:
        """Nobody asks any more."""
        self._credentials.close()

    def _read(self) -> LockConfig:
        config = read_lock_config(self._path)
        if self._beside_hub and config.users:
            raise LockError(
                f"{self._path}: no basic_auth_users with --web.jupyterhub: people log in there"
            )
        return config

    def _follow(self, config: LockConfig) -> None:
        if (config.tls is None) != (self.context is None):
            raise LockError("TLS is switched on and off by a restart only")
        if self.keeps_out and not _keeps_out(config):
            # As likely a file that is just being written.
            raise LockError("nobody would be kept out any more; if that is meant, restart")
        if config.tls is not None and self.context is not None:
            self.context.current = make_context(config.tls)
        if (config.rate_interval_seconds, config.rate_burst) != self._rate.of:
            self._rate = Rate(config, self._clock)
        self.config = config

    def _sign(self, files: tuple[str, ...]) -> tuple[tuple[int, ...] | None, ...]:
        """Changes when one of the files does."""
        return tuple(_sign(path) for path in (self._path, *files))


def open_lock(settings: Settings) -> Lock | None:
    """The lock, if there is one; a warning if the world can look in. Raises :exc:`LockError`."""
    path, hub = settings["web.config.file"], settings["web.jupyterhub"]
    lock = Lock(path, beside_hub=hub) if path else None
    if not hub and (lock is None or not lock.keeps_out):
        wide = [str(a) for a in settings["web.listen-address"] if not is_loopback(a.host)]
        if wide:
            log.warning(
                "open to everybody who reaches it: see --web.config.file",
                extra={"address": ",".join(wide)},
            )
    return lock


def _sign(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:  # reading it will tell why
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _keeps_out(config: LockConfig) -> bool:
    return bool(config.users) or (config.tls is not None and config.tls.client_auth == "always")


class Rate:
    """So many requests per time: a bucket of tokens, as exporters have it."""

    def __init__(self, config: LockConfig, clock: Callable[[], float]) -> None:
        self.of = (config.rate_interval_seconds, config.rate_burst)
        self._interval, self._burst = self.of
        self._tokens = float(self._burst)
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Whether one more request is within the rate."""
        if not self._interval:
            return True
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class LockGuard:
    """Lets in whom the lock lets in, to whatever route."""

    def __init__(self, app: ASGIApp, lock: Lock | None) -> None:
        self._app = app
        self._lock = lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = (
            await self._lock.refusal(scope) if self._lock and scope["type"] == "http" else None
        )
        if refusal is None:
            await self._app(scope, receive, send)
            return
        answer = JSONResponse({"detail": refusal.detail}, refusal.status, refusal.headers)
        await answer(scope, receive, send)
