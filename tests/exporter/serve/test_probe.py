"""The container's health check, of exporters with and without a lock."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.serve.probe import is_well, own_address
from jupyter_kernel_exporter.settings import Address
from support.daemon import free_port
from support.locks import hashed, locked_site, make_certificate
from support.snapshots import NOW, snapshot

USERS = f"basic_auth_users: {{bob: {hashed('right')}}}\n"
TLS = "tls_server_config: {cert_file: own.pem, key_file: own.key"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (None, Address("127.0.0.1", 18888)),
        ("0.0.0.0:18888", Address("127.0.0.1", 18888)),
        (":80", Address("127.0.0.1", 80)),
        ("[::]:1,10.0.0.1:2", Address("::1", 1)),
        ("10.0.0.1:2", Address("10.0.0.1", 2)),
    ],
)
def test_whom_to_ask(given: str | None, asked: Address) -> None:
    """The first address, and loopback where it listens on all of them."""
    environ = {} if given is None else {"JKE_WEB_LISTEN_ADDRESS": given}
    assert own_address(environ) == asked


@pytest.mark.parametrize(
    "text",
    [
        None,
        USERS,
        TLS + "}\n",
        TLS + "}\n" + USERS,
        TLS + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: own.pem}\n",
    ],
    ids=["open", "users", "tls", "both", "certificates"],
)
def test_it_is_well_behind_every_lock(tmp_path: Path, text: str | None) -> None:
    """The check has neither a password nor a certificate, and needs none."""
    make_certificate(tmp_path, "own")
    path = tmp_path / "web.yml"
    path.write_text(text or "")
    with locked_site(path if text else None) as port:
        assert is_well(Address("127.0.0.1", port))


def test_it_is_not_well() -> None:
    """With a sample that is old, or where nobody listens."""
    with locked_site(None, snapshot(taken_at=NOW - 60)) as port:
        assert not is_well(Address("127.0.0.1", port))
    assert not is_well(Address("127.0.0.1", free_port()))
