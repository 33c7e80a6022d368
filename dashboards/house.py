"""The house style: what all dashboards share, so that a panel says only what is its own."""

from collections.abc import Mapping, Sequence

from dashboards.sdk import common, common_model, dashboard
from dashboards.sdk import dashboard_model as model

from dashboards import sdk

DATASOURCE = common_model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"

Panel = sdk.Builder[model.Panel]
Field = Mapping[str, object]
"""Properties of a column or series, by Grafana's id of the property."""


def kernels(metric: str, extra: str = "") -> str:
    """The chosen kernels' series of a metric."""
    more = f", {extra}" if extra else ""
    return f'{metric}{{job=~"$job", instance=~"$instance", username=~"$username"{more}}}'


def exporters(metric: str) -> str:
    """The chosen hosts' series of a metric that belongs to no single kernel."""
    return f'{metric}{{job=~"$job", instance=~"$instance"}}'


def memory() -> str:
    """What each kernel holds, its worker processes included."""
    return (
        f"({kernels('jupyter_kernel_memory_rss_bytes')}"
        f" + {kernels('jupyter_kernel_children_memory_rss_bytes')})"
    )


def named(expr: str) -> str:
    """Series by kernel, with the notebook, the kernelspec and a short id to tell them by."""
    info = kernels("jupyter_kernel_info")
    return (
        f"label_replace({expr}"
        " * on (job, instance, kernel_id) group_left (notebook, kernel_name)"
        f" max by (job, instance, kernel_id, notebook, kernel_name) ({info}),"
        ' "id", "$1", "kernel_id", "(.{0,8}).*")'
    )


KERNEL_LEGEND = "{{username}} · {{notebook}} · {{id}}"


def query(expr: str, legend: str = "", ref: str = "A") -> sdk.prometheus.Dataquery:
    """A query over the time range."""
    return (
        sdk.prometheus.Dataquery()
        .expr(expr)
        .legend_format(legend)
        .ref_id(ref)
        .datasource(DATASOURCE)
    )


def now(expr: str, ref: str = "A") -> sdk.prometheus.Dataquery:
    """A query of the present values only, as rows of a table."""
    return query(expr, ref=ref).instant().format(sdk.PromQueryFormat.TABLE)


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value on; the first step starts at ``None``."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def field(name: str, properties: Field) -> tuple[str, list[model.DynamicConfigValue]]:
    """What to hand to ``override_by_name``: properties of one column or series."""
    return name, [model.DynamicConfigValue(key, value) for key, value in properties.items()]


def colored(name: str, color: str) -> tuple[str, list[model.DynamicConfigValue]]:
    """A series that always has the same colour."""
    return field(name, {"color": {"mode": "fixed", "fixedColor": color}})


def timeseries(title: str, description: str, unit: str) -> sdk.timeseries.Panel:
    """A graph: thin lines from zero, the newest value in a legend sorted by it."""
    return (
        sdk.timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .show_points(common_model.VisibilityMode.NEVER)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
            .sort_by("Last *")
            .sort_desc(True)
        )
        .height(9)
        .span(12)
    )


def number(title: str, description: str, unit: str) -> sdk.stat.Panel:
    """One number and how it came to be."""
    return (
        sdk.stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .graph_mode(common_model.BigValueGraphMode.AREA)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds((None, BLUE)))
        .height(4)
        .span(4)
    )


def bars(title: str, description: str, unit: str) -> sdk.bargauge.Panel:
    """A bar for each series, by its newest value."""
    return (
        sdk.bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .value_mode(common_model.BarGaugeValueMode.TEXT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds((None, BLUE)))
        .height(9)
        .span(12)
    )


def table(
    title: str, description: str, columns: Sequence[tuple[str, str, Field]]
) -> sdk.table.Panel:
    """Rows joined over their common labels; ``columns`` in order: field, heading, properties.

    Fields that no column names are left out.
    """
    panel = (
        sdk.table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("short")
        .cell_height(common_model.TableCellHeight.SM)
        .height(10)
        .span(24)
    )
    names = [name for name, _, _ in columns]
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": names}}
        )
    )
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "indexByName": {name: place for place, name in enumerate(names)},
                "renameByName": {name: heading for name, heading, _ in columns},
            },
        )
    )
    for _, heading, properties in columns:
        panel.override_by_name(*field(heading, properties))
    return panel


def variable(name: str, metric: str, matchers: str) -> dashboard.QueryVariable:
    """A choice among the values that a label has; several or all may be chosen.

    All are those of the list: every job that Prometheus has would be too many.
    """
    return (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(DATASOURCE)
        .query({"query": f"label_values({metric}{{{matchers}}}, {name})", "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard with the variables that all have."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["jupyter", "jupyterhub"])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("10s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(variable("job", "jupyter_kernel_exporter_build_info", ""))
        .with_variable(variable("instance", "jupyter_kernel_exporter_build_info", 'job=~"$job"'))
        .with_variable(
            variable("username", "jupyter_kernels", 'job=~"$job", instance=~"$instance"')
        )
    )
