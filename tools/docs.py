"""Write the references of docs/ from the tables that the code runs on.

python tools/docs.py            write them
python tools/docs.py --check    exit 1 and name those that are not fresh
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jupyter_kernel_exporter.cli import COMMANDS, describe_default
from jupyter_kernel_exporter.publish.metrics import METRICS
from jupyter_kernel_exporter.publish.rows import HostMetric, Metric
from jupyter_kernel_exporter.settings import SETTINGS, Setting, environment_name, parse_flag

ROOT = Path(__file__).resolve().parent.parent


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell would end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def metrics_page() -> str:
    """docs/metrics.md."""

    def row(metric: Metric) -> tuple[str, ...]:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        return (f"`{metric.name}`", metric.kind, labels, metric.help)

    head = ("metric", "type", "labels", "meaning")
    of_kernels = [metric for metric in METRICS if not isinstance(metric, HostMetric)]
    of_host = [metric for metric in METRICS if isinstance(metric, HostMetric)]
    return f"""\
# Metrics

Made by `tools/docs.py` from `exporter/jupyter_kernel_exporter/publish/metrics.py`.

A value that cannot be read is left out: there is no sample, and never a made-up 0.

## Of each live kernel

Each also carries `kernel_id` and `username`, and vanishes when the kernel is gone. Everything
else that is known of a kernel is a label of `jupyter_kernel_info`, to join with:

```promql
jupyter_kernel_memory_rss_bytes
  * on (job, instance, kernel_id) group_left (notebook, kernel_name) jupyter_kernel_info
```

{table(head, map(row, of_kernels))}
## Of the host and of the exporter itself

{table(head, map(row, of_host))}"""


def settings_page() -> str:
    """docs/settings.md."""

    def row(setting: Setting) -> tuple[str, ...]:
        default = describe_default(setting)
        flag = f"--[no-]{setting.name}" if setting.parse is parse_flag else f"--{setting.name}"
        told = default if default in {"on", "off", "none"} else f"`{default}`"
        return (f"`{flag}`", f"`{environment_name(setting.name)}`", told, setting.help)

    commands = table(("command", "what it does"), ((f"`{c.name}`", c.help) for c in COMMANDS))
    return f"""\
# Settings

Made by `tools/docs.py` from `exporter/jupyter_kernel_exporter/settings.py`.

    jupyter-kernel-exporter [COMMAND] [FLAG ...]

{commands}
A flag wins over its environment variable, that over the file named by `--config.file` (or
`{environment_name("config.file")}`), and the file over the default. Several values of a repeatable
setting are separated by commas in the environment, and are a list in the file:

```yaml
sample.interval: 2
web:
  listen-address: ["127.0.0.1:18888", "[::1]:18888"]
source:
  pss: true
```

A value that cannot be used is one line on standard error, and exit status 2.

{table(("flag", "environment", "default", "meaning"), map(row, SETTINGS))}"""


ALERTS_HEAD = """\
# Alerts

Made by `tools/docs.py` from `alerts/rules/`. A name leads to its runbook; each threshold has its
reason beside it in the rules. Who hears of what is in `alerts/alertmanager.yml`: *critical* at
once, *warning* after half a minute, *info* of a whole host in one message a day. A person's kernels
on a host come in one message; the larger trouble mutes the smaller. Where the links lead is set
once, in the `external_labels` of `alerts/prometheus.yml`.

![A message that a kernel is about to run out of memory, and one that it was killed](slack.png)
"""


def alerts_page() -> str:
    """docs/alerts.md."""

    def row(rule: Mapping[str, Any]) -> tuple[str, ...]:
        name = rule["alert"]
        link = f"[{name}](../alerts/runbooks/{name}.md)"
        return (link, rule["labels"]["severity"], rule["for"], rule["annotations"]["summary"])

    parts = [ALERTS_HEAD]
    for path in sorted((ROOT / "alerts/rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            alerts = [rule for rule in group["rules"] if "alert" in rule]
            if alerts:
                rows = table(("alert", "severity", "after", "summary"), map(row, alerts))
                parts.append(f"\n## {group['name']}\n\n{rows}")
    return "".join(parts)


PAGES: tuple[tuple[str, Callable[[], str]], ...] = (
    ("docs/metrics.md", metrics_page),
    ("docs/settings.md", settings_page),
    ("docs/alerts.md", alerts_page),
)


def main() -> int:
    """Write the pages, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    stale = 0
    for name, make in PAGES:
        path, page = ROOT / name, make()
        if check and not (path.is_file() and path.read_text() == page):
            print(f"{name} is not fresh: make docs", file=sys.stderr)
            stale = 1
        elif not check:
            path.write_text(page)
    return stale


if __name__ == "__main__":
    sys.exit(main())
