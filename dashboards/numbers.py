"""The state of the hub in a row of numbers. A function for each panel."""

from dashboards.ask import hosts, kernels, memory, processors
from dashboards.house import (
    GREEN,
    ORANGE,
    RED,
    Panel,
    count,
    latest,
    number,
    query,
    thresholds,
)
from dashboards.kernels import SOON_COLORS
from dashboards.reasons import TROUBLE

from dashboards import ask


def kernel_count() -> Panel:
    """How many there are."""
    return number("Kernels", "Kernels that are alive.", "none").with_target(
        query(f"sum({kernels('jupyter_kernels')}) or vector(0)", "kernels")
    )


def busy_count() -> Panel:
    """How many of them work."""
    busy = kernels("jupyter_kernel_state", 'state="busy"')
    return number("Busy", "Kernels that work just now.", "none").with_target(
        query(f"sum({busy}) or vector(0)", "busy")
    )


def memory_held() -> Panel:
    """What they hold together."""
    return number(
        "Memory",
        "Resident memory of all kernels and their worker processes. Pages that a worker shares "
        "with its kernel count twice.",
        "bytes",
    ).with_target(query(f"sum({memory()}) or vector(0)", "memory"))


def idle_total() -> Panel:
    """What could be had back without buying anything."""
    return count(
        "Idle memory",
        "Memory of kernels that have done nothing for over an hour. Shutting them down gives it "
        "back, and loses their variables.",
        "bytes",
    ).with_target(latest(f"sum({ask.idle_memory()}) or vector(0)", "idle"))


def processors_used() -> Panel:
    """What they work together."""
    return (
        number("Processors", "Processors that all kernels keep busy together.", "short")
        .decimals(1)
        .with_target(query(f"sum({processors()}) or vector(0)", "processors"))
    )


def soonest() -> Panel:
    """When the next one hits its limit."""
    return (
        count(
            "Runs out in",
            "The shortest time in which a kernel uses up what is left below its memory limit, if "
            "it goes on as it does. Red below 15 minutes, orange below an hour.",
            "s",
        )
        .decimals(0)
        .thresholds(thresholds(*SOON_COLORS))
        .no_value("none in sight")
        .with_target(latest(f"min({ask.exhaustion()})", "soonest"))
    )


def troubled_deaths() -> Panel:
    """How many ended that nobody asked to."""
    return (
        count(
            "Deaths",
            "Kernels that ended in this time range, though nobody asked them to: out of memory, "
            "crashed, never started, ended by others, or for unknown reasons.",
        )
        .thresholds(thresholds((None, GREEN), (1, ORANGE), (10, RED)))
        .with_target(
            latest(
                "round(sum(increase("
                f"{kernels('jupyter_kernel_deaths_total', TROUBLE)}[$__range]))) or vector(0)",
                "deaths",
            )
        )
    )


def exporters_up() -> Panel:
    """Whether all this can be believed."""
    return (
        number(
            "Exporters",
            "Share of the exporters seen in the last day that answered the last scrape. Nothing "
            "is known of the kernels of the others.",
            "percentunit",
        )
        .thresholds(thresholds((None, RED), (1, GREEN)))
        .no_value("none")
        .with_target(query(f"avg({exporter_targets()})", "up"))
    )


def exporter_targets() -> str:
    """Whether each exporter answers; other jobs of the same Prometheus are left out."""
    build = hosts("jupyter_kernel_exporter_build_info")
    return f"({hosts('up')} and on (job, instance) last_over_time({build}[1d]))"
