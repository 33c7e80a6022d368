"""Log lines for machines and people."""

import json
import logging

import pytest

from jupyter_kernel_exporter.log import Formatter


def line(form: str, message: str, **fields: object) -> str:
    """The line of one record."""
    record = logging.makeLogRecord(
        {"name": "jupyter_kernel_exporter.discover", "levelname": "INFO", "msg": message, **fields}
    )
    return Formatter(form).format(record)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ('a "quote"', '"a \\"quote\\""'),
        ("a=b", '"a=b"'),
        ("", '""'),
        ("one\nlevel=error two", '"one\\nlevel=error two"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("naïve.ipynb", "naïve.ipynb"),
        (7, "7"),
    ],
)
def test_logfmt_quotes_what_would_break_the_line(value: object, written: str) -> None:
    """A file name with a newline or a colour code must not write lines of its own."""
    text = line("logfmt", "file skipped", path=value)
    assert text.endswith(f' level=info logger=discover msg="file skipped" path={written}')
    assert text.isprintable()


def test_json_holds_the_same_fields() -> None:
    """One object per line."""
    row = json.loads(line("json", "file skipped", path="a\nb", cause="huge"))
    assert row["msg"] == "file skipped"
    assert (row["path"], row["cause"], row["level"]) == ("a\nb", "huge", "info")


def test_an_exception_is_one_line_as_well() -> None:
    """Tracebacks are for debugging, and still one line in logfmt."""
    error = ValueError("odd")
    text = line("logfmt", "failed", exc_info=(ValueError, error, error.__traceback__))
    assert "ValueError: odd" in text
    assert "\n" not in text
