"""The command ``kernels``: who is alive now, the largest first, without a daemon."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from jupyter_kernel_exporter.daemon import Daemon
from jupyter_kernel_exporter.publish.recent import Recent
from jupyter_kernel_exporter.serve import words
from jupyter_kernel_exporter.serve.api import KernelModel, KernelsModel, kernels_model
from jupyter_kernel_exporter.serve.page import View, arrange, row
from jupyter_kernel_exporter.settings import Settings
from jupyter_kernel_exporter.terminal.table import Cell, Column, render
from jupyter_kernel_exporter.terminal.text import Colour, plain, wants_colour

LOOK_SECONDS = 0.5
"""Between the two looks that CPU use is told from."""
TOLD_OF = frozenset({"proc", "runtime_dir", "environ", "cgroup", "host"})
"""Sources that the table is made of."""
CLEAR = "\x1b[H\x1b[2J\x1b[3J"

COLUMNS = (
    Column("PERSON", 6),
    Column("NOTEBOOK", 10),
    Column("KERNEL", 6),
    Column("STATE"),
    Column("MEMORY", right=True),
    Column("LEFT", right=True),
    Column("ENDS IN", right=True),
    Column("CPU", right=True),
    Column("UP", right=True),
)
LEVELS: Mapping[str, Colour] = {"full": Colour.BAD, "tight": Colour.TIGHT}


def kernels(settings: Settings, options: Mapping[str, Any]) -> int:
    """Print the kernels of this host; with ``watch`` again and again, until it is interrupted."""
    logging.getLogger("jupyter_kernel_exporter").setLevel(logging.ERROR)  # told at the end of all
    daemon = Daemon(settings)
    recent = Recent()
    recent.append(daemon.tick())
    pause = LOOK_SECONDS
    try:
        while True:
            time.sleep(pause)
            snapshot = daemon.tick()
            recent.append(snapshot)
            model = kernels_model(snapshot, recent.cpu_cores, recent.memory_growth)
            _show(model, options, clear=bool(options["watch"]) and sys.stdout.isatty())
            if not options["watch"]:
                return 0
            pause = settings["sample.interval"]
    except KeyboardInterrupt:
        return 0


def _show(model: KernelsModel, options: Mapping[str, Any], *, clear: bool) -> None:
    if options["json"]:
        text = model.model_dump_json(indent=None if options["watch"] else 2)
    else:
        columns, rows = shutil.get_terminal_size((80, 24))
        lines = as_lines(model, columns, colour=wants_colour(sys.stdout, os.environ))
        text = "\n".join(lines[: rows - 1] if clear else lines)
    print(f"{CLEAR if clear else ''}{text}", flush=True)


def as_lines(model: KernelsModel, room: int, *, colour: bool) -> list[str]:
    """The kernels as a table, trouble first as on the page, and what could not be seen."""
    if model.kernels:
        rows = [_cells(kernel, model.taken_at) for kernel in arrange(model.kernels, View())]
        lines = render(COLUMNS, rows, room, colour=colour)
    else:
        lines = ["no Jupyter kernel is running that can be seen"]
    return lines + [
        plain(f"{source.source}: {source.problem}")
        for source in model.sources
        if not source.up and source.source in TOLD_OF
    ]


def _cells(kernel: KernelModel, taken_at: float) -> tuple[Cell, ...]:
    said = row(kernel, taken_at)
    tightest = kernel.tightest
    busy = Colour.NONE if kernel.state == "busy" else Colour.FAINT
    level = LEVELS.get(said.level, Colour.NONE)
    left = words.size(tightest.headroom_bytes) if tightest else words.UNKNOWN
    return (
        Cell(said.person),
        Cell(said.notebook),
        Cell(said.kernel, Colour.FAINT),
        Cell(said.state, busy),
        Cell(said.memory, level),
        Cell(left, level),
        Cell(said.exhaustion, level),
        Cell(said.cpu),
        Cell(said.up),
    )
