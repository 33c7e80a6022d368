"""Nothing ships undocumented, and the documents speak of nothing that is not there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_kernel_exporter.cli import COMMANDS, build_parser
from jupyter_kernel_exporter.settings import SOURCES
from support.promql import ROOT, RULE_FILES, known_series, rules

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("alerts/runbooks/*.md")])
PROMETHEUS_NAMES = {"jupyter_kernel_exporter"}
"""What looks like a metric and is none: the import package."""
FLAGS_OF_OTHERS = {
    *("--enable-feature", "--agent"),
    *("--build", "--profile", "--no-install-recommends", "--user", "--name"),
    *("--server-side", "--from-file", "--from-literal"),
}


def test_references_are_fresh() -> None:
    """The generated pages are those that the tables make now."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_page_that_is_not_fresh_is_named(tmp_path: Path) -> None:
    """The check finds a page that is missing, and says how to make it."""
    for part in ("tools/docs.py", *(f"alerts/rules/{path.name}" for path in RULE_FILES)):
        copy = tmp_path / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / part).read_text())
    command = [sys.executable, str(tmp_path / "tools/docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "docs/metrics.md is not fresh: make docs" in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_speaks_of_what_there_is(page: Path) -> None:
    """Links lead to files, and metrics, alerts and flags that are named exist."""
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
    known = {*known_series(), *PROMETHEUS_NAMES}
    named = set(re.findall(r"(?<![\w/.-])jupyter_kernels?(?:_\w+)?\b(?![./])", text))
    assert named - known == set()
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert set(re.findall(r"\bJupyterKernel[A-Z]\w+", text)) - alerts == set()
    flags = {
        option
        for command in COMMANDS
        for action in build_parser(command)._actions
        for option in action.option_strings
    }
    named = {flag.replace("[no-]", "") for flag in re.findall(r"(?<![\w-])--[\w.\[\]-]+\w", text)}
    named = {flag for flag in named if not flag.endswith("NAME")}
    assert named - flags - FLAGS_OF_OTHERS == set()


def test_every_source_has_its_place() -> None:
    """The runbook says of every source what is missing without it."""
    runbook = (ROOT / "alerts/runbooks/JupyterKernelExporterSourceDown.md").read_text()
    for name in ("proc", *(source.name for source in SOURCES)):
        # An alert is never raised for delay accounting.
        assert (f"| `{name}` |" in runbook) is (name != "delayacct"), name


def test_the_readme_fits_a_screen_and_starts_in_two_commands() -> None:
    """The first lines say what it is and how to see it."""
    head = (ROOT / "README.md").read_text().partition("\n## ")[0].splitlines()
    assert len(head) < 45
    assert [line for line in head if line.startswith("$ make ")][:2] == [
        line for line in head if re.match(r"\$ make (run|demo)\b", line)
    ]
