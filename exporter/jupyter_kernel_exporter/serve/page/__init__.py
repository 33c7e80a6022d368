"""The pages for people: what the server writes, and ``static/`` keeps alive.

* ``rows``    a kernel in words
* ``order``   which of them, and in what order

The table of kernels is written whole, so that it is there at once and without the script. The
pages of one kernel and of deaths are frames that their scripts fill from the API.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import jupyter_kernel_exporter
from jupyter_kernel_exporter.deaths.reasons import MEANINGS
from jupyter_kernel_exporter.publish.recent import Recent
from jupyter_kernel_exporter.serve.api import KernelsModel
from jupyter_kernel_exporter.serve.health import stale_after_seconds
from jupyter_kernel_exporter.serve.page.order import COLUMNS, TROUBLE, View, arrange
from jupyter_kernel_exporter.serve.page.rows import EMPTY_ROW, Row, Summary, row, summary
from jupyter_kernel_exporter.serve.viewer import EVERYTHING, Viewer
from jupyter_kernel_exporter.settings import SOURCES, Settings

__all__ = ["Page", "Row", "Summary", "View", "arrange", "row", "summary"]

TEMPLATES = Path(__file__).parent.parent / "templates"
VIEW = View()

WRITTEN = 100
"""Rows that are written here; the script adds the others. More than anybody sees at once."""


class Page:
    """Writes the pages. What is given to them is the viewer's; only who sees everything is led to
    the metrics.
    """

    def __init__(self, settings: Settings, host_name: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "host_name": host_name,
            "version": jupyter_kernel_exporter.__version__,
            # Relative, so that the page works behind a proxy that puts a path before it.
            "metrics": settings["web.telemetry-path"].removeprefix("/"),
            "stale_after": stale_after_seconds(settings),
        }

    def kernels(
        self,
        model: KernelsModel | None,
        now: float,
        view: View = VIEW,
        died: int = 0,
        *,
        viewer: Viewer = EVERYTHING,
    ) -> str:
        """The table of kernels; ``None`` before the first sample.

        ``died`` is how many ended lately without being asked to: room is kept for the newest.
        """
        kernels = model.kernels if model else []
        shown = arrange(kernels, view)
        taken_at = model.taken_at if model else None
        return self._write(
            "kernels.html",
            taken_at,
            now,
            rows=[row(kernel, taken_at or now) for kernel in shown[:WRITTEN]],
            shown=len(shown),
            empty_row=EMPTY_ROW,
            summary=summary(kernels),
            problems=[s for s in model.sources if s.problem and not s.minor] if model else [],
            columns=COLUMNS,
            sorts=(TROUBLE, *COLUMNS),
            view=view,
            died=died,
            viewer=viewer,
        )

    def kernel(
        self,
        kernel_id: str,
        heading: str,
        recent: Recent,
        taken_at: float | None,
        now: float,
        *,
        viewer: Viewer = EVERYTHING,
    ) -> str:
        """One kernel; ``heading`` is its notebook."""
        return self._write(
            "kernel.html",
            taken_at,
            now,
            kernel_id=kernel_id,
            heading=heading or kernel_id,
            recent=recent,
            sources=SOURCES,
            viewer=viewer,
        )

    def deaths(self, taken_at: float | None, now: float, *, viewer: Viewer = EVERYTHING) -> str:
        """Ends of kernels."""
        return self._write(
            "deaths.html", taken_at, now, reasons=MEANINGS, sources=SOURCES, viewer=viewer
        )

    def _write(self, template: str, taken_at: float | None, now: float, **values: Any) -> str:
        age = 0.0 if taken_at is None else max(0.0, now - taken_at)
        return self._environment.get_template(template).render(
            values, waiting=taken_at is None, taken_at=taken_at or now, age=age, now=now
        )
