"""Write docs/reasons.md from the tables of reasons and rules: ``python tools/reasons.py``."""

from pathlib import Path

from jupyter_kernel_exporter.deaths.classify import RULES
from jupyter_kernel_exporter.deaths.reasons import MEANINGS

PAGE = Path(__file__).parents[1] / "docs/reasons.md"

HEAD = """\
# Why kernels end

Each end of a kernel's process has one reason: the label `reason` of
`jupyter_kernel_deaths_total`. It is found from evidence that is gathered from outside, and it is
either certain or not. *Certain* means that no source that was missing could have made it another
one, as far as is known. `oom_suspected` and `unknown` are never certain, and honest.

<!-- made by tools/reasons.py -->

| reason | what happened | what helps |
| --- | --- | --- |
"""

RULES_HEAD = """
## How a reason is found

The first rule that holds gives the reason. Direct evidence goes before circumstances, what was
asked for before what happened by itself, the specific before the general. A rule that may still
come to hold, for a file that may still be deleted or a process that may still be started, is
waited for: mostly not at all, else for half a second, and for as long as Jupyter's restarter takes
(4 seconds by default) where nothing but the next process can tell.

| | rule | reason | because |
| --- | --- | --- | --- |
"""

WORDS = {"status": "*status*", "cgroup": "*its cgroup*", "gap": "*some*", "deleted": "*some*"}


def render() -> str:
    """The page."""
    reasons = (f"| `{reason}` | {m.meaning} | {m.advice} |" for reason, m in MEANINGS.items())
    rules = (
        f"| {number} | `{rule.name}` | `{rule.reason}` | {rule.because.format_map(WORDS)} |"
        for number, rule in enumerate(RULES, 1)
    )
    return HEAD + "\n".join(reasons) + "\n" + RULES_HEAD + "\n".join(rules) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
