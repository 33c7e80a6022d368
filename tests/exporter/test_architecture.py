"""Imports go one way, and the one boundary is the only one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_kernel_exporter

PACKAGE = Path(jupyter_kernel_exporter.__file__).parent
NAME = "jupyter_kernel_exporter"

FLOW = (
    {"settings"},
    {"model"},
    {"sources"},
    {"linux"},
    {"discover", "sample", "forecast", "privacy"},
    {"outlook"},
    {"deaths"},
    {"publish"},
    {"register"},
    {"serve"},
    {"daemon"},
    {"service"},
    {"terminal"},
    {"doctor"},
)
"""A room may import from its own row and from the rows above."""
ASIDE = {"__init__", "__main__", "bundle", "cli", "log", "demo", "demo_notebooks", "demo_server"}
"""What stands beside the flow: how the program is started, and what is shown in the demo."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module with the room it is in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(NAME + "."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == NAME:
            yield from (alias.name for alias in node.names if not alias.name.startswith("_"))
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith(NAME + "."))


def test_every_room_has_its_place_in_the_flow() -> None:
    """A new room is put into the table above."""
    assert {room for room, _ in modules()} == set().union(*FLOW) | ASIDE


@pytest.mark.parametrize(("room", "path"), [m for m in modules() if m[0] not in ASIDE])
def test_imports_go_one_way(room: str, path: Path) -> None:
    """From the nouns to the daemon, never back."""
    row = next(number for number, rooms in enumerate(FLOW) if room in rooms)
    allowed = set().union(*FLOW[: row + 1])
    assert set(imported_rooms(path)) <= allowed


@pytest.mark.parametrize(("room", "path"), list(modules()))
def test_only_the_boundary_catches_everything(room: str, path: Path) -> None:
    """``except Exception`` lives in sources.py."""
    if room == "sources":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}"
            caught = ast.unparse(node.type)
            if ast.unparse(node.body[-1]) == "raise":
                continue  # it only tidies up on the way
            assert caught not in {"Exception", "BaseException"}, f"{path}:{node.lineno}"


def test_the_map_names_every_room() -> None:
    """The package's docstring is where a newcomer looks first."""
    rooms = {room for room, _ in modules()} - {"__init__", "__main__"}
    text = jupyter_kernel_exporter.__doc__ or ""
    assert [room for room in sorted(rooms) if f"``{room.partition('_')[0]}" not in text] == []


def test_the_page_on_architecture_is_complete() -> None:
    """It has a line for every room and no other, and its order of imports is the one above."""
    page = (Path(__file__).parents[2] / "docs/architecture.md").read_text()
    cells = re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE)
    named = re.findall(r"`([\w./]+)`", " ".join(cells))
    tops = {p.relative_to(PACKAGE).parts[0] for _, p in modules()} - {"__init__.py"}
    assert sorted(named) == sorted(top if top.endswith(".py") else f"{top}/" for top in tops)
    (order,) = re.findall(r"^    (settings <- .+\n(?: +<- .+\n)*)", page, re.MULTILINE)
    rows = [set(row.split(", ")) for row in " ".join(order.split()).split(" <- ")]
    assert rows == list(FLOW)
