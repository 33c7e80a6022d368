"""The web application: every route, and what stands before them.

It sees what the daemon published, never the daemon. Whatever takes time (a scrape, the lists, the
page) is a plain function, which FastAPI runs in a thread: the event loop only moves bytes.
"""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

import jupyter_kernel_exporter
from jupyter_kernel_exporter.model import Snapshot
from jupyter_kernel_exporter.publish.encode import choose_format, writable
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.api import (
    DeathsModel,
    DeathsQuery,
    ErrorModel,
    HealthModel,
    KernelDetailModel,
    KernelsModel,
    deaths_model,
    history_model,
    kernel_model,
    kernels_model,
    source_models,
)
from jupyter_kernel_exporter.serve.guard import HEADERS, HeadIsGet, HostGuard, SecurityHeaders
from jupyter_kernel_exporter.serve.health import staleness
from jupyter_kernel_exporter.serve.hub import Hub
from jupyter_kernel_exporter.serve.hub_guard import HubGuard
from jupyter_kernel_exporter.serve.lock import Lock, LockGuard
from jupyter_kernel_exporter.serve.page import Page
from jupyter_kernel_exporter.serve.page.order import parse_view
from jupyter_kernel_exporter.serve.scrape import Scrape, gzip_accepted
from jupyter_kernel_exporter.serve.shown import Shown
from jupyter_kernel_exporter.serve.viewer import Overseen, Seen
from jupyter_kernel_exporter.settings import Settings

STATIC = Path(__file__).parent / "static"

LATELY_SECONDS = 3600.0
"""Deaths of the last hour are told on the first page."""
LATELY = 1000


def create_app(
    published: Published,
    settings: Settings,
    *,
    scrape: Scrape | None = None,
    clock: Callable[[], float] = time.time,
    host_name: str | None = None,
    lock: Lock | None = None,
    hub: Hub | None = None,
) -> FastAPI:
    """The application that serves ``published``, behind ``lock`` and ``hub`` whole."""
    site = _Site(
        published, settings, scrape or Scrape(), clock, Page(settings, host_name or platform.node())
    )
    app = FastAPI(
        title="jupyter-kernel-exporter",
        summary="Every Jupyter kernel of a host: memory, CPU, I/O and limits.",
        version=jupyter_kernel_exporter.__version__,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={Exception: _internal_error},
    )
    # The last one added stands before all others.
    app.add_middleware(HeadIsGet)
    app.add_middleware(HubGuard, hub=hub)
    app.add_middleware(LockGuard, lock=lock)
    app.add_middleware(
        HostGuard,
        addresses=settings["web.listen-address"],
        allowed_hosts=settings["web.allowed-host"],
        logged_in=hub is not None,
    )
    app.add_middleware(SecurityHeaders, more=lock.headers if lock else dict)

    app.add_api_route("/", site.kernels_page, include_in_schema=False)
    app.add_api_route("/deaths", site.deaths_page, include_in_schema=False)
    app.add_api_route(
        settings["web.telemetry-path"], site.metrics, responses=_FORBIDDEN | _UNAVAILABLE
    )
    # After the metrics, which may be anywhere.
    app.add_api_route("/kernels/{kernel_id}", site.kernel_page, include_in_schema=False)
    app.add_api_route(
        "/api/v1/kernels", site.kernels, response_model=KernelsModel, responses=_UNAVAILABLE
    )
    app.add_api_route(
        "/api/v1/kernels/{kernel_id}",
        site.kernel,
        response_model=KernelDetailModel,
        responses=_NOT_FOUND | _UNAVAILABLE,
    )
    app.add_api_route("/api/v1/deaths", site.deaths, response_model=DeathsModel)
    app.add_api_route("/-/healthy", site.healthy)
    app.add_api_route("/-/ready", site.ready, responses=_UNAVAILABLE)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


_FORBIDDEN: dict[int | str, dict[str, Any]] = {403: {"model": ErrorModel}}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorModel}}
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": ErrorModel}}


class _Site:
    """What the routes do."""

    def __init__(
        self,
        published: Published,
        settings: Settings,
        scrape: Scrape,
        clock: Callable[[], float],
        page: Page,
    ) -> None:
        self._published = published
        self._settings = settings
        self._scrape = scrape
        self._clock = clock
        self._page = page

    def kernels_page(
        self, viewer: Seen, q: str = "", sort: str = "", order: str = ""
    ) -> HTMLResponse:
        """The live table of kernels, for people."""
        shown, now = Shown(self._published, viewer), self._clock()
        model = self._kernels_model(shown) if shown.snapshot else None
        died = len(shown.deaths(LATELY, since=now - LATELY_SECONDS, asked_for=False))
        view = parse_view(q, sort, order)
        return HTMLResponse(self._page.kernels(model, now, view, died, viewer=viewer))

    def kernel_page(self, viewer: Seen, kernel_id: str) -> HTMLResponse:
        """One kernel for people, or what is remembered of it; 404 if that is nothing at all."""
        shown, recent = Shown(self._published, viewer), self._published.recent
        snapshot, live = shown.snapshot, shown.kernel(kernel_id)
        rows = shown.deaths(1, kernel_id=kernel_id) if live is None else []
        notebook = live.kernel.notebook if live else rows[0].notebook if rows else ""
        known = snapshot is None or live or rows or shown.points(kernel_id) is not None
        taken_at = snapshot.taken_at if snapshot else None
        heading, now = writable(notebook), self._clock()
        text = self._page.kernel(kernel_id, heading, recent, taken_at, now, viewer=viewer)
        return HTMLResponse(text, 200 if known else 404)

    def deaths_page(self, viewer: Seen) -> HTMLResponse:
        """The last ends of kernels, for people."""
        snapshot = self._published.snapshot
        taken_at = snapshot.taken_at if snapshot else None
        return HTMLResponse(self._page.deaths(taken_at, self._clock(), viewer=viewer))

    def metrics(self, _: Overseen, request: Request) -> Response:
        """All metrics, as OpenMetrics or Prometheus' text format by ``Accept``."""
        snapshot = self._fresh()
        fmt = choose_format(request.headers.get("accept", ""))
        gzipped = gzip_accepted(request.headers.get("accept-encoding", ""))
        headers = {"Content-Type": fmt.value, "Vary": "Accept, Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self._scrape.body(snapshot, fmt, gzipped), headers=headers)

    def kernels(self, viewer: Seen) -> Response:
        """All live kernels, the largest first."""
        model = self._kernels_model(Shown(self._published, viewer))
        return Response(model.model_dump_json(), media_type="application/json")

    def kernel(self, viewer: Seen, kernel_id: str) -> Response:
        """One kernel with its last two hours; of one that is gone, the history only."""
        shown, recent = Shown(self._published, viewer), self._published.recent
        snapshot = self._taken(shown.snapshot)
        live, points = shown.kernel(kernel_id), shown.points(kernel_id)
        if live is None and points is None:
            raise HTTPException(404, "no kernel has this id")
        model = KernelDetailModel(
            taken_at=snapshot.taken_at,
            sources=source_models(snapshot),
            kernel=kernel_model(
                live,
                shown.rates(recent.cpu_cores).get(kernel_id),
                shown.rates(recent.memory_growth).get(kernel_id),
            )
            if live
            else None,
            history=history_model(points or []),
        )
        return Response(model.model_dump_json(), media_type="application/json")

    def deaths(self, viewer: Seen, asked: Annotated[DeathsQuery, Query()]) -> Response:
        """The last ends of kernels, newest first."""
        shown = Shown(self._published, viewer)
        taken_at = shown.snapshot.taken_at if shown.snapshot else None
        rows = shown.deaths(
            asked.limit, since=asked.since, asked_for=asked.asked_for, **asked.filters
        )
        model = deaths_model(rows, shown.problem(), taken_at)
        return Response(model.model_dump_json(), media_type="application/json")

    async def healthy(self) -> HealthModel:
        """200 while the process can answer at all."""
        return HealthModel(status="healthy")

    async def ready(self) -> HealthModel:
        """200 while there is a fresh sample to serve, else 503."""
        self._fresh()
        return HealthModel(status="ready")

    def _kernels_model(self, shown: Shown) -> KernelsModel:
        recent = self._published.recent
        cpu_cores, growth = shown.rates(recent.cpu_cores), shown.rates(recent.memory_growth)
        return kernels_model(self._taken(shown.snapshot), cpu_cores, growth)

    def _taken(self, snapshot: Snapshot | None) -> Snapshot:
        """A snapshot, however old, if one was taken."""
        if snapshot is None:
            raise HTTPException(503, staleness(None, self._settings, self._clock()))
        return snapshot

    def _fresh(self) -> Snapshot:
        """The newest snapshot, for those who take it for the present."""
        snapshot = self._published.snapshot
        problem = staleness(snapshot, self._settings, self._clock())
        if snapshot is None or problem:
            raise HTTPException(503, problem)
        return snapshot


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    """The last resort. The server logs the error itself; it tells the world nothing of it."""
    # uvicorn hangs up after it, and whoever asks has to know before asking the next thing.
    headers = {**HEADERS, "Connection": "close"}
    return JSONResponse({"detail": "internal error"}, 500, headers)
