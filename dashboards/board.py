"""What all dashboards share: variables, the way from one to the next, marks of what happened."""

from collections.abc import Iterable

from dashboards.ask import CHOSEN, short
from dashboards.house import DATASOURCE, Panel, query
from dashboards.sdk import dashboard
from dashboards.sdk import dashboard_model as model

UID = "jupyter-kernels-{}"
BOARDS = {
    "overview": "The hub at a glance",
    "kernel": "One kernel",
    "users": "People",
    "deaths": "Deaths",
    "exporter": "The exporter",
}
"""All there are, in the order in which they are read: file name and title of the link."""
TITLE = "Jupyter kernels"


def _url(target: str, names: Iterable[str]) -> str:
    """The way to a dashboard with the values of these variables, and the time range."""
    return f"/d/{UID.format(target)}?" + "&".join(
        [*("${" + name + ":queryparam}" for name in names), "${__url_time_range}"]
    )


BASE = ("datasource", "job", "instance")


def to_kernel(kernel_id: str) -> dashboard.DashboardLink:
    """From a kernel's row or line to its own dashboard; ``kernel_id`` names a field or label."""
    url = _url("kernel", BASE) + "&var-kernel=${" + kernel_id + "}"
    return dashboard.DashboardLink("Open this kernel").url(url)


def to_user(board: str, username: str) -> dashboard.DashboardLink:
    """From a person's row or line to another dashboard, of that person only."""
    url = _url(board, BASE) + "&var-username=${" + username + "}"
    return dashboard.DashboardLink(f"{BOARDS[board]} of this person").url(url)


def linked(*links: dashboard.DashboardLink) -> dict[str, object]:
    """Links as a property of a column."""
    built = [link.build() for link in links]
    return {"links": [{"title": link.title, "url": link.url} for link in built]}


KERNEL_COLUMN = linked(to_kernel("__data.fields.Id"))
"""For a column of a table that has the whole id in the column Id."""
USER_COLUMN = linked(
    to_user("users", "__data.fields.User"), to_user("deaths", "__data.fields.User")
)
KERNEL_LINE = to_kernel("__field.labels.kernel_id")
USER_LINE = to_user("users", "__field.labels.username")


def _choice(name: str, query_text: str, all_value: str) -> dashboard.QueryVariable:
    """A choice among what a query finds; several or all may be chosen."""
    return (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(DATASOURCE)
        .query({"query": query_text, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .all_value(all_value)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _variables() -> dict[str, dashboard.QueryVariable]:
    """The choices, by name. All of a host's are not listed in the query but matched by a pattern:
    a hub may have thousands of people.
    """
    build = "jupyter_kernel_exporter_build_info"
    info = f'last_over_time(jupyter_kernel_info{{{CHOSEN}, username=~"$username"}}[$__range])'
    shown = f'label_join({short(info)}, "shown", " · ", "username", "notebook", "id")'
    return {
        "job": _choice("job", f"label_values({build}, job)", ".+"),
        "instance": _choice("instance", f'label_values({build}{{job=~"$job"}}, instance)', ".+"),
        "username": _choice(
            "username", f"label_values(jupyter_kernel_info{{{CHOSEN}}}, username)", ".*"
        ),
        # People know a notebook, and nobody an id: that is shown, and this is chosen.
        "kernel": _choice("kernel", f"query_result({shown})", ".*").regex(
            '/kernel_id="(?<value>[^"]+)".*,shown="(?<text>[^"]+)"/'
        ),
    }


def board(name: str, description: str, *variables: str, span: str = "1h") -> dashboard.Dashboard:
    """An empty dashboard with the variables named, and links to all the others.

    The choice of a kernel is passed on only by the dashboard of one kernel.
    """
    made = (
        dashboard.Dashboard(f"{TITLE}: {BOARDS[name].lower()}")
        .uid(UID.format(name))
        .description(description)
        .tags(["jupyter", "jupyterhub"])
        .readonly()
        .timezone("browser")
        .time(f"now-{span}", "now")
        .refresh("10s" if span == "1h" else "1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
    )
    choices = _variables()
    for variable in ("job", "instance", *variables):
        choice = choices[variable]
        if variable == "kernel" and name == "kernel":
            choice = (
                choice.multi(False).include_all(False).all_value("").current(model.VariableOption())
            )
        made.with_variable(choice)
    passed = [*BASE, *(v for v in variables if v != "kernel" or name == "kernel")]
    for other, title in BOARDS.items():
        if other != name:
            made.link(
                dashboard.DashboardLink(title)
                .type(model.DashboardLinkType.LINK)
                .icon("dashboard")
                .tooltip(f"{title}, with what is chosen here")
                .url(_url(other, passed))
            )
    return made


def row(made: dashboard.Dashboard, title: str, *panels: Panel) -> None:
    """A heading and what stands below it."""
    made.with_row(dashboard.Row(title))
    for panel in panels:
        made.with_panel(panel)


def mark(name: str, times: str, text: str, color: str) -> dashboard.AnnotationQuery:
    """Marks in all graphs at the times (seconds since the epoch) that an expression gives."""
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(color)
        .target(query(f"{times} * 1000", ref="Anno"))
        .expr(f"{times} * 1000")
        .step("15s")
        .title_format(name)
        .text_format(text)
        .use_value_for_time(True)
    )
