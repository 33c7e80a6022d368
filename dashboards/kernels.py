"""The kernels, one by one: who they are, who grows, who runs out. A function for each panel."""

from dashboards.house import (
    BLUE,
    GREEN,
    KERNEL_LEGEND,
    ORANGE,
    RED,
    Panel,
    bars,
    colored,
    kernels,
    memory,
    named,
    now,
    query,
    table,
    thresholds,
    timeseries,
)
from dashboards.sdk import common, common_model, dashboard
from dashboards.sdk import dashboard_model as model

AND_KERNEL = "and on (job, instance, kernel_id)"
BY_KERNEL = "by (job, instance, kernel_id, username)"


def kernels_by_memory() -> Panel:
    """Who they are."""
    left = kernels("jupyter_kernel_memory_headroom_bytes")
    rate = f"rate({kernels('jupyter_kernel_cpu_seconds_total')}[$__rate_interval])"
    bar = {"custom.cellOptions": {"type": "gauge", "mode": "basic"}, "fieldMinMax": True}
    size = {"unit": "bytes", "custom.width": 100}
    columns = (
        ("notebook", "Notebook", {"noValue": "-"}),
        ("username", "User", {"custom.width": 120}),
        ("instance", "Host", {"custom.width": 150}),
        ("kernel_name", "Kernelspec", {"custom.width": 100}),
        ("Value #A", "Memory", {"unit": "bytes", "min": 0, "custom.width": 200, **bar}),
        ("Value #B", "of children", size),
        ("Value #C", "Peak", size),
        ("Value #D", "Left", size),
        ("Value #E", "Processors", {"unit": "short", "decimals": 2, "custom.width": 95}),
        ("Value #F", "Idle for", {"unit": "s", "decimals": 0, "custom.width": 95}),
        ("id", "Id", {"custom.width": 95}),
    )
    since = kernels("jupyter_kernel_last_activity_timestamp_seconds")
    top = f"topk(50, {memory()})"
    return (
        table(
            "Kernels by memory",
            "The fifty kernels that hold most, their worker processes included. Left is what may "
            "still be taken below the tightest of their limits, by whomever.",
            columns,
        )
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(BLUE))
        .sort_by([common.TableSortByFieldState().display_name("Memory").desc(True)])
        .with_target(now(named(top), "A"))
        .with_target(now(of_top(kernels("jupyter_kernel_children_memory_rss_bytes"), top), "B"))
        .with_target(now(of_top(kernels("jupyter_kernel_memory_peak_rss_bytes"), top), "C"))
        .with_target(now(of_top(f"min {BY_KERNEL} ({left})", top), "D"))
        .with_target(now(of_top(f"sum {BY_KERNEL} ({rate})", top), "E"))
        .with_target(now(of_top(f"(time() - {since})", top), "F"))
    )


def of_top(expr: str, top: str) -> str:
    """The same for the kernels of ``top`` only, without the names of metrics.

    Rows are merged where all common labels are the same, and a metric's name is one of them.
    """
    return f"max {BY_KERNEL} ({expr}) {AND_KERNEL} {top}"


def memory_by_kernel() -> Panel:
    """Who grows."""
    return timeseries(
        "Memory by kernel",
        "Resident memory of the ten kernels that hold most, their worker processes included. "
        "A line that rises steadily is a leak, or data that comes in bit by bit.",
        "bytes",
    ).with_target(query(named(f"topk(10, {memory()})"), KERNEL_LEGEND))


def processors_by_kernel() -> Panel:
    """Who works."""
    rate = f"rate({kernels('jupyter_kernel_cpu_seconds_total')}[$__rate_interval])"
    return timeseries(
        "Processors by kernel",
        "Processors that the ten busiest kernels keep busy, their worker processes included. A "
        "line at 1 is one thread that never waits.",
        "short",
    ).with_target(query(named(f"topk(10, sum {BY_KERNEL} ({rate}))"), KERNEL_LEGEND))


def share_of_limit() -> Panel:
    """Who fills a limit."""
    limit = f"min {BY_KERNEL} ({kernels('jupyter_kernel_memory_limit_bytes')})"
    return (
        bars(
            "Memory against the limit",
            "What each kernel holds itself, as a share of its smallest memory limit. Others may "
            "count against the same limit: see what is left beside this.",
            "percentunit",
        )
        .max(1)
        .thresholds(thresholds((None, GREEN), (0.7, ORANGE), (0.9, RED)))
        .with_target(query(named(f"topk(10, {memory()} / {limit})"), KERNEL_LEGEND).instant())
    )


def headroom() -> Panel:
    """Who runs out."""
    left = kernels("jupyter_kernel_memory_headroom_bytes")
    return timeseries(
        "Left below the limits",
        "What may still be taken before a limit strikes, by kind of limit: the kernel's own "
        "(rlimit), that of its container, pod or slice (cgroup), or the machine (host). The "
        "least of each person's kernels.",
        "bytes",
    ).with_target(
        query(
            f"min by (instance, username, scope) ({left})",
            "{{username}} · {{scope}} · {{instance}}",
        )
    )


def states() -> Panel:
    """What they do."""
    return (
        timeseries(
            "Kernels by state",
            "Busy is judged from CPU time: a kernel that waits or sleeps counts as idle.",
            "none",
        )
        .span(8)
        .decimals(0)
        .stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        .fill_opacity(40)
        .override_by_name(*colored("busy", ORANGE))
        .override_by_name(*colored("idle", GREEN))
        .override_by_name(*colored("starting", BLUE))
        .override_by_name(*colored("unknown", "text"))
        .with_target(query(f"sum by (state) ({kernels('jupyter_kernel_state')})", "{{state}}"))
    )


def memory_by_user() -> Panel:
    """Whose they are."""
    return (
        timeseries(
            "Memory by user",
            "Resident memory of each person's kernels together; the ten who hold most.",
            "bytes",
        )
        .span(8)
        .with_target(query(f"topk(10, sum by (username) ({memory()}))", "{{username}}"))
    )


def idle_memory() -> Panel:
    """What could be given back."""
    since = kernels("jupyter_kernel_last_activity_timestamp_seconds")
    return (
        bars(
            "Memory of idle kernels",
            "What kernels hold that have done nothing for ten minutes. Shutting one down gives "
            "it back, and loses its variables.",
            "bytes",
        )
        .span(8)
        .no_value("none is idle")
        .with_target(
            query(
                named(f"topk(10, {memory()} {AND_KERNEL} (time() - {since} > 600))"), KERNEL_LEGEND
            ).instant()
        )
    )
