"""What the daemon hands to those who serve: the newest snapshot and the recent past."""

from dataclasses import dataclass, field

from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.recent import Recent


@dataclass(slots=True)
class Published:
    """The one object that both sides see. The daemon assigns, the servers read."""

    snapshot: Snapshot | None = None
    """Replaced whole at each tick; ``None`` until the first tick is over."""
    recent: Recent = field(default_factory=Recent)
    history: History | None = None
    """Deaths that last; ``None`` where nobody looks into ends."""
