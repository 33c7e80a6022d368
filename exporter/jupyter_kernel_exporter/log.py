"""Log lines for machines and people: logfmt (https://brandur.org/logfmt) or JSON, to stderr.

A line is a constant sentence and fields: ``log.warning("file skipped", extra={"cause": cause})``.
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Formatter(logging.Formatter):
    """One line per record: time, level, sentence, then the fields in the order they were given."""

    def __init__(self, form: str, reduce: Callable[[str], str] = str) -> None:
        super().__init__()
        self._form = form
        self._reduce = reduce
        """What may be seen of a text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; newlines and control characters never get through."""
        row: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("jupyter_kernel_exporter."),
            "msg": record.getMessage(),
        }
        row |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        if self._reduce is not str:
            row = {
                key: value if isinstance(value, int | float) else self._reduce(str(value))
                for key, value in row.items()
            }
        if self._form == "json":
            return json.dumps(row, default=str)
        return " ".join(f"{key}={_quote(str(value))}" for key, value in row.items())


def _quote(text: str) -> str:
    plain = text and text.isprintable() and not any(c in text for c in ' ="\\')
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def set_up(level: str, form: str, reduce: Callable[[str], str] = str) -> None:
    """Send everything from ``level`` upwards to stderr in that form; of texts what may be seen."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(form, reduce))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line per request says nothing that the scraper does not know better.
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
