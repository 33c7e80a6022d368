"""What is asked of Prometheus: the pieces that the queries of all dashboards are made of.

Sums over a kernel's processes and rates are recorded once by ``alerts/rules``; asked for directly,
they would be worked out anew for 2,000 kernels at each step of each graph.
"""

from collections.abc import Callable

Pick = Callable[[str, str], str]
"""Which series of a metric: of all chosen persons, of the chosen kernels, of the one kernel."""

CHOSEN = 'job=~"$job", instance=~"$instance"'
BY_KERNEL = "by (job, instance, kernel_id, username)"
ON_KERNEL = "on (job, instance, kernel_id)"
IDLE_SECONDS = 3600
"""From here on a kernel counts as forgotten; the same as in JupyterKernelIdleHoldingMemory."""
NEAR_LIMIT = 0.1
"""Part of a limit below which little is left; the same as in JupyterKernelMemoryNearLimit."""


def _selector(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matcher for matcher in matchers if matcher)}}}"


def hosts(metric: str, more: str = "") -> str:
    """The chosen hosts' series of a metric that belongs to nobody."""
    return _selector(metric, CHOSEN, more)


def kernels(metric: str, more: str = "") -> str:
    """The series of a metric for the chosen persons."""
    return _selector(metric, CHOSEN, 'username=~"$username"', more)


def kernel(metric: str, more: str = "") -> str:
    """The one chosen kernel's series of a metric."""
    return _selector(metric, CHOSEN, 'kernel_id="$kernel"', more)


def some(metric: str, more: str = "") -> str:
    """The chosen kernels' series of a metric, where several may be chosen."""
    return _selector(metric, CHOSEN, 'username=~"$username", kernel_id=~"$kernel"', more)


def memory() -> str:
    """What each kernel holds, its worker processes included, in bytes."""
    return kernels("kernel_id:jupyter_kernel_memory_rss_bytes:sum")


def processors() -> str:
    """How many processors each kernel keeps busy, its worker processes included."""
    return kernels("kernel_id:jupyter_kernel_cpu_seconds:rate1m")


def room() -> str:
    """What is left below the limit of each kernel that is nearest to striking, from 1 to 0."""
    ratio = kernels("kernel_id_scope:jupyter_kernel_memory_headroom:ratio")
    return f"min {BY_KERNEL} ({ratio})"


def exhaustion() -> str:
    """Seconds until that limit strikes, of those kernels that move towards it."""
    return f"({kernels('jupyter_kernel_memory_exhaustion_seconds')} < Inf)"


def growth() -> str:
    """Bytes per second that each kernel's memory rises by, over a quarter of an hour."""
    return f"deriv({memory()}[15m])"


def idle_for(pick: Pick = kernels) -> str:
    """Seconds since each kernel that does not work just now was last active."""
    active = pick("jupyter_kernel_last_activity_timestamp_seconds", "")
    busy = pick("jupyter_kernel_state", 'state="busy"')
    return f"((time() - {active}) unless {ON_KERNEL} ({busy} == 1))"


def idle_memory() -> str:
    """What those kernels hold that have done nothing for long."""
    return f"({memory()} and {ON_KERNEL} ({idle_for()} > {IDLE_SECONDS}))"


def ends(reasons: str, over: str, by: str) -> str:
    """Deaths in a time, as whole numbers; ``reasons`` is a matcher."""
    counter = kernels("jupyter_kernel_deaths_total", reasons)
    return f"round(sum by ({by}) (increase({counter}[{over}])))"


def named(expr: str, whose: str = "") -> str:
    """Series by kernel, with the notebook, the kernelspec and a short id to tell them by.

    Names are looked up once, at the end of the range and not at each step: that is ten times
    faster with 2,000 kernels. A kernel that was there at any time has one; the newest counts.
    """
    info = whose or kernels("jupyter_kernel_info")
    names = f"topk by (job, instance, kernel_id) (1, last_over_time({info}[$__range] @ end()))"
    return short(f"{expr} * {ON_KERNEL} group_left (notebook, kernel_name) {names}")


def short(expr: str) -> str:
    """With the label ``id``: the first eight characters of a kernel's."""
    return f'label_replace({expr}, "id", "$1", "kernel_id", "(.{{0,8}}).*")'


def nearest(count: int) -> str:
    """The kernels that have the least of a limit left at the end of the range, over the range."""
    ratio = kernels("kernel_id_scope:jupyter_kernel_memory_headroom:ratio")
    picked = f"bottomk({count}, min {BY_KERNEL} ({ratio} @ end()))"
    return f"min {BY_KERNEL} ({ratio} and {ON_KERNEL} {picked})"


def of_top(expr: str, top: str) -> str:
    """What is asked for, of the kernels of ``top`` only, without the names of metrics.

    Rows are merged where all common labels are the same, and a metric's name is one of them.
    """
    return f"max {BY_KERNEL} ({expr}) and {ON_KERNEL} {top}"


KERNEL_LEGEND = "{{username}} · {{notebook}} · {{id}}"
