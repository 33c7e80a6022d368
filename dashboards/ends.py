"""What ended, when and why. A function for each panel."""

from dashboards.ask import BY_KERNEL, ON_KERNEL, Pick, kernels
from dashboards.house import (
    BY_THRESHOLDS,
    GREEN,
    ORANGE,
    RED,
    Column,
    Panel,
    colored,
    events,
    happened,
    now,
    reason_overrides,
    sort_by,
    steps,
    table,
    wide,
)
from dashboards.kernels import WHO
from dashboards.reasons import COLORS, TROUBLE

from dashboards import ask

DEATHS = "jupyter_kernel_deaths_total"
LAST = "jupyter_kernel_last_death_timestamp_seconds"


def deaths_by_reason(matcher: str = "") -> Panel:
    """When they ended, and why."""
    what = "Deaths not asked for, by reason" if matcher else "Deaths by reason"
    panel = events(
        what,
        "How many kernels' processes ended, by what ended them. Red is memory, orange a crash, "
        "purple one that never started, yellow somebody's hand, green what was asked for.",
    )
    return reason_overrides(panel).with_target(happened(kernels(DEATHS, matcher), "reason"))


def restarts() -> Panel:
    """How often they came back."""
    counter = kernels("jupyter_kernel_restarts_total")
    return (
        events(
            "Restarts",
            "New processes for the same kernel: by Jupyter itself after a death, or because a "
            "person asked. Many automatic ones are a crash loop.",
        )
        .span(8)
        .override_by_name(*colored("automatic", RED))
        .override_by_name(*colored("requested", GREEN))
        .with_target(happened(counter, "cause"))
    )


OF_LAST = "by (job, instance, kernel_id, username, reason, status)"
WHEN: Column = ("Value #A", "When", {"unit": "dateTimeAsIso", **wide(160)})
WHAT: tuple[Column, ...] = (
    (
        "reason",
        "Reason",
        {
            "custom.cellOptions": {"type": "color-text"},
            "mappings": [
                {
                    "type": "value",
                    "options": {
                        reason: {"text": reason, "color": color} for reason, color in COLORS.items()
                    },
                }
            ],
            **wide(145),
        },
    ),
    ("status", "Ended with", {"noValue": "-", **wide(95)}),
)
ID: Column = ("kernel_id", "Id", wide(90))


def _latest(pick: Pick, rows: int, matcher: str = "") -> str:
    """When each kernel ended last of each reason, in milliseconds; with its name."""
    last = f"max {OF_LAST} (max_over_time({pick(LAST, matcher)}[$__range]))"
    return ask.named(f"topk({rows}, {last}) * 1000", pick("jupyter_kernel_info", ""))


def latest_deaths() -> Panel:
    """The newest few that need somebody to look."""
    return (
        table(
            "Who died last",
            "The latest ten kernels that ended though nobody asked them to. A click on a notebook "
            "leads to the kernel's own story.",
            (("Value", *WHEN[1:]), *WHO, *WHAT, ID),
        )
        .span(14)
        .height(9)
        .sort_by(sort_by("When"))
        .with_target(now(_latest(kernels, 10, TROUBLE), "A"))
    )


def the_dead(pick: Pick) -> Panel:
    """One by one, the newest first."""
    last = pick(LAST, "")
    newest = f"topk(100, max {OF_LAST} (max_over_time({last}[$__range])))"
    ended = f"and {ON_KERNEL} {newest}"
    held = (
        f"max {BY_KERNEL} (max_over_time("
        f"{pick('kernel_id:jupyter_kernel_memory_rss_bytes:sum', '')}[$__range])) {ended}"
    )
    limit = pick("jupyter_kernel_memory_limit_bytes", 'scope!="host"')
    given_up = pick("jupyter_kernel_gave_up_timestamp_seconds", "")
    limits = f"min {BY_KERNEL} (last_over_time({limit}[$__range]))"
    return (
        table(
            "The dead, one by one",
            "Every kernel that ended in this time range, once for each reason, with the time of "
            "the last one. Held at most is the most memory that was seen of it in the range, "
            "workers included; of its limit, the share of its own tightest limit that this is. "
            "Given up: Jupyter starts it no more.",
            (
                WHEN,
                *WHO,
                *WHAT,
                ("Value #B", "Times", {"unit": "none", "decimals": 0, **wide(60)}),
                ("Value #C", "Held at most", {"unit": "bytes", "noValue": "-", **wide(105)}),
                (
                    "Value #D",
                    "Of its limit",
                    {
                        "unit": "percentunit",
                        "decimals": 0,
                        "noValue": "-",
                        "custom.cellOptions": {"type": "color-text"},
                        **BY_THRESHOLDS,
                        **steps((None, GREEN), (0.75, ORANGE), (0.9, RED)),
                        **wide(95),
                    },
                ),
                (
                    "Value #E",
                    "Given up",
                    {
                        "noValue": "-",
                        "mappings": [{"type": "value", "options": {"1": {"text": "yes"}}}],
                        **wide(80),
                    },
                ),
                ("kernel_name", "Kernelspec", wide(105)),
                ID,
            ),
        )
        .sort_by(sort_by("When"))
        .with_target(now(_latest(pick, 100), "A"))
        .with_target(now(f"max {OF_LAST} (changes({last}[$__range])) + 1 {ended}", "B"))
        .with_target(now(held, "C"))
        .with_target(now(f"({held}) / {limits}", "D"))
        .with_target(now(f"max {BY_KERNEL} (last_over_time({given_up}[$__range])) > bool 0", "E"))
    )


def worker_kills() -> Panel:
    """Memory deaths that no kernel died of."""
    counter = kernels("jupyter_kernel_worker_oom_kills_total")
    return (
        events(
            "Worker processes killed for memory",
            "Linux killed a process that a kernel had started, and the kernel went on: a pool or "
            "a data loader that hangs or fails. By person.",
        )
        .span(8)
        .with_target(happened(counter, "username"))
    )


def errors() -> Panel:
    """What warned of it."""
    counter = kernels("jupyter_kernel_errors_total")
    return (
        events(
            "Errors in cells",
            "Exceptions that reached the output of a cell. A MemoryError is a limit of the "
            "kernel's own: it lives on, but what it was about to do is lost.",
        )
        .span(8)
        .override_by_name(*colored("MemoryError", RED))
        .override_by_name(*colored("other", "blue"))
        .with_target(happened(counter, "error"))
    )
