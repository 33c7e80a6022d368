"""The exporters themselves: whether the rest can be believed. A function for each panel."""

from dashboards.ask import hosts
from dashboards.house import (
    BY_THRESHOLDS,
    GREEN,
    ORANGE,
    RED,
    Panel,
    count,
    latest,
    now,
    number,
    query,
    sort_by,
    steps,
    table,
    thresholds,
    timeseries,
    wide,
)
from dashboards.numbers import exporter_targets
from dashboards.sdk import common_model
from dashboards.sdk import dashboard_model as model

UP_OR_DOWN = model.ValueMap(
    options={
        "0": model.ValueMappingResult(text="down"),
        "1": model.ValueMappingResult(text="up"),
    }
)
SOURCE_UP = "jupyter_kernel_exporter_source_up"
READ = hosts(SOURCE_UP, 'source!="delayacct"')
"""Whether each source can be read that is to be up everywhere."""


def alerts() -> Panel:
    """What Prometheus itself thinks of it."""
    severity = {"critical": "red", "warning": "orange", "info": "blue"}
    return (
        table(
            "Alerts that fire",
            "What the rules of this project have to say just now; Alertmanager decides who hears "
            "of it.",
            (
                (
                    "severity",
                    "Severity",
                    {
                        "custom.cellOptions": {"type": "color-text"},
                        "mappings": [
                            {
                                "type": "value",
                                "options": {
                                    name: {"text": name, "color": color}
                                    for name, color in severity.items()
                                },
                            }
                        ],
                        **wide(80),
                    },
                ),
                ("alertname", "Alert", {}),
                ("username", "User", {"noValue": "-", **wide(100)}),
                ("instance", "Host", {"noValue": "-", **wide(120)}),
                ("Value", "Count", {"unit": "none", **wide(65)}),
            ),
        )
        .span(12)
        .height(9)
        .no_value("none fires")
        .sort_by(sort_by("Severity", desc=False))
        .with_target(
            now(
                "count by (severity, alertname, username, instance) ("
                'ALERTS{alertname=~"JupyterKernel.+", alertstate="firing",'
                ' job=~"$job|", instance=~"$instance|", username=~"$username|"})'
            )
        )
    )


def sources() -> Panel:
    """What it can read."""
    return (
        count(
            "Sources",
            "What the exporters read, up only if it is on all hosts. One that is down is missing "
            "from the metrics; the exporter's log says why. Delay accounting is off on most "
            "machines.",
        )
        .color_mode(common_model.BigValueColorMode.BACKGROUND)
        .text_mode(common_model.BigValueTextMode.VALUE_AND_NAME)
        .thresholds(thresholds((None, ORANGE), (1, GREEN)))
        .mappings([UP_OR_DOWN])
        .height(9)
        .span(8)
        .with_target(latest(f"min by (source) ({hosts(SOURCE_UP)})", "{{source}}"))
    )


def exporters() -> Panel:
    """Each of them."""
    return (
        table(
            "Exporters, one by one",
            "Every exporter that was seen in the last day: whether it answers, what it watches, "
            "and what that costs. Sources down names how many of its sources it cannot read; delay "
            "accounting, which is off on most machines, is left out.",
            (
                ("instance", "Host", {}),
                ("version", "Version", wide(90)),
                ("pythonversion", "Python", wide(90)),
                (
                    "Value #A",
                    "Answers",
                    {
                        "custom.cellOptions": {"type": "color-text"},
                        "mappings": [
                            {
                                "type": "value",
                                "options": {"0": {"text": "no"}, "1": {"text": "yes"}},
                            }
                        ],
                        **BY_THRESHOLDS,
                        **steps((None, RED), (1, GREEN)),
                        **wide(85),
                    },
                ),
                ("Value #B", "Kernels", {"unit": "none", "noValue": "0", **wide(85)}),
                ("Value #C", "Sources down", {"unit": "none", **wide(115)}),
                ("Value #D", "One sample", {"unit": "s", **wide(110)}),
                ("Value #E", "One scrape", {"unit": "s", **wide(110)}),
                ("Value #F", "Series", {"unit": "none", **wide(90)}),
            ),
        )
        .height(8)
        .sort_by(sort_by("Host", desc=False))
        .with_target(
            now(
                f"{exporter_targets()} * on (job, instance) group_left (version, pythonversion)"
                " topk by (job, instance) (1, last_over_time("
                f"{hosts('jupyter_kernel_exporter_build_info')}[1d]))",
                "A",
            )
        )
        .with_target(now(f"sum by (job, instance) ({hosts('jupyter_kernels')})", "B"))
        .with_target(now(f"sum by (job, instance) (1 - {READ})", "C"))
        .with_target(
            now(
                "max by (job, instance) ("
                f"{hosts('jupyter_kernel_exporter_sample_duration_seconds')})",
                "D",
            )
        )
        .with_target(now(_own("scrape_duration_seconds"), "E"))
        .with_target(now(_own("scrape_samples_scraped"), "F"))
    )


def _own(metric: str) -> str:
    """What Prometheus notes of its scrapes of exporters, without the metric's name."""
    return (
        f"max by (job, instance) ({hosts(metric)}"
        f" and on (job, instance) {hosts('jupyter_kernel_exporter_build_info')})"
    )


def source_history() -> Panel:
    """Since when it is down."""
    return (
        timeseries(
            "Hosts that cannot read a source",
            "On how many hosts each source was down. A source that was never there, such as delay "
            "accounting, is a flat line; one that goes up and down is a fault.",
            "none",
        )
        .decimals(0)
        .height(8)
        .span(8)
        .with_target(query(f"sum by (source) (1 - {hosts(SOURCE_UP)}) > 0", "{{source}}"))
        .no_value("every source is up")
    )


def skipped_files() -> Panel:
    """What it passes over."""
    skipped = hosts("jupyter_kernel_exporter_connection_files_skipped_total")
    return (
        timeseries(
            "Connection files passed over",
            "Files in runtime directories that are no connection files: half-written, of another "
            "owner, too large, or made to deceive. By cause, on all hosts, in each interval.",
            "none",
        )
        .decimals(0)
        .no_value("none")
        .height(8)
        .span(8)
        .with_target(
            query(f"round(sum by (cause) (increase({skipped}[$__rate_interval])))", "{{cause}}")
        )
    )


def sources_down() -> Panel:
    """How blind it is."""
    return (
        number(
            "Sources down",
            "Sources that cannot be read, counted on each host; delay accounting, which is off on "
            "most machines, is left out.",
            "none",
        )
        .span(4)
        .thresholds(thresholds((None, GREEN), (1, ORANGE)))
        .with_target(
            query(
                f"sum(1 - {READ})",
                "down",
            )
        )
    )


def unexplained() -> Panel:
    """How often it does not know."""
    deaths = "jupyter_kernel_deaths_total"
    unknown = hosts(deaths, 'reason=~"unknown|oom_suspected"')
    return (
        count(
            "Unexplained deaths",
            "Share of the deaths in this time range that are unknown or only suspected: the "
            "price of sources that cannot be read.",
            "percentunit",
        )
        .span(4)
        .decimals(0)
        .thresholds(thresholds((None, GREEN), (0.05, ORANGE), (0.25, RED)))
        .no_value("nobody died")
        .with_target(
            latest(
                f"sum(increase({unknown}[$__range]))"
                f" / (sum(increase({hosts(deaths)}[$__range])) > 0)",
                "unknown",
            )
        )
    )
