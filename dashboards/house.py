"""The house style: how panels look, so that a panel says only what is its own."""

from collections.abc import Mapping, Sequence

from dashboards.reasons import COLORS
from dashboards.sdk import common, common_model, dashboard
from dashboards.sdk import dashboard_model as model

from dashboards import sdk

DATASOURCE = common_model.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"

COARSE = "30s"
"""Shortest step of a graph over all kernels: an hour of 2,000 kernels stays quick to draw."""

Panel = sdk.bargauge.Panel | sdk.stat.Panel | sdk.table.Panel | sdk.timeseries.Panel
Field = Mapping[str, object]
"""Properties of a column or series, by Grafana's id of the property."""
Column = tuple[str, str, Field]
"""Field, heading, properties."""
Override = tuple[str, list[model.DynamicConfigValue]]


def query(expr: str, legend: str = "", ref: str = "A") -> sdk.prometheus.Dataquery:
    """A query over the time range."""
    return (
        sdk.prometheus.Dataquery()
        .expr(expr)
        .legend_format(legend)
        .ref_id(ref)
        .datasource(DATASOURCE)
    )


def latest(expr: str, legend: str = "", ref: str = "A") -> sdk.prometheus.Dataquery:
    """A query of the values at the end of the time range."""
    return query(expr, legend, ref).instant()


def now(expr: str, ref: str = "A") -> sdk.prometheus.Dataquery:
    """The same as rows of a table."""
    return latest(expr, ref=ref).format(sdk.PromQueryFormat.TABLE)


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value on; the first step starts at ``None``."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )


def steps(*colors: tuple[float | None, str]) -> Field:
    """The same as a property of a column."""
    return {
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in colors],
        }
    }


def field(name: str, properties: Field) -> Override:
    """What to hand to ``override_by_name``: properties of one column or series."""
    return name, [model.DynamicConfigValue(key, value) for key, value in properties.items()]


def colored(name: str, color: str, **more: object) -> Override:
    """A series that always has the same colour."""
    return field(name, {"color": {"mode": "fixed", "fixedColor": color}, **more})


def dashed(name: str, color: str) -> Override:
    """A series that is a bound or a forecast and nothing measured: a dashed line, not filled."""
    style = {"fill": "dash", "dash": [8, 6]}
    return colored(
        name, color, **{"custom.lineStyle": style, "custom.fillOpacity": 0, "custom.lineWidth": 2}
    )


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
        .legend(legend(["lastNotNull", "max"]))
        .height(9)
        .span(12)
    )


def legend(calcs: list[str]) -> common.VizLegendOptions:
    """A table below the graph, the greatest first."""
    sort = {"lastNotNull": "Last *", "sum": "Total"}[calcs[0]]
    return (
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.TABLE)
        .placement(common_model.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(calcs)
        .sort_by(sort)
        .sort_desc(True)
    )


def ranking(title: str, description: str, unit: str) -> sdk.timeseries.Panel:
    """The same for the first ten of many: beside the graph there is room for all their names."""
    return (
        timeseries(title, description, unit)
        .interval(COARSE)
        .legend(legend(["lastNotNull"]).placement(common_model.LegendPlacement.RIGHT).width(330))
    )


def events(title: str, description: str) -> sdk.timeseries.Panel:
    """Bars of how often something happened, stacked; none where nothing did."""
    return (
        timeseries(title, description, "none")
        .draw_style(common_model.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .decimals(0)
        .axis_soft_max(2)
        .interval("2m")
        .stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        .legend(legend(["sum"]))
        .no_value("none")
    )


def happened(counter: str, by: str) -> sdk.prometheus.Dataquery:
    """How often something was counted in each interval: by those values of a label only that it
    was counted for at all, with their zeros, without which a lonely bar would be as wide as a day.
    """
    each = f"round(sum by ({by}) (increase({counter}[$__rate_interval])))"
    at_all = f"sum by ({by}) (increase({counter}[$__range] @ end())) > 0.5"
    return query(f"{each} and on ({by}) ({at_all})", "{{" + by + "}}")


def number(title: str, description: str, unit: str) -> sdk.stat.Panel:
    """One number and how it came to be."""
    return (
        sdk.stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .interval(COARSE)
        .unit(unit)
        .graph_mode(common_model.BigValueGraphMode.AREA)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds((None, BLUE)))
        .height(4)
        .span(3)
    )


def count(title: str, description: str, unit: str = "none") -> sdk.stat.Panel:
    """One number of the whole time range, without a graph."""
    return number(title, description, unit).graph_mode(common_model.BigValueGraphMode.NONE)


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
        .show_unfilled(True)
        .sizing(common_model.BarGaugeSizing.MANUAL)
        .min_viz_height(16)
        .max_viz_height(44)
        # Else a single bar would have letters as tall as itself.
        .text(common.VizTextDisplayOptions().title_size(13).value_size(16))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds((None, BLUE)))
        .height(9)
        .span(12)
    )


def table(title: str, description: str, columns: Sequence[Column]) -> sdk.table.Panel:
    """Rows joined over their common labels; ``columns`` in order: field, heading, properties.

    Fields that no column names are left out.
    """
    panel = (
        sdk.table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("short")
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(BLUE))
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
    for name, heading, properties in columns:
        # Else a label that looks like a number would be rounded: people may be called 20241187.
        text = {} if name.startswith("Value") else {"unit": "string"}
        panel.override_by_name(*field(heading, {**text, **properties}))
    return panel


GAUGE: Field = {
    "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    "min": 0,
}
"""A cell that is a bar as well as a number."""
BY_THRESHOLDS: Field = {"color": {"mode": "thresholds"}}


OF_GREATEST: Field = {**GAUGE, "fieldMinMax": True}
"""The same where the greatest of the column is all there is to compare with."""


def wide(pixels: int) -> Field:
    """The width of a column."""
    return {"custom.width": pixels}


def sort_by(
    heading: str, *, desc: bool = True
) -> list[sdk.Builder[common_model.TableSortByFieldState]]:
    """The rows' order at first."""
    return [common.TableSortByFieldState().display_name(heading).desc(desc)]


def reason_overrides(panel: sdk.timeseries.Panel) -> sdk.timeseries.Panel:
    """Each reason in its colour."""
    for reason, color in COLORS.items():
        panel.override_by_name(*colored(reason, color))
    return panel
