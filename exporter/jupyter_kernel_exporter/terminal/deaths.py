"""The command ``deaths``: who died of what, from what the daemon has written down."""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jupyter_kernel_exporter.publish.deathrow import DeathRow
from jupyter_kernel_exporter.publish.store import FILE, Store, StoreError
from jupyter_kernel_exporter.serve.api import DeathModel, deaths_model
from jupyter_kernel_exporter.settings import Settings, state_directory
from jupyter_kernel_exporter.terminal.table import Cell, Column, render
from jupyter_kernel_exporter.terminal.text import Colour, plain, wants_colour

COLUMNS = (
    Column("WHEN"),
    Column("PERSON", 6),
    Column("NOTEBOOK", 10),
    Column("REASON"),
    Column("STATUS", 7),
)
NORMAL = frozenset({"restart_requested", "shutdown_requested", "culled", "server_shutdown"})
"""What people asked for."""


def deaths(settings: Settings, options: Mapping[str, Any]) -> int:
    """Print the last deaths, newest first. The exit status: 1 if they cannot be read."""
    path = os.path.join(state_directory(settings), FILE)
    try:
        rows = read(path, options["limit"], settings["privacy.notebook"])
    except StoreError as error:
        print(f"cannot read {path}: {error}", file=sys.stderr)
        return 1
    model = deaths_model(rows)
    if options["json"]:
        print(model.model_dump_json(indent=2))
        return 0
    room = shutil.get_terminal_size((80, 24)).columns
    colour = wants_colour(sys.stdout, os.environ)
    print("\n".join(as_lines(model.deaths, room, colour=colour)))
    return 0


def read(path: str, limit: int, notebook: str) -> Sequence[DeathRow]:
    """The last deaths in a file that a daemon may be writing; none if there is no file.

    ``notebook`` is how much of notebooks' paths may be seen. Raises :exc:`StoreError`.
    """
    if not os.path.exists(path):
        return ()
    store = Store(path, writable=False, notebook=notebook)
    try:
        return store.read(limit, {}, 0.0)
    finally:
        store.close()


def as_lines(deaths: Sequence[DeathModel], room: int, *, colour: bool) -> list[str]:
    """The deaths as a table, each with its sentence below it."""
    if not deaths:
        return ["no death has been written down"]
    head, *lines = render(COLUMNS, [_cells(death) for death in deaths], room, colour=colour)
    told = [head]
    for line, death in zip(lines, deaths, strict=True):
        told.append(line)
        doubt = "" if death.certain else "probably: "
        sentence = plain(f"{doubt}{death.because}")
        told += textwrap.wrap(
            sentence, max(20, room), initial_indent="    ", subsequent_indent="    "
        )
    return told


def _cells(death: DeathModel) -> tuple[Cell, ...]:
    when = datetime.fromtimestamp(death.end_time_seconds).astimezone()
    return (
        Cell(when.strftime("%m-%d %H:%M:%S"), Colour.FAINT),
        Cell(death.username),
        Cell(death.notebook or death.kernel_name or death.kernel_id),
        Cell(death.reason, Colour.FAINT if death.reason in NORMAL else Colour.BAD),
        Cell(death.status or ""),
    )
