"""A snapshot is written once for each format, whoever asks and how many at once."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jupyter_kernel_exporter.publish.encode import Family, Format
from jupyter_kernel_exporter.publish.rows import Kind
from jupyter_kernel_exporter.serve.scrape import Scrape, gzip_accepted
from support.snapshots import full_snapshot, live, snapshot


class Own:
    """Counts how often it is asked: once for each body that is written."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> list[Family]:
        self.asked += 1
        return [Family("process_own", Kind.GAUGE, "Times asked.", [""], [self.asked])]


def test_a_body_is_written_once() -> None:
    """The second scraper of a snapshot gets the very same bytes."""
    own, of = Own(), full_snapshot()
    scrape = Scrape(own)
    assert scrape.body(of, Format.TEXT, False) is scrape.body(of, Format.TEXT, False)
    assert own.asked == 1
    scrape.body(snapshot(live("next")), Format.TEXT, False)
    assert own.asked == 2
    assert len(scrape._bodies) == 1


def test_each_format_has_its_body() -> None:
    """Text and OpenMetrics, plain and compressed, do not get mixed up."""
    scrape, of = Scrape(Own()), full_snapshot()
    for fmt in Format:
        compressed, plain = scrape.body(of, fmt, True), scrape.body(of, fmt, False)
        assert gzip.decompress(compressed).count(b"\n") == plain.count(b"\n")
        assert plain.endswith(b"# EOF\n") == (fmt is Format.OPENMETRICS)


def test_scrapers_at_the_same_moment_share_the_work() -> None:
    """Eight threads that ask at once get one body, written once."""
    own, of = Own(), full_snapshot()
    scrape, together = Scrape(own), threading.Barrier(8)

    def ask() -> bytes:
        together.wait(30)
        return scrape.body(of, Format.TEXT, True)

    with ThreadPoolExecutor(8) as pool:
        bodies = {future.result(30) for future in [pool.submit(ask) for _ in range(8)]}
    assert len(bodies) == 1
    assert own.asked == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip", True),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("gzip; q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q = 0.000", False),
        ("identity", False),
        ("*", False),
        ("xgzip, gzipped", False),
        (",;,;q=,", False),
    ],
)
def test_gzip_accepted(header: str, expected: bool) -> None:
    """gzip is used where it is named and not given the weight 0."""
    assert gzip_accepted(header) is expected
