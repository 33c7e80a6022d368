"""The script that takes the pictures of the dashboards.

No Grafana can be had on the machines that these tests run on: what answers here is a stand-in that
knows Grafana's addresses, its log-in and its cookie, and draws nothing.
"""

import http.server
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import pictures_dashboards
from support.browser import needs_chromium
from support.serving import serving

pytestmark = [pytest.mark.real, needs_chromium]

PASSWORD = "a password of the test"
COOKIE = "grafana_session=of-the-test"


class StandIn(http.server.ThreadingHTTPServer):
    """What was asked of it, by path."""

    def __init__(self) -> None:
        self.asked: dict[str, dict[str, list[str]]] = {}
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(http.server.BaseHTTPRequestHandler):
    """One answer, as Grafana gives it."""

    server: StandIn

    def do_POST(self) -> None:
        """The log-in."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        welcome = self.path == "/login" and body == {"user": "admin", "password": PASSWORD}
        self.send_response(200 if welcome else 401)
        if welcome:
            self.send_header("Set-Cookie", f"{COOKIE}; Path=/; HttpOnly")
        self.end_headers()

    def do_GET(self) -> None:
        """A dashboard, or the way to the log-in."""
        url = urlsplit(self.path)
        if url.path.startswith("/d/") and COOKIE not in self.headers.get("Cookie", ""):
            self.send_response(302)
            self.send_header("Location", "/login")
            self.end_headers()
            return
        self.server.asked[url.path] = parse_qs(url.query, keep_blank_values=True)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stand-in</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    """A stand-in on loopback."""
    with serving(StandIn()) as server:
        yield server


@pytest.fixture
def words(grafana: StandIn, tmp_path: Path) -> list[str]:
    """How the script is called."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return [
        f"--grafana=http://127.0.0.1:{grafana.server_port}/",
        f"--password-file={tmp_path / 'password'}",
        f"--out={tmp_path / 'pictures'}",
        "--kernel=a-kernel",
    ]


def size(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its first chunk."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def test_every_dashboard_is_taken_whole(
    grafana: StandIn, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One picture each, as high as its panels, without Grafana's menus; the kernel is chosen."""
    monkeypatch.setattr(pictures_dashboards, "SETTLE_MS", 0)
    assert pictures_dashboards.main(words) == 0
    dashboards = {
        path.stem: json.loads(path.read_text())
        for path in pictures_dashboards.DASHBOARDS.glob("*.json")
    }
    assert len(dashboards) == 5
    for name, dashboard in dashboards.items():
        asked = grafana.asked[f"/d/{dashboard['uid']}"]
        assert {"kiosk", "from", "to", "theme"} <= set(asked)
        assert asked.get("var-kernel") == (["a-kernel"] if name == "kernel" else None)
        width, height = size(tmp_path / "pictures" / f"dashboard-{name}.png")
        lowest = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
        assert width == 1400
        assert height > 38 * lowest


@pytest.mark.parametrize(
    ("password", "said"),
    [
        pytest.param("another", "lets admin not in: 401", id="wrong password"),
        pytest.param(None, "does not show http", id="no password where one is needed"),
    ],
)
def test_a_closed_door_is_one_clear_line(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    password: str | None,
    said: str,
) -> None:
    """And no picture of a log-in page."""
    (tmp_path / "password").write_text(password or "")
    more = ["--password-file="] if password is None else []
    assert pictures_dashboards.main([*words, *more]) == 1
    assert said in capsys.readouterr().err
    assert list((tmp_path / "pictures").iterdir()) == []


def test_pictures_that_the_pages_show_are_those_it_makes() -> None:
    """A dashboard that comes later has its picture, too."""
    names = {name for name, _, _ in pictures_dashboards.addresses("http://g", "now-1h", None)}
    there = {path.stem for path in pictures_dashboards.PICTURES.glob("dashboard-*.png")}
    assert names == there
