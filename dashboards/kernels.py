"""The kernels side by side: who runs out next, who holds what. A function for each panel."""

from dashboards.ask import BY_KERNEL, KERNEL_LEGEND, NEAR_LIMIT, kernels, memory, named, of_top
from dashboards.board import KERNEL_COLUMN, KERNEL_LINE, USER_COLUMN, USER_LINE
from dashboards.house import (
    BLUE,
    BY_THRESHOLDS,
    COARSE,
    GAUGE,
    GREEN,
    GREY,
    OF_GREATEST,
    ORANGE,
    RED,
    Column,
    Field,
    Panel,
    bars,
    colored,
    latest,
    now,
    query,
    ranking,
    sort_by,
    steps,
    table,
    thresholds,
    timeseries,
    wide,
)
from dashboards.sdk import common, common_model

from dashboards import ask

ROOM_COLORS = ((None, RED), (NEAR_LIMIT, ORANGE), (0.25, GREEN))
SOON_COLORS = ((None, GREEN), (0, RED), (900, ORANGE), (3600, GREEN))
"""Where nothing is forecast there is no value, and the first colour."""
SIZE: Field = {"unit": "bytes", **wide(88)}
WHO: tuple[Column, ...] = (
    ("notebook", "Notebook", {"noValue": "-", **KERNEL_COLUMN}),
    ("username", "User", {**wide(95), **USER_COLUMN}),
    ("instance", "Host", wide(115)),
)


def nearest_to_limits() -> Panel:
    """Who runs out next."""
    left = kernels("jupyter_kernel_memory_headroom_bytes")
    top = f"bottomk(20, {ask.room()})"
    return (
        table(
            "Nearest to their limits",
            "The twenty kernels with the smallest share of their tightest memory limit left. "
            "Below a tenth it is red: the next copy of a table may be the last. Runs out is the "
            "forecast, where memory moves that way.",
            (
                *WHO,
                (
                    "Value #A",
                    "Left of limit",
                    {
                        "unit": "percentunit",
                        "max": 1,
                        "decimals": 0,
                        **GAUGE,
                        **BY_THRESHOLDS,
                        **steps(*ROOM_COLORS),
                        **wide(145),
                    },
                ),
                ("Value #B", "Left", SIZE),
                (
                    "Value #C",
                    "Runs out in",
                    {
                        "unit": "s",
                        "decimals": 0,
                        "noValue": "-",
                        "custom.cellOptions": {"type": "color-text"},
                        **BY_THRESHOLDS,
                        **steps(*SOON_COLORS),
                        **wide(105),
                    },
                ),
                ("Value #D", "Memory", SIZE),
                ("kernel_id", "Id", wide(85)),
            ),
        )
        .span(16)
        .height(9)
        .sort_by(sort_by("Left of limit", desc=False))
        .with_target(now(named(top), "A"))
        .with_target(now(of_top(f"min {BY_KERNEL} ({left})", top), "B"))
        .with_target(now(of_top(ask.exhaustion(), top), "C"))
        .with_target(now(of_top(memory(), top), "D"))
    )


def room_over_time() -> Panel:
    """How they came there."""
    return (
        timeseries(
            "Left of the limit",
            "What is left below the tightest memory limit, as a share of it, of the ten kernels "
            "that are nearest to theirs at the end of this range. The line is a tenth, where the "
            "alert begins.",
            "percentunit",
        )
        .max(1)
        .interval(COARSE)
        .span(8)
        .thresholds(thresholds((None, "transparent"), (NEAR_LIMIT, RED)))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.LINE)
        )
        .fill_opacity(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "min"])
            .sort_by("Last *")
            .sort_desc(False)
        )
        .data_links([KERNEL_LINE])
        .with_target(query(named(ask.nearest(10)), KERNEL_LEGEND))
    )


def kernels_by_memory() -> Panel:
    """Who they are."""
    top = f"topk(50, {memory()})"
    return (
        table(
            "Kernels by memory",
            "The fifty kernels that hold most, their worker processes included. Left is what may "
            "still be taken below the tightest of their limits, by whomever.",
            (
                *WHO,
                ("kernel_name", "Kernelspec", wide(110)),
                ("Value #A", "Memory", {"unit": "bytes", **OF_GREATEST, **wide(190)}),
                ("Value #B", "Of workers", SIZE),
                ("Value #C", "Peak", SIZE),
                ("Value #D", "Left", SIZE),
                ("Value #E", "Processors", {"unit": "short", "decimals": 2, **wide(95)}),
                ("Value #F", "Idle for", {"unit": "s", "decimals": 0, **wide(95)}),
                ("kernel_id", "Id", wide(85)),
            ),
        )
        .sort_by(sort_by("Memory"))
        .with_target(now(named(top), "A"))
        .with_target(now(of_top(kernels("jupyter_kernel_children_memory_rss_bytes"), top), "B"))
        .with_target(now(of_top(kernels("jupyter_kernel_memory_peak_rss_bytes"), top), "C"))
        .with_target(
            now(
                of_top(f"min {BY_KERNEL} ({kernels('jupyter_kernel_memory_headroom_bytes')})", top),
                "D",
            )
        )
        .with_target(now(of_top(ask.processors(), top), "E"))
        .with_target(now(of_top(ask.idle_for(), top), "F"))
    )


def memory_by_kernel() -> Panel:
    """Who grows."""
    return (
        ranking(
            "Memory: the ten largest kernels",
            "Resident memory, worker processes included. A line that rises steadily is a leak, or "
            "data that comes in bit by bit.",
            "bytes",
        )
        .data_links([KERNEL_LINE])
        .with_target(query(named(f"topk(10, {memory()})"), KERNEL_LEGEND))
    )


def growth_by_kernel() -> Panel:
    """Who will be the next large one."""
    return (
        bars(
            "Growth in an hour: the ten fastest",
            "How much each kernel's memory rises in an hour, if it goes on as in the last fifteen "
            "minutes. Those that do not rise are left out.",
            "bytes",
        )
        .no_value("none grows")
        .data_links([KERNEL_LINE])
        .with_target(latest(named(f"topk(10, {ask.growth()} * 3600 > 1048576)"), KERNEL_LEGEND))
    )


def states() -> Panel:
    """What they do."""
    return (
        timeseries(
            "Kernels by state",
            "Starting: not yet ready. Unknown: nobody can tell, for lack of rights.",
            "none",
        )
        .interval(COARSE)
        .span(8)
        .decimals(0)
        .stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        .fill_opacity(40)
        .override_by_name(*colored("busy", ORANGE))
        .override_by_name(*colored("idle", GREEN))
        .override_by_name(*colored("starting", BLUE))
        .override_by_name(*colored("unknown", GREY))
        .with_target(query(f"sum by (state) ({kernels('jupyter_kernel_state')})", "{{state}}"))
    )


def memory_by_user() -> Panel:
    """Whose they are."""
    held = kernels("username:jupyter_kernel_memory_rss_bytes:sum")
    return (
        timeseries(
            "Memory: the ten people who hold most",
            "Resident memory of each person's kernels together, on all hosts.",
            "bytes",
        )
        .interval(COARSE)
        .span(8)
        .data_links([USER_LINE])
        .with_target(query(f"topk(10, sum by (username) ({held}))", "{{username}}"))
    )


def idle_memory() -> Panel:
    """What could be given back."""
    return (
        bars(
            "Idle memory that could be freed",
            "What the ten largest kernels hold that have done nothing for over an hour. Shutting "
            "one down gives it back, and loses its variables.",
            "bytes",
        )
        .span(8)
        .no_value("none is idle")
        .data_links([KERNEL_LINE])
        .with_target(latest(named(f"topk(10, {ask.idle_memory()})"), KERNEL_LEGEND))
    )
