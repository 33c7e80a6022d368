"""Families as text: Prometheus' text format 0.0.4 and OpenMetrics 1.0.0.

prometheus_client's own encoders spend 8 to 12 µs on a series, more than reading its value costs;
a hub has thousands of kernels with some 28 series each. These write the same bytes for the
families that this exporter has (gauges, and counters with exemplars, without timestamps), and the
tests hold them to that.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

from jupyter_kernel_exporter.publish.rows import Kind, Number


class Family(NamedTuple):
    """One metric with all its series at one moment."""

    name: str
    """Of the samples: a counter's ends in ``_total``."""
    kind: Kind
    help: str
    labels: Sequence[str]
    """The label text of each series, braces included: see :func:`label_text`."""
    values: Sequence[Number]
    """The value of each series. Two lists and no pairs: thousands of tuples would wake up Python's
    garbage collector in the midst of every scrape."""
    exemplars: Sequence[str] = ()
    """For each series what OpenMetrics has after its value, see :func:`exemplar_text`; or none."""


class Format(StrEnum):
    """The formats that can be written, by their content type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_LATEST


def choose_format(accept: str) -> Format:
    """The format for an ``Accept`` header, as the client library would choose it.

    Where the client would choose a format that is not written here (text 1.0.0, OpenMetrics 2.0,
    names with dots escaped), its nearest lower relative is taken.
    """
    try:
        _, content_type = choose_encoder(accept)
    except TypeError:  # the client compares a version that is no number with one that is
        return Format.TEXT
    openmetrics = content_type.startswith("application/openmetrics-text")
    return Format.OPENMETRICS if openmetrics else Format.TEXT


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as both formats write them: ``{a="1",b="2"}``, sorted by name, empty for none."""
    pairs = ",".join(label_pair(name, value) for name, value in sorted(labels.items()))
    return f"{{{pairs}}}" if pairs else ""


def label_pair(name: str, value: str) -> str:
    """One label: ``name="value"``."""
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{writable(value)}"'


def exemplar_text(kernel_id: str, at: float) -> str:
    """An exemplar of one: the kernel that was counted last. Empty without an id.

    Names and values of its labels must not have more than 128 characters together.
    """
    if not 0 < len(kernel_id) <= 128 - len("kernel_id"):
        return ""
    return f" # {label_text({'kernel_id': kernel_id})} 1.0 {at!r}"


def writable(text: str) -> str:
    """A text that can be written as UTF-8: each lone surrogate becomes U+FFFD.

    A surrogate is a byte of a path that is no UTF-8 (PEP 383). One such label must not cost the
    whole scrape.
    """
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


_SURROGATES = re.compile("[\ud800-\udfff]")

# Go writes 1e+06 where Python writes 1000000.0; from 1e+16 on both write an exponent.
_EXPONENTS = [f"e+{digits - 1:02d}" for digits in range(17)]
_NO_NUMBERS = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_EXACT = 2**53  # up to here no float loses a digit of an integer


def number_text(value: Number) -> str:
    """A value as the client library writes it in ``prometheus_client.utils.floatToGoString``."""
    if value.__class__ is int and -_EXACT <= value <= _EXACT:
        digits = str(value)
        if value < 1_000_000:
            return digits + ".0"
        return f"{digits[0]}.{digits[1:]}".rstrip("0.") + _EXPONENTS[len(digits)]
    text = repr(float(value))
    dot = text.find(".")
    if value > 0 and dot > 6:
        return f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.") + _EXPONENTS[dot]
    return _NO_NUMBERS.get(text, text)


class _NumberTexts(dict[Number, str]):
    """The texts of numbers written lately. Most values of a sample are those of the one before."""

    def __missing__(self, value: Number) -> str:
        text = self[value] = number_text(value)
        return text


class Encoder:
    """Writes families in either format, and remembers the texts of numbers between two calls."""

    def __init__(self) -> None:
        self._texts = _NumberTexts()

    def encode(self, families: Iterable[Family], fmt: Format) -> bytes:
        """The whole exposition."""
        header = _HEADERS[fmt]
        chunks = []
        series = 0
        for family in families:
            chunks.append(header(family).encode())
            if family.exemplars and fmt is Format.OPENMETRICS:
                chunks.append(self._lines_with_exemplars(family).encode())
            else:
                chunks.append(self._lines(family).encode())
            series += len(family.values)
        if fmt is Format.OPENMETRICS:
            chunks.append(b"# EOF\n")
        if len(self._texts) > series:  # enough of them are of numbers that have changed since
            self._texts.clear()
        return b"".join(chunks)

    def _lines_with_exemplars(self, family: Family) -> str:
        return "".join(
            f"{family.name}{labels} {self._texts[value]}{exemplar}\n"
            for labels, value, exemplar in zip(
                family.labels, family.values, family.exemplars, strict=True
            )
        )

    def _lines(self, family: Family) -> str:
        """The samples of a family: the same in both formats."""
        name = family.name
        texts = self._texts
        return "".join(
            [
                f"{name}{labels} {texts[value]}\n"
                # Equal numbers have equal texts, but for 0.0 and -0.0.
                if value or value.__class__ is int
                else f"{name}{labels} {number_text(value)}\n"
                for labels, value in zip(family.labels, family.values, strict=True)
            ]
        )


def _text_header(family: Family) -> str:
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.name} {help_text}\n# TYPE {family.name} {family.kind}\n"


def _openmetrics_header(family: Family) -> str:
    name = family.name.removesuffix("_total") if family.kind is Kind.COUNTER else family.name
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f"# HELP {name} {help_text}\n# TYPE {name} {family.kind}\n"


_HEADERS: dict[Format, Callable[[Family], str]] = {
    Format.TEXT: _text_header,
    Format.OPENMETRICS: _openmetrics_header,
}
