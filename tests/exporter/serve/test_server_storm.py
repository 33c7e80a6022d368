"""Whoever asks and however, the server goes on: half-open requests, readers who never read, crowds,
guesses; and the real daemon behind TLS, asked by curl and by Prometheus while its certificate
changes.
"""

import concurrent.futures
import contextlib
import functools
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from jupyter_kernel_exporter.serve import server as server_module
from jupyter_kernel_exporter.serve.patience import HEAD_SECONDS
from support.daemon import Daemon, running_daemon
from support.jupyter import PYTHON_ARGV, Folders, wait_until
from support.locks import basic, hashed, locked_site, make_certificate
from support.prometheus import running_prometheus
from support.snapshots import crowd

HEALTHY = "/-/healthy"
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
"""No certificates of authorities are loaded for talk without TLS: that takes its time."""


@contextlib.contextmanager
def many(port: int, number: int, text: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections that say no more than this."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            with contextlib.suppress(OSError):
                one.sendall(text)
            one.setblocking(False)
            made.append(one)
        yield made


def is_over(connection: socket.socket) -> bool:
    """Whether the other side has hung up."""
    try:
        return connection.recv(65536, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answers(port: int, within: float) -> bool:
    """Whether a new client gets its answer in that time."""
    with contextlib.suppress(httpx.TransportError):
        url = f"http://127.0.0.1:{port}{HEALTHY}"
        return httpx.get(url, timeout=within, **PLAIN).status_code == 200
    return False


@pytest.mark.patient
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ", id="half a head"),
        pytest.param(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\nGET", id="half a second"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx", id="half a body"
        ),
    ],
)
def test_half_open_requests_end(text: bytes) -> None:
    """In seconds, however much is trickled in meanwhile; others are answered all the time."""
    with locked_site(None) as port, many(port, 20, text) as slow:
        began = time.monotonic()

        def all_over() -> bool:
            for one in slow:
                with contextlib.suppress(OSError):
                    one.send(b"a")
                    while one.recv(65536):
                        pass
            assert answers(port, 5)
            return all(is_over(one) for one in slow)

        wait_until(all_over, "all of them were hung up on", within=4 * HEAD_SECONDS, every=0.2)
        assert time.monotonic() - began < 4 * HEAD_SECONDS


def test_more_connections_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits longest has to go: a new client is answered at once."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 30)
    half = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    with locked_site(None) as port, many(port, 100, half) as slow:
        assert answers(port, 2)
        wait_until(lambda: sum(map(is_over, slow)) >= 70, "the first of them are gone", within=2)


@pytest.mark.patient
def test_handshakes_that_never_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They count as connections, though uvicorn does not know of them."""
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 30)
    make_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    with locked_site(tmp_path / "web.yml") as port, many(port, 100, b"\x16\x03\x01") as slow:
        with httpx.Client(verify=context, timeout=2, trust_env=False) as client:
            assert client.get(f"https://127.0.0.1:{port}{HEALTHY}").status_code == 200
        wait_until(lambda: sum(map(is_over, slow)) >= 70, "the first of them are gone", within=3)
        wait_until(lambda: all(map(is_over, slow)), "all are gone", within=3 * HEAD_SECONDS)


def test_a_reader_who_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is kept for somebody for so long and no longer."""
    monkeypatch.setattr("jupyter_kernel_exporter.serve.patience.READ_SECONDS", 0.5)
    with locked_site(None, crowd(3000)) as port, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /api/v1/kernels HTTP/1.1\r\nHost: localhost\r\n\r\n")

        def reset() -> bool:
            with contextlib.suppress(BlockingIOError):
                one.send(b"a", socket.MSG_DONTWAIT)
            return False

        with pytest.raises(ConnectionError):
            wait_until(reset, "it was hung up on", within=20)


def test_guesses_do_not_stop_the_server(tmp_path: Path) -> None:
    """While passwords are guessed as fast as they come, those who are known are answered."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  bob: {hashed('right', 8)}\n")
    stop = threading.Event()
    seen: list[int] = []

    def guess(url: str, number: int) -> None:
        with httpx.Client(timeout=30, **PLAIN) as client:
            count = 0
            while not stop.is_set():
                count += 1
                header = {"authorization": basic("bob", f"{number} {count}")}
                seen.append(client.get(url, headers=header).status_code)

    with locked_site(path) as port, concurrent.futures.ThreadPoolExecutor(24) as pool:
        url = f"http://127.0.0.1:{port}{HEALTHY}"
        right = {"authorization": basic("bob", "right")}
        assert httpx.get(url, headers=right, **PLAIN).status_code == 200
        guesses = [pool.submit(guess, url, number) for number in range(24)]
        try:
            wait_until(lambda: len(seen) > 20, "guesses are made")
            for _ in range(20):
                assert httpx.get(url, headers=right, timeout=3, **PLAIN).status_code == 200
        finally:
            stop.set()
        for done in guesses:
            done.result(60)
    assert set(seen) == {401, 503}


class Mortal(NamedTuple):
    """A kernel, and what Jupyter would call it."""

    id: str
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def kernel(home: Path) -> Iterator[Mortal]:
    """A kernel that no server looks after."""
    folders = Folders(home)
    folders.make({})
    kernel_id = str(uuid.uuid4())
    file = folders.runtime / f"kernel-{kernel_id}.json"
    process = subprocess.Popen(
        [part.format(connection_file=file) for part in PYTHON_ARGV],
        env=folders.environ({"JPY_PARENT_PID": str(os.getpid())}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            yield Mortal(kernel_id, process)
        finally:
            process.kill()


def reasons(daemon: Daemon, kernel_id: str) -> list[str]:
    """Why a kernel has ended."""
    query = {"kernel_id": kernel_id}
    rows = daemon.http.get("/api/v1/deaths", params=query, timeout=30).json()["deaths"]
    return [row["reason"] for row in rows]


@pytest.mark.real
def test_a_crowd_does_not_stop_the_sampling(tmp_path: Path) -> None:
    """200 scrapers at once and 200 half-open requests beside them: the samples go on, and a kernel
    that crashes meanwhile is explained.
    """
    with running_daemon(tmp_path, "--sample.interval=0.5") as daemon, kernel(tmp_path) as mortal:
        stop = threading.Event()
        counts = [0] * 200

        def scrape(number: int) -> None:
            with httpx.Client(timeout=30, **PLAIN) as client:
                while not stop.is_set():
                    answer = client.get(f"http://127.0.0.1:{daemon.port}/metrics")
                    assert answer.status_code == 200
                    counts[number] += 1
                    stop.wait(1.0)

        half = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        with (
            many(daemon.port, 200, half),
            concurrent.futures.ThreadPoolExecutor(200) as pool,
        ):
            scrapers = [pool.submit(scrape, number) for number in range(200)]
            try:
                wait_until(lambda: all(counts) or any(s.done() for s in scrapers), "all scraped")
                taken = set()
                began = time.monotonic()
                while time.monotonic() - began < 6:
                    model = daemon.http.get("/api/v1/kernels", timeout=30).json()
                    taken.add(model["taken_at"])
                    assert daemon.http.get("/-/ready", timeout=30).status_code == 200
                    time.sleep(0.1)
                path = f"/api/v1/kernels/{mortal.id}"
                wait_until(lambda: daemon.http.get(path, timeout=30).is_success, "it is seen")
                mortal.process.send_signal(signal.SIGSEGV)
                wait_until(lambda: reasons(daemon, mortal.id) == ["segfault"], "it is explained")
                assert not any(s.done() for s in scrapers)
            finally:
                stop.set()
            for done in scrapers:
                done.result(60)
    assert all(counts)
    # Twelve are due; a machine that is busy otherwise is given some leave.
    assert len(taken) >= 6


def peers_of(daemon: Daemon) -> set[int]:
    """The ports of those who are connected to a daemon's web server.

    It has other sockets, too: to the kernels that it listens to, of this test or another.
    """
    connections = psutil.Process(daemon.process.pid).net_connections("tcp")
    return {
        one.raddr.port
        for one in connections
        if one.laddr.port == daemon.port and one.status != psutil.CONN_LISTEN
    }


def is_cut_off(secure: ssl.SSLSocket) -> bool:
    """Whether the other side has hung up, without having said anything."""
    try:
        said = secure.recv(65536)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
    assert said == b""
    return True


@pytest.mark.real
@pytest.mark.patient
def test_passwords_that_never_end(tmp_path: Path) -> None:
    """Who trickles a password over TLS is cut off in seconds, and nothing of it stays; who has the
    right one is let in all the time.
    """
    make_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        f"basic_auth_users:\n  prometheus: {hashed('right', 10)}\n"
    )
    trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    right: dict[str, Any] = {"verify": trusting, "auth": ("prometheus", "right")}
    with (
        running_daemon(
            tmp_path, f"--web.config.file={tmp_path / 'web.yml'}", client=right
        ) as daemon,
        contextlib.ExitStack() as stack,
    ):
        began = time.monotonic()
        slow = []
        for raw in stack.enter_context(many(daemon.port, 8)):
            raw.settimeout(10)
            one = stack.enter_context(trusting.wrap_socket(raw, server_hostname="localhost"))
            one.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ")
            one.setblocking(False)
            slow.append(one)

        def is_let_in() -> bool:
            with httpx.Client(timeout=5, trust_env=False, **right) as client:
                answer = client.get(f"https://127.0.0.1:{daemon.port}/metrics")
                return answer.status_code == 200

        def all_over() -> bool:
            for one in slow:
                with contextlib.suppress(OSError):
                    one.send(b"A")
            assert is_let_in()
            return all(is_cut_off(one) for one in slow)

        assert is_let_in()
        assert not any(is_cut_off(one) for one in slow)
        theirs = {one.getsockname()[1] for one in slow}
        assert theirs <= peers_of(daemon)
        wait_until(all_over, "all of them were hung up on", within=3 * HEAD_SECONDS, every=0.2)
        assert time.monotonic() - began > HEAD_SECONDS
        wait_until(lambda: not theirs & peers_of(daemon), "nothing of them is left", within=5)
        assert is_let_in()
        assert "Traceback" not in daemon.log


def scraping(port: int, name: str, password: dict[str, str]) -> dict[str, object]:
    """Twice a second, with a password, over TLS."""
    return {
        "job_name": name,
        "scrape_interval": "500ms",
        "scrape_timeout": "500ms",
        "scheme": "https",
        "basic_auth": {"username": "prometheus", **password},
        "tls_config": {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"},
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }


def values(http: httpx.Client, query: str) -> list[float]:
    """Of an instant query."""
    found = http.get("/api/v1/query", params={"query": query}).json()["data"]["result"]
    return [float(one["value"][1]) for one in found]


def serial(home: Path, port: int) -> int:
    """The number of the certificate that the server shows now."""
    context = ssl.create_default_context(cafile=str(home / "ca.pem"))
    context.load_cert_chain(home / "client.pem", home / "client.key")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


def has_changed(home: Path, port: int, before: int) -> bool:
    """Whether the server shows another certificate now."""
    return serial(home, port) != before


class Visit(NamedTuple):
    """What one request on a connection of its own has seen."""

    status: int
    certificate: bytes


def visit(port: int, trusting: ssl.SSLContext) -> Visit:
    """One handshake, one request."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusting)
    with contextlib.closing(connection):
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate = connection.sock.getpeercert(binary_form=True)
        assert certificate is not None
        known = {"Authorization": basic("prometheus", "right"), "Connection": "close"}
        connection.request("GET", "/metrics", headers=known)
        answer = connection.getresponse()
        answer.read()
        return Visit(answer.status, certificate)


@contextlib.contextmanager
def visits(port: int, trusting: ssl.SSLContext) -> Iterator[list[Visit]]:
    """Visits one after the other, meanwhile; none may fail."""
    stop = threading.Event()
    made: list[Visit] = []

    def go_on() -> None:
        while not stop.is_set():
            made.append(visit(port, trusting))
            stop.wait(0.1)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            yield made
        finally:
            stop.set()
            going.result(60)


def renew(home: Path, port: int, made: list[Visit]) -> None:
    """Another certificate, until visitors have seen it too."""

    def is_seen() -> bool:
        shown = ssl.PEM_cert_to_DER_cert((home / "server.pem").read_text())
        return shown in {one.certificate for one in made}

    wait_until(is_seen, "visitors have seen the one before")
    before = serial(home, port)
    make_certificate(home, "new", signed_by="ca")
    for suffix in ("pem", "key"):
        os.replace(home / f"new.{suffix}", home / f"server.{suffix}")
        time.sleep(0.1)  # the pair is half renewed for a while
    wait_until(functools.partial(has_changed, home, port, before), "it is renewed")
    wait_until(is_seen, "visitors have seen it")


def curl(home: Path, port: int, *arguments: str) -> tuple[int, str]:
    """Its exit status, and that of the answer."""
    done = subprocess.run(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20"),
            *("--cacert", f"{home}/ca.pem", *arguments, f"https://127.0.0.1:{port}/metrics"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.real
@pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("curl")), reason="needs prometheus and curl"
)
def test_behind_tls_and_a_password(tmp_path: Path) -> None:
    """curl and Prometheus are let in with a certificate and a password and not without, and no
    scrape is lost while the server's certificate is renewed three times, nor any visit on a
    connection of its own: Prometheus keeps its own, and might never see another certificate.
    """
    make_certificate(tmp_path, "ca")
    make_certificate(tmp_path, "server", signed_by="ca")
    make_certificate(tmp_path, "client", signed_by="ca", sans="DNS:prometheus")
    (tmp_path / "password").write_text("right")
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
        f"basic_auth_users:\n  prometheus: {hashed('right', 10)}\n"
    )
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    trusting.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    with running_daemon(
        tmp_path,
        f"--web.config.file={tmp_path / 'web.yml'}",
        client={"verify": trusting, "auth": ("prometheus", "right")},
    ) as daemon:
        port = daemon.port
        shown = ("--cert", f"{tmp_path}/client.pem", "--key", f"{tmp_path}/client.key")
        assert curl(tmp_path, port, *shown, "-u", "prometheus:right") == (0, "200")
        assert curl(tmp_path, port, *shown, "-u", "prometheus:wrong") == (0, "401")
        assert curl(tmp_path, port, *shown, "-u", f"prometheus:{'x' * 3000}") == (0, "401")
        assert curl(tmp_path, port, *shown) == (0, "401")
        assert curl(tmp_path, port, "-u", "prometheus:right")[1] == "000"
        assert curl(tmp_path, port, *shown, "--tls-max", "1.1")[1] == "000"
        right, wrong = {"password_file": "password"}, {"password": "guessed"}
        jobs = [scraping(port, "right", right), scraping(port, "wrong", wrong)]
        with running_prometheus(tmp_path, {"scrape_configs": jobs}) as http:
            wait_until(lambda: values(http, 'up{job="right"}') == [1], "Prometheus is let in")
            wait_until(lambda: values(http, 'up{job="wrong"}') == [0], "the other is not")
            with visits(port, trusting) as made:
                for _ in range(3):
                    renew(tmp_path, port, made)
            assert {one.status for one in made} == {200}
            assert len({one.certificate for one in made}) == 4
            scrapes = values(http, 'count_over_time(up{job="right"}[5m])')[0]
            wait_until(
                lambda: values(http, 'count_over_time(up{job="right"}[5m])')[0] > scrapes + 1,
                "it is scraped with the last of them",
            )
            # On a machine that is busy otherwise, half a second may be too short for a scrape.
            reasons = {
                target["lastError"]
                for target in http.get("/api/v1/targets").json()["data"]["activeTargets"]
                if target["labels"]["job"] == "right"
            }
            assert reasons <= {"", "context deadline exceeded"}
            assert values(http, 'avg_over_time(up{job="right"}[5m])')[0] > 0.9
        assert "lock renewed" in daemon.log
