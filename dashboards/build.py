"""Write the dashboards of generated/ from the modules beside this one. From the repository's root:

python -m dashboards.build            write them
python -m dashboards.build --check    exit 1 and name those that are not fresh
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from dashboards.sdk import JSONEncoder, dashboard
from dashboards.sdk import dashboard_model as model

from dashboards import deaths, exporter, kernel, overview, users

GENERATED = Path(__file__).resolve().parent / "generated"

DASHBOARDS: tuple[tuple[str, Callable[[], dashboard.Dashboard]], ...] = (
    ("overview.json", overview.build),
    ("kernel.json", kernel.build),
    ("users.json", users.build),
    ("deaths.json", deaths.build),
    ("exporter.json", exporter.build),
)


def render(build: Callable[[], dashboard.Dashboard]) -> str:
    """The JSON of a dashboard, the same at each build; panels are numbered from 1."""
    board = build().build()
    for number, panel in enumerate(_all_panels(board), start=1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(board) + "\n"


def _all_panels(board: model.Dashboard) -> Iterator[model.Panel | model.RowPanel]:
    """Those in closed rows as well."""
    for panel in board.panels or ():
        yield panel
        if isinstance(panel, model.RowPanel):
            yield from panel.panels


def main() -> int:
    """Write the dashboards, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    stale = 0
    for name, build in DASHBOARDS:
        path, text = GENERATED / name, render(build)
        if check and not (path.is_file() and path.read_text() == text):
            print(f"{name} is not fresh: make docs", file=sys.stderr)
            stale = 1
        elif not check:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
