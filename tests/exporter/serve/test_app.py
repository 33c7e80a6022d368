"""The routes, over HTTP: what they answer, to whom, and in which shape they refuse."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_kernel_exporter.publish.encode import Format
from jupyter_kernel_exporter.serve.guard import HEADERS
from jupyter_kernel_exporter.serve.scrape import Scrape
from support.site import Site, site
from support.snapshots import NOW, crowd, full_snapshot, live, snapshot

ROUTES = [
    "/",
    "/metrics",
    "/api/v1/kernels",
    "/api/v1/kernels/bare",
    "/-/healthy",
    "/-/ready",
    "/openapi.json",
    "/static/page.css",
    "/static/page.js",
]


@pytest.fixture(scope="module")
def full() -> Iterator[Site]:
    """A site with every kind of value, and a hostile kernel."""
    with site(full_snapshot()) as made:
        yield made


@pytest.mark.parametrize("path", ROUTES)
def test_head_is_get_without_a_body(full: Site, path: str) -> None:
    """HEAD works where GET does and gives the same status and headers."""
    got = full.client.get(path)
    head = full.client.head(path)
    assert got.status_code == head.status_code == 200
    assert head.content == b""
    for headers in (head.headers, got.headers):
        headers.pop("date")
    assert dict(head.headers) == dict(got.headers)


@pytest.mark.parametrize("path", ROUTES)
def test_every_response_has_the_security_headers(full: Site, path: str) -> None:
    """Whatever is answered, browsers are told how little they may do with it."""
    for response in (full.client.get(path), full.client.post(path)):
        for name, value in HEADERS.items():
            assert response.headers[name] == value


@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_are_refused(full: Site, path: str) -> None:
    """Nothing can be changed from outside: 405 with a detail, and what is allowed."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response = full.client.request(method, path)
        assert response.status_code == 405
        assert set(response.json()) == {"detail"}
        if not path.startswith("/static"):
            assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/metrics/",
        "/docs",
        "/redoc",
        "/api/v1/kernels/",
        "/api/v1/kernels/no-such-kernel",
        "/api/v1/kernels/..%2F..%2Fetc%2Fpasswd",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/",
    ],
)
def test_what_is_not_there(full: Site, path: str) -> None:
    """404 is JSON with a detail, for a path that climbs out as well."""
    response = full.client.get(path)
    assert response.status_code == 404
    assert set(response.json()) == {"detail"}


def test_a_fault_of_ours_is_a_500_without_details() -> None:
    """An error inside is JSON with a detail that gives nothing away."""

    class Broken(Scrape):
        def body(self, *_args: object) -> bytes:
            raise RuntimeError("the secret of the house")

    with site(snapshot(), scrape=Broken()) as made:
        response = made.client.get("/metrics")
        assert response.status_code == 500
        assert response.json() == {"detail": "internal error"}
        assert response.headers["x-content-type-options"] == "nosniff"
        assert made.client.get("/-/healthy").status_code == 200


@pytest.mark.parametrize(
    ("accept", "fmt"),
    [
        (None, Format.TEXT),
        ("text/plain", Format.TEXT),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", Format.OPENMETRICS),
        ("application/openmetrics-text;version=nonsense", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0\u00e9", Format.OPENMETRICS),
    ],
)
@pytest.mark.parametrize("encoding", [None, "gzip", "br, gzip;q=0.5", "gzip;q=0", "identity"])
def test_metrics_by_accept(
    full: Site, accept: str | None, fmt: Format, encoding: str | None
) -> None:
    """Format and compression are what was asked for, and the same bytes inside."""
    request = full.client.build_request("GET", "/metrics")
    request.headers.encoding = "utf-8"
    for name, value in (("accept", accept), ("accept-encoding", encoding)):
        del request.headers[name]
        if value:
            request.headers[name] = value
    response = full.client.send(request, stream=True)
    body = b"".join(response.iter_raw())
    response.close()
    assert response.status_code == 200
    assert response.headers["content-type"] == fmt
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    gzipped = encoding in {"gzip", "br, gzip;q=0.5"}
    assert (response.headers.get("content-encoding") == "gzip") == gzipped
    assert len(body) == int(response.headers["content-length"])
    text = (gzip.decompress(body) if gzipped else body).decode()
    assert text.endswith("# EOF\n") == (fmt is Format.OPENMETRICS)
    assert "process_resident_memory_bytes " in text


def test_telemetry_path_is_a_setting() -> None:
    """The metrics are where the setting says, and the page links there."""
    with site(snapshot(), flags={"web.telemetry-path": "/kernels/metrics"}) as made:
        assert made.client.get("/kernels/metrics").status_code == 200
        assert made.client.get("/metrics").status_code == 404
        assert 'href="kernels/metrics"' in made.client.get("/").text


def test_before_the_first_sample() -> None:
    """The process is healthy, but there is nothing to say yet: 503, and the page waits."""
    with site() as made:
        assert made.client.get("/-/healthy").json() == {"status": "healthy"}
        for path in ("/-/ready", "/metrics", "/api/v1/kernels", "/api/v1/kernels/a"):
            response = made.client.get(path)
            assert response.status_code == 503
            assert response.json() == {"detail": "no sample has been taken yet"}
        page = made.client.get("/")
        assert page.status_code == 200
        assert "Waiting for the first sample" in page.text


def test_a_sampling_that_is_stuck_is_not_hidden() -> None:
    """An old sample is not given out as the present; the API and the page say how old it is."""
    with site(snapshot(live("a"))) as made:
        assert made.client.get("/-/ready").json() == {"status": "ready"}
        made.clock.now = NOW + 34
        for path in ("/-/ready", "/metrics"):
            response = made.client.get(path)
            assert response.status_code == 503
            assert "34 seconds old" in response.json()["detail"]
        assert made.client.get("/-/healthy").status_code == 200
        assert made.client.get("/api/v1/kernels").json()["taken_at"] == NOW
        assert "Stale" in made.client.get("/").text
        made.publish(snapshot(taken_at=NOW + 35))
        assert made.client.get("/metrics").status_code == 200


def test_a_new_snapshot_is_served_at_once() -> None:
    """The body that was kept is of the newest snapshot only."""
    with site(snapshot(live("one"))) as made:
        assert '"one"' in made.client.get("/metrics").text
        assert '"one"' in made.client.get("/metrics").text
        made.publish(snapshot(live("two"), taken_at=NOW + 1))
        text = made.client.get("/metrics").text
        assert '"two"' in text
        assert '"one"' not in text


def test_metrics_run_off_the_event_loop() -> None:
    """While a scrape is under way, the event loop answers others."""
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Scrape):
        def body(self, *_args: object) -> bytes:
            inside.set()
            assert go_on.wait(30)
            return b""

    with site(snapshot(), scrape=Slow()) as made, ThreadPoolExecutor(1) as pool:
        scrape = pool.submit(made.client.get, "/metrics")
        assert inside.wait(30)
        assert made.client.get("/-/healthy").status_code == 200
        go_on.set()
        assert scrape.result(30).status_code == 200


def test_many_at_once() -> None:
    """Scrapes, lists and pages in parallel, while snapshots change, are all whole."""

    def ask(at: int) -> int:
        path = ("/metrics", "/api/v1/kernels", "/")[at % 3]
        response = made.client.get(path)
        if path == "/metrics":
            assert response.text.count("jupyter_kernel_info{") == 60
        if path == "/api/v1/kernels":
            assert len(response.json()["kernels"]) == 60
        return int(response.status_code)

    with site(crowd(60)) as made, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, at) for at in range(120)]
        for at in range(20):
            made.publish(crowd(60, seed=at, taken_at=NOW + at / 1000))
        assert {answer.result(30) for answer in asked} == {200}


def test_openapi_describes_the_api(full: Site) -> None:
    """The schema names the models and the paths, and needs nothing from elsewhere."""
    schema = full.client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/metrics",
        "/api/v1/kernels",
        "/api/v1/kernels/{kernel_id}",
        "/api/v1/deaths",
        "/-/healthy",
        "/-/ready",
    }
    described = schema["components"]["schemas"]["KernelModel"]["properties"]["cpu_cores"]
    assert described["description"] == "Processors in use between the last two samples."
