"""What a PromQL expression asks for, and what there is to be asked for."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml

from jupyter_kernel_exporter.publish.metrics import METRICS
from jupyter_kernel_exporter.publish.rows import HostMetric

ROOT = Path(__file__).resolve().parents[2]
RULE_FILES = sorted((ROOT / "alerts/rules").glob("*.yml"))
TARGET_LABELS = {"job", "instance"}
PROMETHEUS_OWN: Mapping[str, set[str]] = {"up": TARGET_LABELS}


class Selector(NamedTuple):
    """One ``metric{label="value"}`` of an expression."""

    name: str
    matchers: dict[str, str]
    """Label and value, whatever the operator."""


def selectors(expr: str) -> list[Selector]:
    """All selectors of an expression. Raises :exc:`ValueError` if it is no PromQL."""
    found: list[Selector] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {m.name: m.value for m in node.matchers.matchers}
            found.append(Selector(node.name or "", matchers))
        return True

    promql_parser.walk(promql_parser.parse(expr), visit)
    return found


@functools.cache
def rules() -> list[dict[str, Any]]:
    """All rules of all files."""
    groups = [g for path in RULE_FILES for g in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@functools.cache
def known_series() -> dict[str, set[str] | None]:
    """Every metric that can be asked for, with its labels; ``None`` where they are a rule's."""
    known: dict[str, set[str] | None] = dict(PROMETHEUS_OWN)
    for metric in METRICS:
        of_kernel = set() if isinstance(metric, HostMetric) else {"kernel_id", "username"}
        known[metric.name] = {*metric.labels, *of_kernel, *TARGET_LABELS}
    known |= {rule["record"]: None for rule in rules() if "record" in rule}
    return known


def unknown_in(expr: str) -> list[str]:
    """Metrics and labels of an expression that nobody exports."""
    known = known_series()
    wrong = []
    for selector in selectors(expr):
        if selector.name not in known:
            wrong.append(selector.name)
            continue
        labels = known[selector.name]
        if labels is not None:
            wrong += [f"{selector.name}{{{m}}}" for m in selector.matchers if m not in labels]
    return wrong


def without_variables(expr: str) -> str:
    """An expression of a dashboard with Grafana's own durations replaced by one that parses."""
    return re.sub(r"\$__(rate_)?interval|\$__range", "5m", expr)
