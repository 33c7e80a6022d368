"""One kernel in a row of numbers, and whose it is. A function for each panel."""

from dashboards.ask import IDLE_SECONDS, kernel
from dashboards.board import USER_COLUMN
from dashboards.house import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    Panel,
    colored,
    count,
    latest,
    now,
    number,
    query,
    table,
    thresholds,
    wide,
)
from dashboards.kernels import ROOM_COLORS, SOON_COLORS
from dashboards.sdk import common_model
from dashboards.story import HELD, RUNS_OUT, STATE_COLORS

from dashboards import ask


def identity() -> Panel:
    """Whose it is and where."""
    return (
        table(
            "This kernel",
            "Who runs it, for which notebook, and where. Kept for a quarter of an hour after its "
            "death.",
            (
                ("username", "User", {**wide(130), **USER_COLUMN}),
                ("notebook", "Notebook", {"noValue": "-"}),
                ("kernel_name", "Kernelspec", wide(130)),
                ("instance", "Host", wide(150)),
                ("server", "Server", {"noValue": "-", **wide(110)}),
                ("container", "Container or unit", {"noValue": "-", **wide(170)}),
                ("pid", "Process", wide(90)),
                ("kernel_id", "Id", wide(310)),
            ),
        )
        .height(4)
        .no_value("no such kernel at the end of the time range")
        .with_target(now(kernel("jupyter_kernel_info"), "A"))
    )


def state() -> Panel:
    """What it does."""
    panel = (
        count("State", "What it does just now; gone if it is no more.")
        .text_mode(common_model.BigValueTextMode.NAME)
        .no_value("gone")
        .with_target(latest(f"{kernel('jupyter_kernel_state')} == 1", "{{state}}"))
    )
    for name, color in STATE_COLORS.items():
        panel.override_by_name(*colored(name, color))
    return panel


def held() -> Panel:
    """What it takes."""
    return (
        number(
            "Memory",
            "Resident memory of the kernel and its worker processes. Pages that they share count "
            "more than once.",
            "bytes",
        )
        .no_value("-")
        .with_target(query(f"max({HELD})", "memory"))
    )


def room() -> Panel:
    """What it may still take."""
    ratio = kernel("kernel_id_scope:jupyter_kernel_memory_headroom:ratio")
    return (
        number(
            "Limit left",
            "Share of the tightest memory limit that is left, by whomever the rest is used. Red "
            "below a tenth.",
            "percentunit",
        )
        .decimals(0)
        .min(0)
        .max(1)
        .thresholds(thresholds(*ROOM_COLORS))
        .no_value("no limit")
        .with_target(query(f"min({ratio})", "left"))
    )


def runs_out() -> Panel:
    """When."""
    return (
        count(
            "Runs out in",
            "The exporter's forecast: how long until what is left below the tightest limit is "
            "used up, if memory goes on as it does.",
            "s",
        )
        .decimals(0)
        .thresholds(thresholds(*SOON_COLORS))
        .no_value("not in sight")
        .with_target(latest(f"min({RUNS_OUT} < Inf)", "runs out"))
    )


def processors() -> Panel:
    """How hard it works."""
    return (
        number(
            "Processors",
            "Processors that it and its worker processes keep busy; 1 is one thread that never "
            "waits.",
            "short",
        )
        .decimals(2)
        .no_value("-")
        .with_target(query(f"max({kernel('kernel_id:jupyter_kernel_cpu_seconds:rate1m')})", "cpu"))
    )


def idle_for() -> Panel:
    """Whether it is still needed."""
    return (
        count(
            "Idle for",
            "Time since it last did anything, nothing while it works. Orange from an hour on: what "
            "it holds could be given back.",
            "s",
        )
        .decimals(0)
        .thresholds(thresholds((None, BLUE), (IDLE_SECONDS, ORANGE)))
        .no_value("-")
        .with_target(latest(f"max({ask.idle_for(kernel)})", "idle"))
    )


def age() -> Panel:
    """Since when its variables are there."""
    return (
        count(
            "Running for",
            "Age of the present process: as old are the oldest of its variables.",
            "s",
        )
        .decimals(0)
        .no_value("-")
        .with_target(latest(f"time() - max({kernel('jupyter_kernel_start_time_seconds')})", "age"))
    )


def restart_count() -> Panel:
    """Whether it crashes again and again."""
    counter = kernel("jupyter_kernel_restarts_total", 'cause="automatic"')
    return (
        count(
            "Restarts",
            "How often Jupyter started it anew by itself in this time range. Three or more is a "
            "crash loop.",
        )
        .thresholds(thresholds((None, GREEN), (1, ORANGE), (3, RED)))
        .with_target(latest(f"round(sum(increase({counter}[$__range]))) or vector(0)", "restarts"))
    )
