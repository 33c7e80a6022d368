"""What notebooks needed, and which limits would suit them. A function for each panel."""

from dashboards.ask import kernels
from dashboards.board import USER_COLUMN
from dashboards.house import (
    BY_THRESHOLDS,
    GAUGE,
    GREEN,
    ORANGE,
    RED,
    Field,
    Panel,
    bars,
    latest,
    now,
    sort_by,
    steps,
    table,
    wide,
)

PEAKS = kernels("username_kernel_name_notebook:jupyter_kernel_memory_rss_bytes:max5m")
"""Of each five minutes."""


def spec_peaks() -> Panel:
    """What an image needs."""
    return (
        bars(
            "Stable peak by kernelspec",
            "What nineteen of twenty notebooks of each kernelspec stay below, at their stable "
            "peak in this time range: a limit that suits nearly everybody.",
            "bytes",
        )
        .span(8)
        .height(12)
        .with_target(
            latest(
                f"quantile by (kernel_name) (0.95, {by_notebook(stable_peak())})",
                "{{kernel_name}}",
            )
        )
    )


def right_sizing() -> Panel:
    """What a notebook needs, and what it has."""
    share: Field = {
        "unit": "percentunit",
        "max": 1,
        "decimals": 0,
        "noValue": "-",
        **GAUGE,
        **BY_THRESHOLDS,
        **steps((None, "blue"), (0.2, GREEN), (0.8, ORANGE), (0.9, RED)),
        **wide(190),
    }
    top = f"topk(100, {by_notebook(peak())})"
    in_top = f"and on (username, notebook, kernel_name) {top}"
    return (
        table(
            "Right-sizing by notebook",
            "What each notebook's kernel needed in this time range; look at weeks. Peak is the "
            "most that it held; stable peak is what the peaks of 19 in 20 five minutes stayed "
            "below, without the spikes. Share is the peak against its own tightest limit (not the "
            "machine's): blue below a fifth is a limit that is too large, red from nine tenths one "
            "too small.",
            (
                ("notebook", "Notebook", {"noValue": "-"}),
                ("username", "User", {**wide(100), **USER_COLUMN}),
                ("kernel_name", "Kernelspec", wide(110)),
                ("Value #A", "Peak", {"unit": "bytes", **wide(95)}),
                ("Value #B", "Stable peak", {"unit": "bytes", **wide(105)}),
                ("Value #C", "Limit", {"unit": "bytes", "noValue": "-", **wide(95)}),
                ("Value #D", "Peak's share of limit", share),
            ),
        )
        .span(16)
        .height(12)
        .sort_by(sort_by("Peak"))
        .with_target(now(top, "A"))
        .with_target(now(f"{by_notebook(stable_peak())} {in_top}", "B"))
        .with_target(now(f"{by_notebook(limit(), 'min')} {in_top}", "C"))
        .with_target(now(f"{top} / {by_notebook(limit(), 'min')}", "D"))
    )


def peak() -> str:
    """The most that each notebook's kernels held."""
    return f"max_over_time({PEAKS}[$__range])"


def stable_peak() -> str:
    """The same without spikes."""
    return f"quantile_over_time(0.95, {PEAKS}[$__range])"


def limit() -> str:
    """The tightest limit that was its own."""
    own = kernels("username_kernel_name_notebook:jupyter_kernel_memory_limit_bytes:min")
    return f"last_over_time({own}[$__range])"


def by_notebook(expr: str, level: str = "max") -> str:
    """Of all hosts that a notebook was on."""
    return f"{level} by (username, notebook, kernel_name) ({expr})"
