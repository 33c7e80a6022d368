"""The file of ``--web.config.file``: who may ask, and how the talk is kept secret.

    tls_server_config:
      cert_file: server.pem
      key_file: server.key
    basic_auth_users:
      prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi

The format is that of all Prometheus exporters, so that ``promtool check web-config`` can check it:
https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
What this server cannot do as the file asks is refused: half a lock is none.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml


class LockError(ValueError):
    """The file cannot be used; the text is one clear line for the person who wrote it."""


CLIENT_AUTH_TYPES = {
    "": "",
    "NoClientCert": "",
    # Asked for, and then neither required nor looked at: the same as not asking.
    "RequestClientCert": "",
    "VerifyClientCertIfGiven": "if given",
    "RequireAndVerifyClientCert": "always",
}
"""When a client's certificate is verified."""

TLS_VERSIONS = ("TLS12", "TLS13")

CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Names of the file -> names of OpenSSL, for TLS 1.2."""
CIPHERS_OF_TLS13 = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""May be named, but all of them are offered whatever the file says, as Go has it."""
CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""Headers that may be set, and to what; empty: to anything."""

_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Tls:
    """How the talk is kept secret, and which clients have to show a certificate."""

    cert: str = ""
    """In PEM; instead of it a file may be named."""
    cert_file: str = ""
    key: str = field(default="", repr=False)
    key_file: str = ""
    client_ca: str = ""
    client_ca_file: str = ""
    client_auth: str = ""
    """A value of :data:`CLIENT_AUTH_TYPES`."""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] = ()
    """OpenSSL's names."""
    curve: str = ""
    """OpenSSL's name."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is made of."""
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))


@dataclass(frozen=True, slots=True)
class LockConfig:
    """All that the file says."""

    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names -> bcrypt hashes; without any, no name is asked for."""
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_interval_seconds: float = 0.0
    """One request per interval; 0: as many as there are."""
    rate_burst: int = 0


def read_lock_config(path: str) -> LockConfig:
    """Read and parse the file. Raises :exc:`LockError`."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"cannot read {path}: {error}") from None
    try:
        return parse_lock_config(text, os.path.dirname(path))
    except LockError as error:
        raise LockError(f"{path}: {error}") from None


def parse_lock_config(text: str, folder: str) -> LockConfig:
    """Parse the text of the file; relative names in it start at ``folder``."""
    try:
        document = yaml.load(text, _StrictLoader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        # The message may quote the file, and hashes and keys are in it.
        mark = getattr(error, "problem_mark", None)
        raise LockError(f"no valid YAML{f' at line {mark.line + 1}' if mark else ''}") from None
    top = _Table(document, "")
    tls = _Table(top.take("tls_server_config"), "tls_server_config.")
    http = _Table(top.take("http_server_config"), "http_server_config.")
    rate = _Table(top.take("rate_limit"), "rate_limit.")
    users = _Table(top.take("basic_auth_users"), "basic_auth_users.")
    top.end()
    http.flag("http2")  # this server speaks HTTP/1.1 only, which every client speaks as well
    headers = _parse_headers(_Table(http.take("headers"), "http_server_config.headers."))
    http.end()
    interval = _parse_duration(rate.text("interval"))
    burst = rate.number("burst")
    rate.end()
    if interval and not burst:
        raise LockError("rate_limit: an interval needs a burst of 1 or more, or nobody gets in")
    return LockConfig(
        _parse_tls(tls, folder),
        _parse_users(users),
        headers,
        interval,
        burst,
    )


def _parse_tls(table: "_Table", folder: str) -> Tls | None:
    def path(name: str) -> str:
        text = table.text(name)
        return os.path.join(folder, text) if text else ""

    client_auth = table.text("client_auth_type")
    tls = Tls(
        cert=table.text("cert"),
        cert_file=path("cert_file"),
        key=table.text("key"),
        key_file=path("key_file"),
        client_ca=table.text("client_ca"),
        client_ca_file=path("client_ca_file"),
        client_auth=CLIENT_AUTH_TYPES.get(client_auth, ""),
        client_allowed_sans=table.texts("client_allowed_sans"),
        min_version=table.text("min_version") or "TLS12",
        max_version=table.text("max_version") or "TLS13",
        ciphers=_parse_ciphers(table.texts("cipher_suites")),
        curve=_parse_curves(table.texts("curve_preferences")),
    )
    table.flag("prefer_server_cipher_suites")  # without effect in Go since 1.17, and here
    table.end()
    for version in (tls.min_version, tls.max_version):
        if version not in TLS_VERSIONS:
            raise LockError(f"tls_server_config: {version!r} is none of {', '.join(TLS_VERSIONS)}")
    if tls.min_version > tls.max_version:
        raise LockError("tls_server_config: min_version is above max_version")
    if tls.client_allowed_sans and tls.client_auth != "always":
        # Without a certificate that has to be shown there are no names to compare.
        raise LockError(
            "tls_server_config: client_allowed_sans needs client_auth_type: "
            "RequireAndVerifyClientCert"
        )
    wanted = (tls.cert, tls.key, tls.client_ca, *tls.files, client_auth)
    if not any(wanted):
        return None
    if not (tls.cert or tls.cert_file):
        raise LockError("tls_server_config: cert_file is missing")
    if not (tls.key or tls.key_file):
        raise LockError("tls_server_config: key_file is missing")
    if client_auth not in CLIENT_AUTH_TYPES:
        known = ", ".join(filter(None, CLIENT_AUTH_TYPES))
        raise LockError(f"tls_server_config.client_auth_type: expected one of {known}")
    authorities = tls.client_ca or tls.client_ca_file
    if authorities and client_auth in {"", "NoClientCert"}:
        raise LockError("tls_server_config: client_ca_file without a client_auth_type")
    if tls.client_auth and not authorities:
        raise LockError("tls_server_config: client_auth_type needs a client_ca_file")
    return tls


def _parse_ciphers(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CIPHERS and name not in CIPHERS_OF_TLS13:
            raise LockError(f"tls_server_config.cipher_suites: unknown {name!r}")
    return tuple(CIPHERS[name] for name in names if name in CIPHERS)


def _parse_curves(names: tuple[str, ...]) -> str:
    for name in names:
        if name not in CURVES:
            raise LockError(f"tls_server_config.curve_preferences: unknown {name!r}")
    if len(names) > 1:
        raise LockError("tls_server_config.curve_preferences: this server can take one, or none")
    return CURVES[names[0]] if names else ""


def _parse_headers(table: "_Table") -> Mapping[str, str]:
    headers = table.all_texts()
    for name, value in headers.items():
        if name not in HEADERS:
            raise LockError(f"http_server_config.headers: {name!r} cannot be set")
        if HEADERS[name] and value not in HEADERS[name]:
            raise LockError(f"http_server_config.headers.{name}: not one of {HEADERS[name]}")
        if not value.isascii() or not value.isprintable():
            raise LockError(f"http_server_config.headers.{name}: no value of a header")
    return MappingProxyType(headers)


def _parse_users(table: "_Table") -> Mapping[str, str]:
    users = table.all_texts()
    for name, hashed in users.items():
        if not _BCRYPT.fullmatch(hashed):
            raise LockError(f"basic_auth_users: no bcrypt hash for {name!r} (htpasswd -nBC 10 '')")
    return MappingProxyType(users)


def _parse_duration(text: str) -> float:
    """Seconds of a duration as Go writes it, ``1m30s``; a bare number is nanoseconds."""
    if not text or re.fullmatch(r"\d+", text):
        return int(text or 0) * 1e-9
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise LockError(f"rate_limit.interval: {text!r} is no duration such as 1s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice: which of the two would lock?"""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        keys = [getattr(key, "value", None) for key, _ in node.value]
        if len({repr(key) for key in keys}) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Table:
    """A mapping of the file, of which every key must be taken."""

    def __init__(self, node: Any, where: str) -> None:
        if not isinstance(node, dict | None):
            raise LockError(f"{where.rstrip('.') or 'the file'}: expected a mapping")
        self._left: dict[Any, Any] = dict(node or {})
        self._where = where

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str) -> str:
        return self._as_text(name, self.take(name))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.take(name)
        if not isinstance(value, list | None):
            raise LockError(f"{self._where}{name}: expected a list")
        return tuple(self._as_text(name, item) for item in value or ())

    def flag(self, name: str) -> None:
        if not isinstance(self.take(name), bool | None):
            raise LockError(f"{self._where}{name}: expected true or false")

    def number(self, name: str) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | None) or (value or 0) < 0:
            raise LockError(f"{self._where}{name}: expected a number")
        return value or 0

    def all_texts(self) -> dict[str, str]:
        found = {str(name): self._as_text(str(name), value) for name, value in self._left.items()}
        self._left.clear()
        return found

    def end(self) -> None:
        """Raises :exc:`LockError` if there is more than was taken."""
        for name in self._left:
            raise LockError(f"unknown {self._where}{name}")

    def _as_text(self, name: str, value: Any) -> str:
        if not isinstance(value, str | int | float | None):
            raise LockError(f"{self._where}{name}: expected a text")
        return "" if value is None else str(value)
