"""Write the rules and dashboards of the stack as Kubernetes' operators take them up.

python tools/kubernetes.py            write them
python tools/kubernetes.py --check    exit 1 and name those that are not fresh
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "deploy/kubernetes/base"
HEAD = "# Made by tools/kubernetes.py from {source}. Changes are made there.\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def prometheus_rule() -> dict[str, Any]:
    """All files of rules as one resource of prometheus-operator."""
    groups: list[Any] = []
    for path in sorted(ROOT.glob("alerts/rules/*.yml")):
        groups += yaml.safe_load(path.read_text())["groups"]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "jupyter-kernel-exporter"},
        "spec": {"groups": groups},
    }


def config_map(path: Path) -> dict[str, Any]:
    """A dashboard as Grafana's sidecar finds it: by its label."""
    dashboard = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"jupyter-kernels-{path.stem}",
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "Jupyter"},
        },
        "data": {f"jupyter-kernels-{path.stem}.json": dashboard},
    }


def texts() -> dict[Path, str]:
    """Every file that is made, with what is in it."""
    boards = [config_map(path) for path in sorted(ROOT.glob("dashboards/generated/*.json"))]
    return {
        BASE / "prometheusrule.yaml": HEAD.format(source="alerts/rules/")
        + yaml.dump(prometheus_rule(), Dumper=_Dumper, sort_keys=False, width=100),
        BASE / "dashboards.yaml": HEAD.format(source="dashboards/generated/")
        + yaml.dump_all(boards, Dumper=_Dumper, sort_keys=False, width=10**9),
    }


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in texts().items():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path.relative_to(ROOT)} is not fresh: make docs", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
