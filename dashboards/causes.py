"""Deaths added up: by what ended them, whose they were, where. A function for each panel."""

from dashboards.ask import kernels
from dashboards.ends import DEATHS
from dashboards.house import (
    BY_THRESHOLDS,
    GAUGE,
    GREEN,
    ORANGE,
    RED,
    Field,
    Panel,
    bars,
    count,
    latest,
    now,
    sort_by,
    steps,
    table,
    thresholds,
    wide,
)
from dashboards.reasons import TROUBLE, Group


def group_count(group: Group, description: str) -> Panel:
    """How many of a group, in the whole range."""
    color = group.color if group.color not in {"text", "green"} else "blue"
    return (
        count(group.name.capitalize(), description)
        .span(4)
        .thresholds(thresholds((None, GREEN), (1, color)))
        .with_target(
            latest(
                f"round(sum(increase({kernels(DEATHS, group.matcher)}[$__range]))) or vector(0)",
                group.name,
            )
        )
    )


def by_label(title: str, description: str, label: str) -> Panel:
    """Who has most of them."""
    grown = f"increase({kernels(DEATHS, TROUBLE)}[$__range])"
    return (
        bars(title, description, "none")
        .decimals(0)
        .span(8)
        .no_value("none")
        .thresholds(thresholds((None, ORANGE)))
        .with_target(
            latest(f"topk(10, round(sum by ({label}) ({grown})) > 0)", "{{" + label + "}}")
        )
    )


def image_or_hog() -> Panel:
    """Whether a kernelspec is broken or a person is unlucky."""
    grown = f"increase({kernels(DEATHS, TROUBLE)}[$__range])"
    each = f"(round(sum by (kernel_name, username) ({grown})) > 0)"
    used = f"max_over_time({kernels('jupyter_kernels')}[$__range])"
    share: Field = {
        "unit": "percentunit",
        "max": 1,
        "decimals": 0,
        "noValue": "-",
        **GAUGE,
        **BY_THRESHOLDS,
        **steps((None, GREEN), (0.5, ORANGE), (0.8, RED)),
    }
    people: Field = {"unit": "none", "decimals": 0, **wide(110)}
    return (
        table(
            "A bad image, or one hog?",
            "Deaths not asked for in this time range, by kernelspec. Where most of the people who "
            "use one are hit, it is the image or a package in it. Where one person has most of "
            "the deaths and others none, it is that person's code or data.",
            (
                ("kernel_name", "Kernelspec", {}),
                ("Value #A", "Deaths", {"unit": "none", "decimals": 0, **wide(85)}),
                ("Value #B", "People hit", people),
                ("Value #C", "People using it", {**people, **wide(125)}),
                ("Value #D", "Share of people hit", share),
                ("Value #E", "Worst one's share of deaths", share),
            ),
        )
        .height(8)
        .sort_by(sort_by("Deaths"))
        .with_target(now(f"round(sum by (kernel_name) ({grown})) > 0", "A"))
        .with_target(now(f"count by (kernel_name) ({each})", "B"))
        .with_target(
            now(
                f"count by (kernel_name) (sum by (kernel_name, username) ({used}))"
                f" and on (kernel_name) {each}",
                "C",
            )
        )
        .with_target(
            now(
                f"count by (kernel_name) ({each})"
                f" / count by (kernel_name) (sum by (kernel_name, username) ({used}))",
                "D",
            )
        )
        .with_target(
            now(
                f"max by (kernel_name) ({each}) / sum by (kernel_name) ({each})",
                "E",
            )
        )
    )
