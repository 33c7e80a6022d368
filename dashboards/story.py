"""One kernel's memory, work and troubles. A function for each panel."""

from dashboards.ask import BY_KERNEL, kernel
from dashboards.house import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Panel,
    colored,
    dashed,
    events,
    field,
    happened,
    legend,
    query,
    timeseries,
)
from dashboards.sdk import common, common_model

from dashboards import ask

HELD = (
    f"({kernel('jupyter_kernel_memory_rss_bytes')}"
    f" + {kernel('jupyter_kernel_children_memory_rss_bytes')})"
)
"""Not the recorded sum: it is a few seconds older than the headroom, which shows at a restart."""
HEADROOM = kernel("jupyter_kernel_memory_headroom_bytes")
RUNS_OUT = kernel("jupyter_kernel_memory_exhaustion_seconds")
STATE_COLORS = {"busy": ORANGE, "idle": GREEN, "starting": BLUE, "unknown": GREY}
AHEAD_SECONDS = 900
"""How far the forecast is drawn ahead."""


def memory_against_limits() -> Panel:
    """The whole story in one graph."""
    # Where the limit strikes is where the headroom ends: others use up shared limits as well.
    ceiling = f"{HEADROOM} + on (job, instance, kernel_id, username) group_left () {HELD}"
    tightest = f"min {BY_KERNEL} ({HEADROOM})"
    gain = f"clamp_max({AHEAD_SECONDS} / {RUNS_OUT}, 1) * {tightest}"
    return (
        timeseries(
            "Memory against its limits",
            "What the kernel and its workers hold, and where each limit strikes: a limit that is "
            "shared comes nearer when others take memory. The dashed blue line is the forecast of "
            "what it will hold in a quarter of an hour; where it meets a limit, it dies then.",
            "bytes",
        )
        .height(11)
        .span(16)
        .override_by_name(*colored("held", BLUE, **{"custom.lineWidth": 2}))
        .override_by_name(*colored("of it, by workers", "purple"))
        .override_by_name(*dashed("in 15 minutes", "light-blue"))
        .override_by_name(*dashed("limit: cgroup", RED))
        .override_by_name(*dashed("limit: rlimit", "dark-red"))
        .override_by_name(*dashed("limit: host", ORANGE))
        .with_target(query(HELD, "held"))
        .with_target(
            query(kernel("jupyter_kernel_children_memory_rss_bytes"), "of it, by workers", "B")
        )
        .with_target(query(f"{HELD} + {gain}", "in 15 minutes", "C"))
        # Far limits would press everything else to the ground.
        .with_target(
            query(f"({ceiling}) < on () group_left () (8 * max({HELD}))", "limit: {{scope}}", "D")
        )
    )


def headroom() -> Panel:
    """What is left below each limit."""
    return (
        timeseries(
            "Left below each limit",
            "What may still be taken before each limit strikes: of the process (rlimit), of its "
            "container, pod or slice (cgroup), of the machine (host).",
            "bytes",
        )
        .height(11)
        .span(8)
        .fill_opacity(0)
        .override_by_name(*colored("cgroup", RED))
        .override_by_name(*colored("rlimit", "dark-red"))
        .override_by_name(*colored("host", ORANGE))
        .with_target(query(HEADROOM, "{{scope}}"))
    )


def forecast() -> Panel:
    """How the forecast changed."""
    return (
        timeseries(
            "Time until it runs out",
            "The forecast over time; a gap means that nothing points to exhaustion. A line that "
            "falls steadily is a leak that keeps its pace.",
            "s",
        )
        .span(8)
        .no_value("not in sight")
        .override_by_name(*colored("until it runs out", RED))
        .with_target(query(f"{RUNS_OUT} < Inf", "until it runs out"))
    )


def processors_over_time() -> Panel:
    """How hard it worked."""
    rate = f"rate({kernel('jupyter_kernel_cpu_seconds_total')}[$__rate_interval])"
    return (
        timeseries(
            "Processors by mode",
            "Processors that it and its workers keep busy: in their own code (user), or in linux "
            "on their behalf (system).",
            "short",
        )
        .span(8)
        .stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        .with_target(query(f"sum by (mode) ({rate})", "{{mode}}"))
    )


def state_over_time() -> Panel:
    """What it did."""
    panel = (
        timeseries(
            "State",
            "What it did: one of the states at any time. A kernel that is busy without end and "
            "uses no processor waits for something.",
            "none",
        )
        .span(8)
        .max(1)
        .decimals(0)
        .line_interpolation(common_model.LineInterpolation.STEP_AFTER)
        .stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
        .line_width(0)
        .fill_opacity(60)
        .legend(legend(["lastNotNull"]).display_mode(common_model.LegendDisplayMode.LIST))
    )
    for name, color in STATE_COLORS.items():
        panel.override_by_name(*colored(name, color))
    return panel.with_target(query(kernel("jupyter_kernel_state"), "{{state}}"))


def storage() -> Panel:
    """What it read and wrote."""
    rate = f"rate({kernel('jupyter_kernel_io_bytes_total')}[$__rate_interval])"
    return (
        timeseries(
            "Read and written",
            "Bytes a second from and to storage; what came from the page cache does not count.",
            "Bps",
        )
        .span(8)
        .with_target(query(rate, "{{direction}}"))
    )


def waiting() -> Panel:
    """Whether storage held it up."""
    wait = f"rate({kernel('jupyter_kernel_io_wait_seconds_total')}[$__rate_interval])"
    faults = f"rate({kernel('jupyter_kernel_major_page_faults_total')}[$__rate_interval])"
    return (
        timeseries(
            "Held up by storage",
            "Share of the time in which it was blocked on storage, where linux accounts for that; "
            "and page faults a second that had to wait for storage: many are memory that is "
            "short, before anybody dies of it.",
            "percentunit",
        )
        .span(8)
        .override_by_name(
            *field("page faults a second", {"unit": "short", "custom.axisPlacement": "right"})
        )
        .with_target(query(wait, "blocked"))
        .with_target(query(faults, "page faults a second", "B"))
    )


def children() -> Panel:
    """What it started."""
    return (
        timeseries(
            "Workers, threads and files",
            "Descendant processes, threads of the kernel itself, and file descriptors that it "
            "holds open. A line that only rises is a leak of another kind.",
            "none",
        )
        .decimals(0)
        .span(8)
        .fill_opacity(0)
        .with_target(query(kernel("jupyter_kernel_children"), "worker processes"))
        .with_target(query(kernel("jupyter_kernel_threads"), "threads", "B"))
        .with_target(query(kernel("jupyter_kernel_open_fds"), "open files", "C"))
    )


def oom_score() -> Panel:
    """Whether linux would choose it."""
    return (
        timeseries(
            "Badness to linux",
            "When memory runs out, linux kills the process with the highest score, from 0 to "
            "2000. The dashed line is the highest of all kernels on its host: where both meet, "
            "this one is next.",
            "none",
        )
        .decimals(0)
        .span(8)
        .fill_opacity(0)
        .override_by_name(*dashed("highest on its host", RED))
        .with_target(query(kernel("jupyter_kernel_oom_score"), "this kernel"))
        .with_target(
            query(
                f"max by (job, instance) ({ask.hosts('jupyter_kernel_oom_score')})"
                f" and on (job, instance) {kernel('jupyter_kernel_oom_score')}",
                "highest on its host",
                "B",
            )
        )
    )


def errors() -> Panel:
    """What its cells complained of."""
    counter = kernel("jupyter_kernel_errors_total")
    return (
        events(
            "Errors in its cells",
            "Exceptions that reached the output of a cell. A MemoryError says that its own limit "
            "was met, and that it lives on.",
        )
        .span(8)
        .override_by_name(*colored("MemoryError", RED))
        .override_by_name(*colored("other", BLUE))
        .with_target(happened(counter, "error"))
    )


def gpu() -> Panel:
    """What it holds elsewhere."""
    return (
        timeseries(
            "Memory on GPUs",
            "What it and its workers hold on each GPU, where there is one.",
            "bytes",
        )
        .span(8)
        .no_value("none used")
        .with_target(query(kernel("jupyter_kernel_gpu_memory_bytes"), "GPU {{gpu}}"))
    )
