"""Post-mortem: what died, when and why; whose, of which image, on which host."""

from dashboards.ask import some
from dashboards.board import board, row
from dashboards.reasons import ASKED, CRASHED, MEMORY, OTHERS, UNKNOWN, UNSTARTED
from dashboards.sdk import dashboard

from dashboards import causes, ends

SAID = {
    MEMORY: "Killed by linux when a limit or the machine's memory was used up, or suspected so.",
    CRASHED: "Native code that broke (SIGSEGV, SIGABRT, ...), or an exit status above 0.",
    UNSTARTED: "Ended before they were ever ready: a missing module, a broken environment.",
    OTHERS: "Somebody sent SIGKILL or SIGTERM, or their Jupyter server died under them.",
    UNKNOWN: "Ended, and nothing says why: mostly a source that the exporter cannot read.",
    ASKED: "Asked for through Jupyter: shut down, restarted, culled; or exit() in a cell.",
}


def build() -> dashboard.Dashboard:
    """From the sum of deaths to each of them."""
    hub = board(
        "deaths",
        "What died, when and why; by person, kernelspec and host.",
        "username",
        "kernel",
        span="6h",
    )
    for group, description in SAID.items():
        hub.with_panel(causes.group_count(group, description))
    row(hub, "When, and why", ends.deaths_by_reason().span(24), ends.the_dead(some))
    row(
        hub,
        "A bad image, a bad host, or one hog?",
        causes.image_or_hog(),
        causes.by_label(
            "Deaths by person",
            "Deaths not asked for in this time range: the ten people who had most.",
            "username",
        ),
        causes.by_label(
            "Deaths by kernelspec",
            "Deaths not asked for in this time range: the ten kernelspecs that had most.",
            "kernel_name",
        ),
        causes.by_label(
            "Deaths by host",
            "Deaths not asked for in this time range: the ten hosts that had most. One host far "
            "above the others is short of memory, or broken.",
            "instance",
        ),
    )
    row(hub, "What goes with it", ends.restarts(), ends.worker_kills(), ends.errors())
    return hub
