"""The state of the hub in a row of numbers. A function for each panel."""

from dashboards.house import (
    GREEN,
    ORANGE,
    RED,
    Panel,
    kernels,
    memory,
    number,
    query,
    thresholds,
)


def kernel_count() -> Panel:
    """How many there are."""
    return number("Kernels", "Kernels that are alive.", "none").with_target(
        query(f"sum({kernels('jupyter_kernels')}) or vector(0)", "kernels")
    )


def busy_count() -> Panel:
    """How many of them work."""
    busy = kernels("jupyter_kernel_state", 'state="busy"')
    return number(
        "Busy", "Kernels that use at least a tenth of a processor just now.", "none"
    ).with_target(query(f"sum({busy}) or vector(0)", "busy"))


def memory_held() -> Panel:
    """What they hold together."""
    return number(
        "Memory held",
        "Resident memory of all kernels and their worker processes. Pages that a worker shares "
        "with its kernel count twice.",
        "bytes",
    ).with_target(query(f"sum({memory()}) or vector(0)", "memory"))


def processors_used() -> Panel:
    """What they work together."""
    rate = f"rate({kernels('jupyter_kernel_cpu_seconds_total')}[$__rate_interval])"
    return (
        number("Processors used", "Processors that all kernels keep busy together.", "short")
        .decimals(2)
        .with_target(query(f"sum({rate}) or vector(0)", "processors"))
    )


def tightest() -> Panel:
    """How near anybody is to a limit."""
    left = kernels("jupyter_kernel_memory_headroom_bytes")
    limit = kernels("jupyter_kernel_memory_limit_bytes")
    return (
        number(
            "Room left",
            "What is left below the memory limit that is nearest to striking, as a share of that "
            "limit. At zero linux ends a kernel, or its allocations fail.",
            "percentunit",
        )
        .min(0)
        .max(1)
        .thresholds(thresholds((None, RED), (0.1, ORANGE), (0.2, GREEN)))
        .no_value("no limit")
        .with_target(query(f"min({left} / {limit})", "left"))
    )
