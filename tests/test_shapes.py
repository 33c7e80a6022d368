"""The table of shapes by features: each cell names tests that are there, or says why not."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.promql import ROOT

TEXT = (ROOT / "docs/shapes.md").read_text()
LINES = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
SHAPES, CELLS = LINES[0], {line[0]: line[1:] for line in LINES[2:]}
TESTS = dict(re.findall(r"^(\d+)\. `(tests/[\w/]+\.py::test_\w+)`$", TEXT, re.MULTILINE))
REASONS = set(re.findall(r"^- \((\w)\) ", TEXT, re.MULTILINE))
CELL = re.compile(
    r"(?P<tests>\d+(?: \d+)*)(?:,? ?(?P<less>[a-z ]*)\((?P<why>\w)\))?"
    r"|(?:untested here|off) \((?P<reason>\w)\)"
    r"|no files of its own"
)


@cache
def functions(path: Path) -> set[str]:
    """The tests of a file."""
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("feature", CELLS)
def test_every_cell_is_a_test_or_a_reason(feature: str) -> None:
    """For every shape."""
    assert len(CELLS[feature]) == len(SHAPES)
    for shape, cell in zip(SHAPES, CELLS[feature], strict=True):
        match = CELL.fullmatch(cell)
        assert match, f"{shape}: {cell}"
        for number in (match["tests"] or "").split():
            assert number in TESTS, f"{shape}: {cell}"
        assert {match["why"], match["reason"]} - {None} <= REASONS, f"{shape}: {cell}"


@pytest.mark.parametrize("number", TESTS)
def test_every_test_is_there(number: str) -> None:
    """And some cell counts on it."""
    file, _, name = TESTS[number].partition("::")
    assert name in functions(ROOT / file)
    cells = [cell for cells in CELLS.values() for cell in cells]
    assert any(re.search(rf"(?<!\d){number}(?!\d)", cell) for cell in cells)


def test_nothing_is_listed_twice_or_for_nothing() -> None:
    """Numbers run through, and every reason is one of some cell."""
    assert [int(number) for number in TESTS] == list(range(1, len(TESTS) + 1))
    assert len(set(TESTS.values())) == len(TESTS)
    used = set(
        re.findall(r"\((\w)\)", " ".join(cell for cells in CELLS.values() for cell in cells))
    )
    assert used == REASONS


def test_it_is_found() -> None:
    """From the first page."""
    assert "docs/shapes.md" in (ROOT / "README.md").read_text()
