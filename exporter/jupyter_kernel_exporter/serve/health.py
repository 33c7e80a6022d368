"""Whether what is served is fresh: before the first sample and after the last one, it is not.

A scrape must not repeat an old sample for ever as if it were new: Prometheus would draw straight
lines where nothing is known, and no alert would see that the daemon is stuck.
"""

from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.settings import Settings


def stale_after_seconds(settings: Settings) -> float:
    """The age from which the newest sample no longer counts as the present."""
    return max(10.0, 5 * float(settings["sample.interval"]))


def staleness(snapshot: Snapshot | None, settings: Settings, now: float) -> str | None:
    """One sentence on why there is nothing fresh to serve; ``None`` while there is."""
    if snapshot is None:
        return "no sample has been taken yet"
    age = now - snapshot.taken_at
    if age > stale_after_seconds(settings):
        return f"the last sample is {age:.0f} seconds old: the sampling is stuck"
    return None
