"""What people hold and do, and what they would need. A function for each panel."""

from dashboards.ask import kernels
from dashboards.board import USER_COLUMN, USER_LINE
from dashboards.house import (
    BY_THRESHOLDS,
    GREEN,
    OF_GREATEST,
    ORANGE,
    RED,
    Field,
    Panel,
    count,
    latest,
    now,
    number,
    query,
    ranking,
    sort_by,
    steps,
    table,
    thresholds,
    wide,
)
from dashboards.reasons import MEMORY, TROUBLE

from dashboards import ask, sdk

HELD = kernels("username:jupyter_kernel_memory_rss_bytes:sum")
PEAKS = kernels("username:jupyter_kernel_memory_rss_bytes:max5m")
"""Of each five minutes."""
WORK = kernels("username:jupyter_kernel_cpu_seconds:rate1m")
SIZE: Field = {"unit": "bytes", **wide(110)}
COUNT: Field = {"unit": "none", "decimals": 0, "noValue": "-"}
GROUP = 'max by (username, usergroup) (jupyterhub_user_group_info{username=~"$username"})'
"""From JupyterHub's exporter of groups, another job of the same Prometheus."""


def people_count() -> Panel:
    """How many there are."""
    return (
        number("People", "People with at least one live kernel.", "none")
        .span(4)
        .with_target(
            query(f"count(sum by (username) ({kernels('jupyter_kernels')})) or vector(0)", "people")
        )
    )


def kernels_each() -> Panel:
    """How many each has."""
    return (
        number("Kernels each", "Live kernels for each person who has any, on average.", "short")
        .span(4)
        .decimals(1)
        .no_value("-")
        .with_target(
            query(f"avg(sum by (username) ({kernels('jupyter_kernels')}))", "kernels each")
        )
    )


def typical_memory() -> Panel:
    """What one mostly needs."""
    return (
        number(
            "Median memory",
            "What the median person holds, all kernels together: half of the people hold less.",
            "bytes",
        )
        .span(4)
        .no_value("-")
        .with_target(query(f"quantile(0.5, sum by (username) ({HELD}))", "median"))
    )


def largest_share() -> Panel:
    """Whether one person has it all."""
    return (
        number(
            "Largest share",
            "What the one person who holds most has of the memory of all kernels. Orange from a "
            "half: one person's code decides how all others fare.",
            "percentunit",
        )
        .span(4)
        .decimals(0)
        .thresholds(thresholds((None, GREEN), (0.5, ORANGE), (0.8, RED)))
        .no_value("-")
        .with_target(query(f"max(sum by (username) ({HELD})) / sum({HELD})", "largest"))
    )


def out_of_memory() -> Panel:
    """Whom it hurt."""
    grown = f"increase({kernels('jupyter_kernel_deaths_total', MEMORY.matcher)}[$__range])"
    return (
        count(
            "Ran out of memory",
            "People who lost at least one kernel for lack of memory in this time range.",
        )
        .span(4)
        .thresholds(thresholds((None, GREEN), (1, ORANGE), (5, RED)))
        .with_target(
            latest(f"count(round(sum by (username) ({grown})) > 0) or vector(0)", "people")
        )
    )


def person_table() -> Panel:
    """One by one."""
    grown = f"increase({kernels('jupyter_kernel_deaths_total', TROUBLE)}[$__range])"
    top = f"topk(100, sum by (username) ({HELD}))"

    def of_top(expr: str, ref: str) -> sdk.prometheus.Dataquery:
        return now(f"{expr} and on (username) {top}", ref)

    return (
        table(
            "People",
            "The hundred people who hold most just now. Peak is the most memory that each held "
            "at any time of this range; idle is what kernels hold that did nothing for an hour.",
            (
                ("username", "User", {**USER_COLUMN}),
                ("Value #A", "Memory", {"unit": "bytes", **OF_GREATEST, **wide(230)}),
                ("Value #B", "Peak", {**SIZE, "noValue": "-"}),
                ("Value #C", "Idle", {**SIZE, "noValue": "-"}),
                ("Value #D", "Kernels", {**COUNT, **wide(80)}),
                ("Value #E", "Processors", {"unit": "short", "decimals": 2, **wide(100)}),
                (
                    "Value #F",
                    "Least left of a limit",
                    {
                        "unit": "percentunit",
                        "decimals": 0,
                        "custom.cellOptions": {"type": "color-text"},
                        **BY_THRESHOLDS,
                        **steps((None, RED), (0.1, ORANGE), (0.25, GREEN)),
                        **wide(150),
                    },
                ),
                ("Value #G", "Deaths not asked for", {**COUNT, **wide(160)}),
            ),
        )
        .sort_by(sort_by("Memory"))
        .with_target(now(top, "A"))
        .with_target(of_top(f"max_over_time(sum by (username) ({PEAKS})[$__range:5m])", "B"))
        .with_target(of_top(f"sum by (username) ({ask.idle_memory()})", "C"))
        .with_target(of_top(f"sum by (username) ({kernels('jupyter_kernels')})", "D"))
        .with_target(of_top(f"sum by (username) ({WORK})", "E"))
        .with_target(of_top(f"min by (username) ({ask.room()})", "F"))
        .with_target(of_top(f"(round(sum by (username) ({grown})) > 0)", "G"))
    )


def memory_by_user() -> Panel:
    """How it came about."""
    return (
        ranking(
            "Memory by person",
            "What the ten people hold who hold most, on all hosts. Not stacked: what one person "
            "does is easier to see alone.",
            "bytes",
        )
        .data_links([USER_LINE])
        .with_target(query(f"topk(10, sum by (username) ({HELD}))", "{{username}}"))
    )


def processors_by_user() -> Panel:
    """Who works."""
    return (
        ranking(
            "Processors by person",
            "How many processors the kernels of the ten busiest people keep busy.",
            "short",
        )
        .decimals(1)
        .data_links([USER_LINE])
        .with_target(query(f"topk(10, sum by (username) ({WORK}))", "{{username}}"))
    )


def memory_by_group() -> Panel:
    """By those who share a budget."""
    return (
        ranking(
            "Memory by group",
            "What the members of each JupyterHub group hold; a person in two groups counts in "
            "both. Needs the metric jupyterhub_user_group_info of jupyterhub-groups-exporter in "
            "the same Prometheus.",
            "bytes",
        )
        .no_value("no groups: jupyterhub-groups-exporter is not scraped")
        .with_target(
            query(
                f"sum by (usergroup) ({GROUP} * on (username) group_left ()"
                f" sum by (username) ({HELD}))",
                "{{usergroup}}",
            )
        )
    )


def processors_by_group() -> Panel:
    """The same of work."""
    return (
        ranking(
            "Processors by group",
            "How many processors the members of each JupyterHub group keep busy.",
            "short",
        )
        .decimals(1)
        .no_value("no groups: jupyterhub-groups-exporter is not scraped")
        .with_target(
            query(
                f"sum by (usergroup) ({GROUP} * on (username) group_left ()"
                f" sum by (username) ({WORK}))",
                "{{usergroup}}",
            )
        )
    )
