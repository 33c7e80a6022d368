"""The lock's file: what it says, and that Prometheus' own tool judges it as we do."""

import shutil
import subprocess
from pathlib import Path

import pytest

from jupyter_kernel_exporter.serve.lock_config import (
    LockConfig,
    LockError,
    parse_lock_config,
    read_lock_config,
)
from jupyter_kernel_exporter.serve.lock_tls import make_context
from support.locks import make_certificate

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
PAIR = "cert_file: server.pem\n  key_file: server.key"


def tls(*lines: str) -> str:
    """A file with a working pair and some more lines."""
    return f"tls_server_config:\n  {PAIR}\n" + "".join(f"  {line}\n" for line in lines)


GOOD = {
    "empty": "",
    "only a remark": "# nothing yet\n",
    "empty sections": "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n",
    "users": f"basic_auth_users:\n  bob: {HASH}\n  eve: {HASH}\n",
    "2b": f"basic_auth_users:\n  bob: {HASH.replace('2y', '2b')}\n",
    "2a": f"basic_auth_users:\n  bob: {HASH.replace('2y', '2a')}\n",
    "a name of digits": f"basic_auth_users:\n  1: {HASH}\n",
    "tls": tls(),
    "tls and users": tls() + f"basic_auth_users:\n  bob: {HASH}\n",
    "versions": tls("min_version: TLS13", "max_version: TLS13"),
    "ciphers": tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"),
    "ciphers of 1.3": tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"),
    "curve": tls("curve_preferences: [CurveP256]"),
    "order": tls("prefer_server_cipher_suites: false"),
    "no client": tls("client_auth_type: NoClientCert"),
    "client asked": tls("client_auth_type: RequestClientCert", "client_ca_file: ca.pem"),
    "client if given": tls("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"),
    "client": tls("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.pem"),
    "headers": "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    "    Strict-Transport-Security: max-age=1\n    X-XSS-Protection: 1\n",
    "http2": "http_server_config:\n  http2: false\n",
}
BAD = {
    "no yaml": "tls_server_config: {",
    "a list": "- tls_server_config\n",
    "a word": "locked\n",
    "unknown": "basic_auth_user:\n",
    "unknown in tls": tls("cert: x", "certificate_file: server.pem"),
    "twice": f"basic_auth_users:\n  bob: {HASH}\nbasic_auth_users:\n",
    "users as list": f"basic_auth_users: [{HASH}]\n",
    "no hash": "basic_auth_users:\n  bob: secret\n",
    "empty hash": "basic_auth_users:\n  bob:\n",
    "hash cut off": f"basic_auth_users:\n  bob: {HASH[:40]}\n",
    "cost too low": f"basic_auth_users:\n  bob: {HASH.replace('$10$', '$03$')}\n",
    "cost too high": f"basic_auth_users:\n  bob: {HASH.replace('$10$', '$32$')}\n",
    "cert only": "tls_server_config:\n  cert_file: server.pem\n",
    "key only": "tls_server_config:\n  key_file: server.key\n",
    "no such cert": "tls_server_config:\n  cert_file: no.pem\n  key_file: server.key\n",
    "no such key": "tls_server_config:\n  cert_file: server.pem\n  key_file: no.key\n",
    "another's key": "tls_server_config:\n  cert_file: server.pem\n  key_file: ca.key\n",
    "key as cert": "tls_server_config:\n  cert_file: server.key\n  key_file: server.key\n",
    "no such authority": tls(
        "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: no.pem"
    ),
    "authority for nothing": tls("client_ca_file: ca.pem"),
    "client auth without tls": "tls_server_config:\n  client_auth_type: NoClientCert\n",
    "client auth unknown": tls("client_auth_type: Maybe"),
    "version unknown": tls("min_version: SSL30"),
    "cipher unknown": tls("cipher_suites: [ROT13]"),
    "ciphers as text": tls("cipher_suites: {a: b}"),
    "curve unknown": tls("curve_preferences: [CurveBall]"),
    "order as text": tls("prefer_server_cipher_suites: sometimes"),
    "header not allowed": "http_server_config:\n  headers:\n    Server: me\n",
    "header value": "http_server_config:\n  headers:\n    X-Frame-Options: maybe\n",
    "http2 as text": "http_server_config:\n  http2: perhaps\n",
}
STRICTER = {
    "TLS 1.0": tls("min_version: TLS10"),
    "TLS 1.1": tls("min_version: TLS11"),
    "versions crossed": tls("min_version: TLS13", "max_version: TLS12"),
    "any client certificate": tls("client_auth_type: RequireAnyClientCert"),
    "verify by nobody": tls("client_auth_type: RequireAndVerifyClientCert"),
    "two curves": tls("curve_preferences: [CurveP256, CurveP384]"),
    "the first bcrypt": f"basic_auth_users:\n  bob: {HASH.replace('2y', '2')}\n",
    "hash with more": f"basic_auth_users:\n  bob: {HASH}abc\n",
    "hash without its end": f"basic_auth_users:\n  bob: {HASH[:-1]}\n",
    "hash with junk": f"basic_auth_users:\n  bob: {HASH[:-1]}!\n",
    "a line in a header": 'http_server_config:\n  headers:\n    X-XSS-Protection: "1\\r\\nA: b"\n',
}
"""Refused here though Prometheus' tool takes it: it would lock less than its writer believes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a pair signed by it."""
    made = tmp_path_factory.mktemp("pki")
    make_certificate(made, "ca")
    make_certificate(made, "server", signed_by="ca")
    return made


def accepts(folder: Path, text: str) -> bool:
    """Whether the exporter would start with it."""
    path = folder / "web.yml"
    path.write_text(text)
    try:
        config = read_lock_config(str(path))
        if config.tls:
            make_context(config.tls)
    except LockError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    assert HASH not in said
    return False


def promtool_accepts(folder: Path, text: str) -> bool:
    """Whether Prometheus' own tool takes it."""
    path = folder / "web.yml"
    path.write_text(text)
    command = ["promtool", "check", "web-config", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", GOOD)
def test_good_files(folder: Path, name: str) -> None:
    """Everything that this server can do is taken."""
    assert accepts(folder, GOOD[name])


@pytest.mark.parametrize("name", [*BAD, *STRICTER])
def test_bad_files(folder: Path, name: str) -> None:
    """Everything else is one line, and no start."""
    assert not accepts(folder, (BAD | STRICTER)[name])


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_promtool_agrees(folder: Path) -> None:
    """On every file of the tables but those that are known to be taken too lightly."""
    judged = {
        name: promtool_accepts(folder, text) for name, text in (GOOD | BAD | STRICTER).items()
    }
    assert {name for name, good in judged.items() if good} == {*GOOD, *STRICTER}


def test_what_newer_exporters_know() -> None:
    """Names in client certificates and a rate: younger than the tool that checks the tables."""
    config = parse_lock_config(
        "tls_server_config:\n  cert_file: a\n  key_file: /k/b\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: c\n"
        "  client_allowed_sans: [prometheus, 10.0.0.1]\n"
        "rate_limit:\n  interval: 1m0.5s\n  burst: 5\n",
        "/etc/exporter",
    )
    assert config.tls is not None
    assert config.tls.files == ("/etc/exporter/a", "/k/b", "/etc/exporter/c")
    assert config.tls.client_allowed_sans == ("prometheus", "10.0.0.1")
    assert (config.rate_interval_seconds, config.rate_burst) == (60.5, 5)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["client_auth_type: NoClientCert"],
        ["client_auth_type: RequestClientCert", "client_ca_file: ca.pem"],
        ["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"],
        ["client_auth_type: RequireAnyClientCert", "client_ca_file: ca.pem"],
    ],
)
def test_names_in_certificates_that_nobody_has_to_show(lines: list[str]) -> None:
    """Whoever came without a certificate would get in."""
    with pytest.raises(LockError, match="needs client_auth_type: RequireAndVerifyClientCert"):
        parse_lock_config(tls("client_allowed_sans: [prometheus]", *lines), "")


def test_names_in_certificates_without_tls() -> None:
    """Such a file would lock nothing at all."""
    with pytest.raises(LockError, match="needs client_auth_type: RequireAndVerifyClientCert"):
        parse_lock_config("tls_server_config:\n  client_allowed_sans: [prometheus]\n", "")


@pytest.mark.parametrize("burst", ["", "  burst:\n", "  burst: 0\n"])
def test_a_rate_that_lets_nobody_in(burst: str) -> None:
    """An interval alone would answer every request with a 429."""
    with pytest.raises(LockError, match="a burst of 1 or more"):
        parse_lock_config(f"rate_limit:\n  interval: 1s\n{burst}", "")
    assert parse_lock_config(f"rate_limit:\n  interval: 0s\n{burst}", "") == LockConfig()


@pytest.mark.parametrize("interval", ["soon", "1", "1s2", "-1s", "1 s", "s"])
def test_no_durations(interval: str) -> None:
    """A bare number is nanoseconds, as Go has it; what is no duration is refused."""
    text = f"rate_limit:\n  interval: {interval}\n  burst: 1\n"
    if interval == "1":
        assert parse_lock_config(text, "").rate_interval_seconds == 1e-9
    else:
        with pytest.raises(LockError, match="no duration"):
            parse_lock_config(text, "")


def test_secrets_do_not_show() -> None:
    """Neither in what is printed of a configuration, nor in what is said of a broken file."""
    config = parse_lock_config(tls("key: hidden") + f"basic_auth_users:\n  bob: {HASH}\n", "")
    assert "hidden" not in repr(config)
    assert HASH not in repr(config)
    with pytest.raises(LockError) as error:
        parse_lock_config(f"basic_auth_users:\n  bob: {HASH}\n  {HASH}\n", "")
    assert HASH not in str(error.value)


def test_certificates_within_the_file(folder: Path) -> None:
    """PEM may stand in the file itself."""

    def block(name: str) -> str:
        return "".join(f"    {line}\n" for line in (folder / name).read_text().splitlines())

    text = f"tls_server_config:\n  cert: |\n{block('server.pem')}  key: |\n{block('server.key')}"
    config = parse_lock_config(text, "")
    assert config.tls is not None
    make_context(config.tls)


def test_a_file_that_is_not_there() -> None:
    """One line with its name."""
    with pytest.raises(LockError, match=r"cannot read /no/web\.yml"):
        read_lock_config("/no/web.yml")
    assert parse_lock_config("", "") == LockConfig()
