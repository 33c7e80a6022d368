"""TLS as the lock's file wants it, renewed under connections that are open.

asyncio and uvicorn take one context at the start and keep it. This one hands every new connection
to the context that counts at that moment, so that certificates, authorities and versions change
without a restart, and connections that are open stay as they are.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from typing import Any, Self

from jupyter_kernel_exporter.serve.lock_config import LockError, Tls

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {"": ssl.CERT_NONE, "if given": ssl.CERT_OPTIONAL, "always": ssl.CERT_REQUIRED}


def make_context(tls: Tls) -> ssl.SSLContext:
    """A context for one state of the files. Raises :exc:`LockError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        if tls.ciphers:
            context.set_ciphers(":".join(tls.ciphers))
        if tls.curve:
            context.set_ecdh_curve(tls.curve)
        with _as_file(tls.cert, tls.cert_file) as cert, _as_file(tls.key, tls.key_file) as key:
            # A key with a password would have OpenSSL ask for it at the terminal.
            context.load_cert_chain(cert, key, password="")
        context.verify_mode = _VERIFY[tls.client_auth]
        if tls.client_auth:
            context.load_verify_locations(tls.client_ca_file or None, cadata=tls.client_ca or None)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        names = ", ".join(tls.files) or "cert, key, client_ca"
        raise LockError(f"tls_server_config: {names}: {_sentence(error)}") from None
    return context


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate, or no key").replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@contextlib.contextmanager
def _as_file(text: str, path: str) -> Iterator[str]:
    """A name that OpenSSL can open; for a text a file that exists in memory only."""
    if path:
        yield path
        return
    fd = os.memfd_create("pem")
    try:
        os.write(fd, text.encode())
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


class RenewableContext(ssl.SSLContext):
    """Stands before the context that counts now."""

    current: ssl.SSLContext

    def __new__(cls, _current: ssl.SSLContext) -> Self:
        """As every context for servers."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: ssl.SSLContext) -> None:
        self.current = current

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """A new connection, as asyncio begins it."""
        return self.current.wrap_bio(*args, **kwargs)


def names_of(peer: dict[str, Any]) -> frozenset[str]:
    """The subject alternative names of a client's certificate, as ``getpeercert()`` tells them."""
    kinds = {"DNS", "email", "IP Address", "URI"}
    return frozenset(name for kind, name in peer.get("subjectAltName", ()) if kind in kinds)
