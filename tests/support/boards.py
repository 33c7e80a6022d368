"""The committed dashboards, taken apart for tests."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.promql import ROOT

GENERATED = sorted((ROOT / "dashboards/generated").glob("*.json"))
Board = dict[str, Any]


def boards() -> dict[str, Board]:
    """Every dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in GENERATED}


def everything_on(board: Board) -> Iterator[Board]:
    """Rows and panels, those in closed rows as well."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def panels() -> dict[str, Board]:
    """Every panel but rows, by dashboard and title."""
    return {
        f"{name}: {panel['title']}": panel
        for name, board in boards().items()
        for panel in everything_on(board)
        if panel["type"] != "row"
    }


def targets() -> dict[str, Board]:
    """Every query of a panel, by dashboard, panel and letter."""
    return {
        f"{name} {target['refId']}": target
        for name, panel in panels().items()
        for target in panel["targets"]
    }


def marks() -> dict[str, str]:
    """Every query of an annotation, by dashboard and name."""
    return {
        f"{name}: mark {mark['name']}": mark["target"]["expr"]
        for name, board in boards().items()
        for mark in board.get("annotations", {}).get("list", ())
        if not mark.get("builtIn")
    }


def variables() -> dict[str, Board]:
    """Every variable that asks Prometheus, by dashboard and name."""
    return {
        f"{name}: variable {variable['name']}": variable
        for name, board in boards().items()
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    }


def asked_by(variable: Board) -> str:
    """The PromQL inside ``label_values(..., label)`` or ``query_result(...)``."""
    found = re.fullmatch(
        r"label_values\((.*), \w+\)|query_result\((.*)\)", variable["query"]["query"]
    )
    assert found is not None, variable["query"]["query"]
    return str(found[1] or found[2])


def expressions() -> dict[str, str]:
    """All the PromQL that there is in dashboards, by where it stands."""
    return {
        **{name: target["expr"] for name, target in targets().items()},
        **marks(),
        **{name: asked_by(variable) for name, variable in variables().items()},
    }


def filled(
    expr: str, *, rate_interval: str, span: str, instance: str = ".+", kernel: str = ".*"
) -> str:
    """A query as Grafana asks it, with everything chosen that is not named here."""
    values = {"job": ".+", "instance": instance, "username": ".*", "kernel": kernel}
    expr = expr.replace("$__rate_interval", rate_interval).replace("$__range", span)
    return re.sub(r"\$([a-z]+)", lambda found: values[found[1]], expr)


def cases(found: dict[str, Any]) -> list[Any]:
    """Cases with a name each."""
    return [pytest.param(value, id=name) for name, value in found.items()]
