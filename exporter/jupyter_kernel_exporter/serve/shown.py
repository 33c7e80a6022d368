"""What of all that is published somebody is shown: the routes' only way to kernels and deaths.

``/metrics`` goes past it: it shows everything, to those only who may see everything.

The recent past is kept by kernels' ids, and people may choose theirs: it is shown to those only who
may see every kernel that has the id now, or else the one that had it last.
"""

from collections.abc import Mapping

from jupyter_kernel_exporter.deaths.record import Reason
from jupyter_kernel_exporter.model import LiveKernel
from jupyter_kernel_exporter.publish.deathrow import DeathRow
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.publish.recent import Point
from jupyter_kernel_exporter.serve.api import ASKED_FOR
from jupyter_kernel_exporter.serve.viewer import EVERYTHING, Viewer


class Shown:
    """The published as one viewer sees it."""

    def __init__(self, published: Published, viewer: Viewer) -> None:
        self._published = published
        self._viewer = viewer
        self._whole = published.snapshot
        self.snapshot = None if self._whole is None else viewer.snapshot(self._whole)
        """The newest snapshot, however old: those who ask see when it was taken."""

    def kernel(self, kernel_id: str) -> LiveKernel | None:
        """The live kernel with this id."""
        kernels = self.snapshot.kernels if self.snapshot else ()
        return next((live for live in kernels if live.kernel.id == kernel_id), None)

    def deaths(
        self, limit: int, *, since: float = 0.0, asked_for: bool | None = None, **asked: str
    ) -> list[DeathRow]:
        """The last deaths, newest first, as :meth:`.History.deaths` has them.

        ``asked_for``: only those that somebody asked for, or only the others.
        """
        history, filters = self._published.history, self._viewer.filters(asked)
        if history is None or filters is None:
            return []
        rows = history.deaths(limit, since=since, **filters)
        if asked_for is None:
            return rows
        if len(rows) == limit and "reason" not in filters:
            # There may be more behind them.
            for reason in Reason:
                if (reason in ASKED_FOR) == asked_for:
                    rows += history.deaths(limit, since=since, reason=reason.value, **filters)
        found = {row.process: row for row in rows if (row.reason in ASKED_FOR) == asked_for}
        return sorted(found.values(), key=lambda row: row.ended_at, reverse=True)[:limit]

    def problem(self) -> str:
        """Why deaths may not last, in one sentence; empty if they do."""
        history = self._published.history
        return "" if history is None else self._viewer.text(history.problem())

    def points(self, kernel_id: str) -> list[Point] | None:
        """The recent past of a kernel; ``None`` if none is kept."""
        if self._viewer.sees_all or self._is_theirs(kernel_id):
            return self._published.recent.points(kernel_id)
        return None

    def rates(self, by_id: Mapping[str, float]) -> Mapping[str, float]:
        """What live kernels do, of those that may be seen."""
        if self._viewer.sees_all or self._whole is None:
            return by_id
        sees = self._viewer.sees
        others = {one.kernel.id for one in self._whole.kernels if not sees(one.kernel.username)}
        return {key: rate for key, rate in by_id.items() if key not in others}

    def _is_theirs(self, kernel_id: str) -> bool:
        kernels = self._whole.kernels if self._whole else ()
        owners = [live.kernel.username for live in kernels if live.kernel.id == kernel_id]
        if not owners:
            last = Shown(self._published, EVERYTHING).deaths(1, kernel_id=kernel_id)
            owners = [row.username for row in last]
        return bool(owners) and all(self._viewer.sees(owner) for owner in owners)
