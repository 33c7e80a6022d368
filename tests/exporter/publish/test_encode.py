"""What the encoder writes is what prometheus_client writes, byte for byte."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import exposition
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from jupyter_kernel_exporter.publish.encode import (
    Encoder,
    Family,
    Format,
    choose_format,
    label_text,
    number_text,
)
from jupyter_kernel_exporter.publish.rows import Kind, Number

OPENMETRICS_ACCEPT = "application/openmetrics-text;version=1.0.0"
PROMETHEUS_2_ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Described(NamedTuple):
    """A family, in what both encoders are given."""

    name: str
    kind: Kind
    help: str
    series: Sequence[tuple[Mapping[str, str], Number]]


class Given(Collector):
    """A collector of the client library that has these families."""

    def __init__(self, families: Sequence[Described]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families as the client library has them."""
        for described in self._families:
            make = CounterMetricFamily if described.kind is Kind.COUNTER else GaugeMetricFamily
            family: Any = make(described.name, described.help)
            for labels, value in described.series:
                family.add_sample(described.name, dict(labels), value)
            yield family


def ours(families: Sequence[Described], fmt: Format) -> bytes:
    return Encoder().encode(
        [
            Family(
                described.name,
                described.kind,
                described.help,
                [label_text(labels) for labels, _ in described.series],
                [value for _, value in described.series],
            )
            for described in families
        ],
        fmt,
    )


CLIENT: dict[Format, Callable[[Collector], bytes]] = {
    Format.TEXT: exposition.generate_latest,
    Format.OPENMETRICS: partial(openmetrics.generate_latest, version="1.0.0"),
}

# The same examples in every run; the tables of all characters are slow to load, once.
repeatable = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

# Lone surrogates cannot be written as UTF-8: the client library fails on them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LABEL_NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.floats(0, 1e18),
    st.integers(0, 2**53).map(float),
    st.sampled_from([0, 0.0, -0.0, 999_999, 1_000_000, 1e6, 1e16, math.inf, -math.inf, math.nan]),
)


@st.composite
def described(draw: st.DrawFn) -> Described:
    kind = draw(st.sampled_from(Kind))
    name = draw(st.from_regex(r"[a-z]{1,4}(_[a-z]{1,6}){0,3}", fullmatch=True))
    suffix = "_total" if kind is Kind.COUNTER else ""
    series = st.lists(st.tuples(st.dictionaries(LABEL_NAMES, TEXTS, max_size=4), NUMBERS))
    return Described(name + suffix, kind, draw(TEXTS), draw(series))


@pytest.mark.parametrize("fmt", Format)
@repeatable
@given(families=st.lists(described(), max_size=4))
def test_same_bytes_as_the_client(fmt: Format, families: list[Described]) -> None:
    """Any help, labels and values come out as the client library writes them."""
    assert ours(families, fmt) == CLIENT[fmt](Given(families))


@repeatable
@given(NUMBERS)
def test_a_number_reads_as_the_client_writes_it(value: Number) -> None:
    """Huge, tiny, negative, not a number at all: the text is the same."""
    assert number_text(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (-0.0, "-0.0"),
        (1, "1.0"),
        (True, "1.0"),
        (999_999, "999999.0"),
        (1_000_000, "1e+06"),
        (-1_000_000, "-1000000.0"),
        (1_288_490_188, "1.288490188e+09"),
        (2**53, "9.007199254740992e+15"),
        (2**53 + 1, "9.007199254740992e+15"),
        (2**64, "1.8446744073709552e+19"),
        (1763712345.25, "1.76371234525e+09"),
        (1e-7, "1e-07"),
        (5e-324, "5e-324"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers(value: Number, text: str) -> None:
    """The texts of numbers, written out."""
    assert number_text(value) == text


def test_zeros_keep_their_sign_next_to_each_other() -> None:
    """Equal numbers share a text, but 0.0 and -0.0 are equal and have two."""
    family = Family("x", Kind.GAUGE, "X.", [""] * 4, [0.0, -0.0, 0, -0.0])
    text = Encoder().encode([family], Format.TEXT).decode()
    assert text.split("\n")[2:-1] == ["x 0.0", "x -0.0", "x 0.0", "x -0.0"]


def test_texts_of_numbers_do_not_pile_up() -> None:
    """However long it runs, no more texts are kept than one exposition has series, twice."""
    encoder = Encoder()
    for start in range(0, 50_000, 1000):
        values = list(range(start, start + 1000))
        family = Family("x", Kind.GAUGE, "X.", ["{a=" + f'"{v}"' + "}" for v in values], values)
        encoder.encode([family], Format.TEXT)
        assert len(encoder._texts) <= 2000


def test_what_is_no_utf8_does_not_cost_the_scrape() -> None:
    """A path with bytes that are no UTF-8 shows up with replacement characters."""
    assert label_text({"notebook": "caf\udce9 ☃"}) == '{notebook="caf� ☃"}'


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/html", Format.TEXT),
        ("text/plain", Format.TEXT),
        ("text/plain;version=0.0.4", Format.TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", Format.TEXT),
        ("application/openmetrics-text", Format.OPENMETRICS),
        (OPENMETRICS_ACCEPT, Format.OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format.OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=dots", Format.OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=values", Format.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", Format.TEXT),
        ("application/openmetrics-text;version=new", Format.TEXT),
        ("application/openmetrics-text;version=1.x", Format.TEXT),
        ("text/plain;version=..;;=,,;", Format.TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Format.TEXT),
        (PROMETHEUS_2_ACCEPT, Format.OPENMETRICS),
        (PROMETHEUS_3_ACCEPT, Format.OPENMETRICS),
    ],
)
def test_choose_format(accept: str, expected: Format) -> None:
    """The format is the client's choice, or the nearest one below it that is written here."""
    assert choose_format(accept) is expected


@repeatable
@given(st.text())
def test_no_accept_header_fails(accept: str) -> None:
    """Whatever a client sends, it gets a format."""
    assert choose_format("application/openmetrics-text;" + accept) in Format
    assert choose_format(accept) in Format


@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS_ACCEPT, PROMETHEUS_2_ACCEPT])
def test_same_choice_as_the_client(accept: str) -> None:
    """Where the client's choice is written here, content type and bytes are the client's.

    But for ``escaping``, which says how odd names were escaped: no name of ours is odd.
    """
    families = [
        Described("a_total", Kind.COUNTER, 'A "help".', [({"b": "c"}, 1)]),
        Described("d", Kind.GAUGE, "D.", [({}, 0.5)]),
    ]
    encoder, content_type = exposition.choose_encoder(accept)
    fmt = choose_format(accept)
    assert fmt.value == content_type.removesuffix("; escaping=underscores")
    assert ours(families, fmt) == encoder(Given(families))
