"""The lock while it runs: whom it lets in, and how it follows its files."""

import logging
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jupyter_kernel_exporter.serve.lock import Lock, Rate, open_lock
from jupyter_kernel_exporter.serve.lock_config import LockConfig, LockError
from jupyter_kernel_exporter.settings import resolve
from support.jupyter import wait_until
from support.locks import basic, hashed, locked_site, make_certificate

ROUTES = (
    *("/", "/metrics", "/api/v1/kernels", "/api/v1/kernels/x", "/api/v1/deaths", "/openapi.json"),
    *("/-/healthy", "/-/ready", "/static/page.js", "/nowhere"),
)
USERS = f"basic_auth_users:\n  bob: {hashed('right')}\n"
HEADERS = """http_server_config:
  headers:
    Strict-Transport-Security: max-age=60
    Content-Security-Policy: default-src 'none'
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and what it has signed."""
    made = tmp_path_factory.mktemp("pki")
    make_certificate(made, "ca")
    make_certificate(made, "other")
    make_certificate(made, "server", signed_by="ca")
    make_certificate(made, "client", signed_by="ca", sans="DNS:prometheus,IP:10.0.0.1")
    make_certificate(made, "stranger", signed_by="other", sans="DNS:prometheus")
    return made


def write(path: Path, text: str) -> Path:
    """Replace a file at once, as careful programs do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)
    return path


def tls(pki: Path, *lines: str) -> str:
    """TLS with the authority's pair."""
    text = f"tls_server_config:\n  cert_file: {pki}/server.pem\n  key_file: {pki}/server.key\n"
    return text + "".join(f"  {line}\n" for line in lines)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a site that bob may see."""
    path = write(tmp_path / "web.yml", USERS + HEADERS)
    with (
        locked_site(path) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_is_open(people: httpx.Client, route: str) -> None:
    """Health too, as all Prometheus exporters have it; with a password they are what they were."""
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        refused = people.request(method, route)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert "kernel" not in refused.text
    assert people.get(route, headers={"authorization": basic("bob", "right")}).status_code in {
        200,
        404,
    }


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(basic("bob", "wrong"), id="wrong"),
        pytest.param(basic("eve", "right"), id="unknown"),
        pytest.param(basic("bob", "r" * 5000), id="over-long"),
        pytest.param(basic("b" * 5000, "right"), id="over-long name"),
        pytest.param("Basic " + "A" * 10_000, id="zeros"),
        pytest.param("Bearer right", id="another scheme"),
        pytest.param("", id="empty"),
    ],
)
def test_wrong_credentials(people: httpx.Client, header: str) -> None:
    """Whatever is wrong with them, the answer is the same."""
    refused = people.get("/metrics", headers={"authorization": header})
    assert (refused.status_code, refused.json()) == (401, {"detail": "name and password, please"})


def test_two_sets_of_credentials(people: httpx.Client) -> None:
    """Which of the two a proxy has looked at nobody knows: neither counts."""
    both = [("authorization", basic("bob", "right")), ("authorization", basic("eve", "x"))]
    assert people.get("/metrics", headers=both).status_code == 401


def test_a_head_larger_than_any_sense(people: httpx.Client) -> None:
    """It is cut off before anything looks at it."""
    try:
        status = people.get("/", headers={"authorization": basic("bob", "r" * 100_000)}).status_code
    except httpx.TransportError:
        return  # hung up while the rest of it was still on its way
    assert status == 400


def test_headers_of_the_file(people: httpx.Client) -> None:
    """They are set on every answer, and win over ours."""
    for answer in (people.get("/metrics"), people.get("/metrics", auth=("bob", "right"))):
        assert answer.headers["strict-transport-security"] == "max-age=60"
        assert answer.headers.get_list("content-security-policy") == ["default-src 'none'"]


def client_context(pki: Path, *, authority: str = "ca", show: str = "") -> ssl.SSLContext:
    """How a client trusts, and what it shows."""
    context = ssl.create_default_context(cafile=str(pki / f"{authority}.pem"))
    if show:
        context.load_cert_chain(pki / f"{show}.pem", pki / f"{show}.key")
    return context


def status(port: int, context: ssl.SSLContext) -> int:
    """Of a request over TLS; 0 if there was no talk."""
    try:
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.get(f"https://127.0.0.1:{port}/-/healthy").status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize(
    ("lines", "show", "expected"),
    [
        ([], "", 200),
        (["client_auth_type: RequestClientCert", "client_ca_file: ca.pem"], "", 200),
        (["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"], "", 0),
        (["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"], "client", 200),
        (["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"], "stranger", 0),
        (["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"], "", 200),
        (["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"], "stranger", 0),
        (["client_allowed_sans: [prometheus]"], "client", 200),
        (["client_allowed_sans: [10.0.0.1]"], "client", 200),
        (["client_allowed_sans: [grafana]"], "client", 0),
        (["min_version: TLS13"], "", 200),
        (
            ["cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", "max_version: TLS12"],
            "",
            200,
        ),
        (["curve_preferences: [CurveP384]"], "", 200),
    ],
)
def test_certificates_of_clients(
    pki: Path, tmp_path: Path, lines: list[str], show: str, expected: int
) -> None:
    """Who shows none, one of ours, or one of somebody else."""
    if any("allowed_sans" in line for line in lines):
        lines = [*lines, "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"]
    lines = [line.replace("ca.pem", f"{pki}/ca.pem") for line in lines]
    with locked_site(write(tmp_path / "web.yml", tls(pki, *lines))) as port:
        assert status(port, client_context(pki, show=show)) == expected
        # Without TLS there is no talk at all.
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/-/healthy", trust_env=False)


def test_an_authority_that_is_taken_back(pki: Path, tmp_path: Path) -> None:
    """Not only certificates, also whom they are trusted by, follows the file."""
    ours = ["client_auth_type: RequireAndVerifyClientCert", f"client_ca_file: {pki}/ca.pem"]
    path = write(tmp_path / "web.yml", tls(pki, *ours))
    with locked_site(path) as port:
        assert status(port, client_context(pki, show="client")) == 200
        write(path, tls(pki, ours[0], f"client_ca_file: {pki}/other.pem"))
        wait_until(
            lambda: status(port, client_context(pki, show="client")) == 0, "the old one is out"
        )
        assert status(port, client_context(pki, show="stranger")) == 200


def test_users_follow_the_file(tmp_path: Path) -> None:
    """Who is taken out of it is out, and what cannot be used changes nothing."""
    path = write(tmp_path / "web.yml", USERS)
    lock = Lock(str(path))
    try:
        assert not lock.renew()
        write(path, USERS.replace("bob", "eve"))
        assert lock.renew()
        assert set(lock.config.users) == {"eve"}
        for broken in ("basic_auth_users:\n  bob: secret\n", "", "basic_auth_users:\n", "{"):
            write(path, broken)
            assert not lock.renew()
            assert set(lock.config.users) == {"eve"}
        path.unlink()
        assert not lock.renew()
        assert set(lock.config.users) == {"eve"}
        write(path, USERS)
        assert lock.renew()
        assert set(lock.config.users) == {"bob"}
    finally:
        lock.close()


def test_a_pair_that_is_half_renewed(
    pki: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate without its key changes nothing, and is said once."""
    for suffix in ("pem", "key"):
        (tmp_path / f"my.{suffix}").write_bytes((pki / f"server.{suffix}").read_bytes())
    path = write(
        tmp_path / "web.yml", "tls_server_config:\n  cert_file: my.pem\n  key_file: my.key\n"
    )
    lock = Lock(str(path))
    try:
        assert lock.context is not None
        before = lock.context.current
        write(tmp_path / "my.pem", (pki / "client.pem").read_text())
        for _ in range(3):
            assert not lock.renew()
        assert lock.context.current is before
        (said,) = caplog.records
        assert "key values mismatch" in str(said.__dict__["problem"])
        write(tmp_path / "my.key", (pki / "client.key").read_text())
        assert lock.renew()
        assert lock.context.current is not before
    finally:
        lock.close()


def test_tls_does_not_come_and_go(pki: Path, tmp_path: Path) -> None:
    """That takes a restart: a scraper that asks for TLS must not suddenly speak without."""
    path = write(tmp_path / "web.yml", tls(pki) + USERS)
    lock = Lock(str(path))
    try:
        write(path, USERS)
        assert not lock.renew()
        assert lock.config.tls is not None
    finally:
        lock.close()


def test_a_rate() -> None:
    """So many at once, then one per interval; 0 is no limit."""
    now = [100.0]
    rate = Rate(LockConfig(rate_interval_seconds=1.0, rate_burst=2), lambda: now[0])
    assert [rate.take() for _ in range(3)] == [True, True, False]
    now[0] += 1.0
    assert [rate.take() for _ in range(2)] == [True, False]
    now[0] += 100.0
    assert [rate.take() for _ in range(3)] == [True, True, False]
    free = Rate(LockConfig(), lambda: now[0])
    assert all(free.take() for _ in range(100))


def test_a_rate_is_answered(tmp_path: Path) -> None:
    """With 429, before any password is compared."""
    path = write(tmp_path / "web.yml", "rate_limit:\n  interval: 1h\n  burst: 2\n")
    with locked_site(path) as port:
        url = f"http://127.0.0.1:{port}/-/healthy"
        answers = [httpx.get(url, trust_env=False).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


@pytest.mark.parametrize(
    ("addresses", "text", "warns"),
    [
        (["127.0.0.1:1"], None, False),
        (["0.0.0.0:1"], None, True),
        (["127.0.0.1:1", "10.0.0.1:1"], None, True),
        (["0.0.0.0:1"], USERS, False),
        (["0.0.0.0:1"], HEADERS, True),
    ],
    ids=["loopback", "wide", "one of two wide", "wide, users", "wide, headers only"],
)
def test_a_warning_when_everybody_may_look(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    addresses: list[str],
    text: str | None,
    warns: bool,
) -> None:
    """Bound wider than loopback without a lock is said in the log; headers are no lock."""
    flags: dict[str, str | bool | list[str]] = {"web.listen-address": addresses}
    if text is not None:
        flags["web.config.file"] = str(write(tmp_path / "web.yml", text))
    with caplog.at_level(logging.WARNING):
        lock = open_lock(resolve(flags, {}))
    if lock is not None:
        lock.close()
    assert [record.getMessage().startswith("open to everybody") for record in caplog.records] == (
        [True] if warns else []
    )


def test_a_lock_that_does_not_close(tmp_path: Path) -> None:
    """There is no start without it."""
    flags: dict[str, str | bool | list[str]] = {"web.config.file": str(tmp_path / "no.yml")}
    with pytest.raises(LockError):
        open_lock(resolve(flags, {}))
