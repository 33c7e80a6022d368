"""The JSON API: a Snapshot as response models.

Fields are named as the metrics, without their prefix; moments are seconds since the epoch, and
``null`` means not known, never 0.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from jupyter_kernel_exporter.deaths.reasons import MEANINGS
from jupyter_kernel_exporter.deaths.record import Reason
from jupyter_kernel_exporter.model import LiveKernel, Scope, Snapshot, State, find_promise
from jupyter_kernel_exporter.publish.deathrow import DeathRow
from jupyter_kernel_exporter.publish.encode import writable
from jupyter_kernel_exporter.publish.recent import Point

ASKED_FOR = frozenset(
    {Reason.RESTART_REQUESTED, Reason.SHUTDOWN_REQUESTED, Reason.CULLED, Reason.SERVER_SHUTDOWN}
)
"""Reasons that are nobody's misfortune."""


class _Model(BaseModel):
    # Only numbers and texts of our own are put in; attribute docstrings go into /openapi.json.
    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class LimitModel(_Model):
    """A limit that would end the kernel or fail its allocations."""

    scope: Scope
    limit_bytes: int
    headroom_bytes: int
    """What may still be taken, by whomever, before the limit strikes."""


class CpuModel(_Model):
    """Processor time of a kernel and all its descendants, those that have exited included."""

    user: float
    system: float


class IoModel(_Model):
    """Bytes that a kernel's process moved from and to storage."""

    read: int | None
    write: int | None


class RestartsModel(_Model):
    """New processes of a kernel since it is known here, by who started them."""

    automatic: int
    requested: int


class ErrorsModel(_Model):
    """Exceptions that reached a cell's output; ``null`` while nobody listens to the kernel."""

    memory_error: int | None
    other: int | None


class KernelModel(_Model):
    """A live kernel, whose it is, and the newest look at it."""

    kernel_id: str
    username: str
    kernel_name: str
    """The kernelspec's name."""
    notebook: str
    server: str
    container: str
    pid: int
    start_time_seconds: float
    state: State
    memory_rss_bytes: int
    memory_peak_rss_bytes: int | None
    memory_swap_bytes: int | None
    memory_pss_bytes: int | None
    children: int
    children_memory_rss_bytes: int
    """To add to the kernel's own ``memory_rss_bytes``."""
    limits: list[LimitModel]
    memory_promised_bytes: int | None
    """MEM_LIMIT of its environment, where no cgroup is seen to enforce a limit."""
    memory_growth_bytes_per_second: float | None
    """On average over the last five minutes, negative while it shrinks; ``null`` if its process
    is known for less than half a minute."""
    memory_exhaustion_seconds: float | None
    """Until the limit that is nearest is reached, as it looks now; ``null`` if nothing points that
    way, or no limit is known."""
    oom_score: int | None
    cpu_seconds_total: CpuModel
    cpu_cores: float | None
    """Processors in use between the last two samples."""
    io_bytes_total: IoModel
    io_wait_seconds_total: float | None
    major_page_faults_total: int
    threads: int
    open_fds: int | None
    last_activity_timestamp_seconds: float | None
    busy_seconds_total: float | None
    restarts_total: RestartsModel
    errors_total: ErrorsModel
    gpu_memory_bytes: dict[str, int]
    """By the index of the GPU."""

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the kernel and its descendants."""
        return self.memory_rss_bytes + self.children_memory_rss_bytes

    @property
    def tightest(self) -> LimitModel | None:
        """The limit that would strike first."""
        return min(self.limits, key=lambda limit: limit.headroom_bytes, default=None)


class SourceModel(_Model):
    """How one source fared in the last sample."""

    source: str
    up: bool
    duration_seconds: float
    problem: str
    """One sentence for people; empty while the source is up."""
    minor: bool = False
    """Most machines have it switched off, as linux comes: nothing to warn of."""


MINOR_SOURCES = frozenset({"delayacct"})


class KernelsModel(_Model):
    """All live kernels, the largest first."""

    taken_at: float
    """When this sample was taken."""
    sample_duration_seconds: float
    sources: list[SourceModel]
    kernels: list[KernelModel]


class HistoryModel(_Model):
    """What a kernel used in the last two hours: columns of equal length, oldest first."""

    taken_at: list[float]
    memory_bytes: list[int]
    """Resident memory of the kernel and its descendants."""
    cpu_cores: list[float | None]
    """Processors in use, on average since the point before."""
    headroom_bytes: list[int | None]
    """What was left below the tightest limit."""


class KernelDetailModel(_Model):
    """One kernel with its recent past."""

    taken_at: float
    sources: list[SourceModel]
    kernel: KernelModel | None
    """``null`` when the kernel is gone; its history is kept for a quarter of an hour."""
    history: HistoryModel


class DeathsQuery(_Model):
    """Which ends are asked for."""

    limit: int = Field(100, ge=1, le=10_000)
    since: float = Field(0.0, allow_inf_nan=False)
    """Seconds since the epoch."""
    kernel_id: str | None = None
    username: str | None = None
    kernel_name: str | None = None
    reason: Reason | None = None
    asked_for: bool | None = None
    """Whether somebody asked Jupyter for it, or its culler did."""

    @property
    def filters(self) -> dict[str, str]:
        """Fields of a death, and what they must be."""
        wanted = self.model_dump(exclude={"limit", "since", "asked_for"}, exclude_none=True)
        return {name: str(value) for name, value in wanted.items()}


class DeathModel(_Model):
    """The end of a kernel's process, explained."""

    kernel_id: str
    username: str
    kernel_name: str
    notebook: str
    server: str
    container: str
    pid: int
    start_time_seconds: float | None
    end_time_seconds: float
    reason: Reason
    asked_for: bool
    """Somebody asked Jupyter for it, or its culler did."""
    certain: bool
    """No source that was missing could have made it another reason, as far as is known."""
    because: str
    """One sentence."""
    rule: str
    """The rule of docs/reasons.md that held."""
    status: str | None
    """``exit 3``, ``SIGSEGV``, …; ``null`` if nobody could tell."""
    memory_bytes: int | None
    """Resident memory of the kernel and its descendants at the last look."""
    limit_bytes: int | None
    """The limit that was nearest then."""
    evidence: dict[str, Any]
    """The facts that were there; times are seconds after the end."""
    missing: list[str]
    """Sources that could not be asked."""
    meaning: str
    """What this reason means."""
    advice: str
    """What helps."""


class DeathsModel(_Model):
    """Ends of kernels, newest first."""

    taken_at: float | None
    """When kernels were looked at last; ``null`` before that."""
    problem: str
    """Why what is shown may not last, in one sentence; empty if it does."""
    deaths: list[DeathModel]


class HealthModel(_Model):
    """An answer that says that all is well."""

    status: str


class ErrorModel(_Model):
    """Every error is answered like this."""

    detail: str


_NONE: Mapping[str, float] = MappingProxyType({})


def kernels_model(
    snapshot: Snapshot, cpu_cores: Mapping[str, float], memory_growth: Mapping[str, float] = _NONE
) -> KernelsModel:
    """All live kernels of a snapshot, sorted by the memory of kernel and descendants."""
    kernels = [
        kernel_model(live, cpu_cores.get(live.kernel.id), memory_growth.get(live.kernel.id))
        for live in snapshot.kernels
    ]
    return KernelsModel(
        taken_at=snapshot.taken_at,
        sample_duration_seconds=snapshot.sample_duration_seconds,
        sources=source_models(snapshot),
        kernels=sorted(kernels, key=lambda kernel: (-kernel.memory_bytes, kernel.kernel_id)),
    )


def source_models(snapshot: Snapshot) -> list[SourceModel]:
    """How every source fared."""
    return [
        SourceModel(
            source=source.name,
            up=source.up,
            duration_seconds=source.duration_seconds,
            problem=writable(source.problem),
            minor=source.name in MINOR_SOURCES,
        )
        for source in snapshot.sources
    ]


def kernel_model(
    live: LiveKernel, cpu_cores: float | None, memory_growth: float | None = None
) -> KernelModel:
    """One live kernel."""
    kernel, sample = live.kernel, live.sample
    return KernelModel(
        kernel_id=writable(kernel.id),
        username=writable(kernel.username),
        kernel_name=writable(kernel.kernel_name),
        notebook=writable(kernel.notebook),
        server=writable(kernel.server),
        container=writable(kernel.container),
        pid=kernel.process.pid,
        start_time_seconds=kernel.started_at,
        state=sample.state,
        memory_rss_bytes=sample.rss_bytes,
        memory_peak_rss_bytes=sample.peak_rss_bytes,
        memory_swap_bytes=sample.swap_bytes,
        memory_pss_bytes=sample.pss_bytes,
        children=sample.children,
        children_memory_rss_bytes=sample.children_rss_bytes,
        limits=[
            LimitModel(
                scope=limit.scope,
                limit_bytes=limit.limit_bytes,
                headroom_bytes=limit.headroom_bytes,
            )
            for limit in live.limits
        ],
        memory_promised_bytes=find_promise(kernel, live.limits),
        memory_growth_bytes_per_second=memory_growth,
        memory_exhaustion_seconds=_finite(live.exhaustion_seconds),
        oom_score=sample.oom_score,
        cpu_seconds_total=CpuModel(user=sample.cpu_user_seconds, system=sample.cpu_system_seconds),
        cpu_cores=cpu_cores,
        io_bytes_total=IoModel(read=sample.io_read_bytes, write=sample.io_write_bytes),
        io_wait_seconds_total=sample.io_wait_seconds,
        major_page_faults_total=sample.major_page_faults,
        threads=sample.threads,
        open_fds=sample.open_fds,
        last_activity_timestamp_seconds=sample.last_activity_at,
        busy_seconds_total=sample.busy_seconds,
        restarts_total=RestartsModel(
            automatic=live.restarts.automatic, requested=live.restarts.requested
        ),
        errors_total=ErrorsModel(memory_error=sample.memory_errors, other=sample.other_errors),
        gpu_memory_bytes=dict(sample.gpu_memory_bytes),
    )


def _finite(seconds: float | None) -> float | None:
    # JSON has no infinity.
    return seconds if seconds is not None and math.isfinite(seconds) else None


def deaths_model(
    rows: Iterable[DeathRow], problem: str = "", taken_at: float | None = None
) -> DeathsModel:
    """Deaths as they were written down, with what each reason means."""
    deaths = [death_model(row) for row in rows]
    return DeathsModel(taken_at=taken_at, problem=writable(problem), deaths=deaths)


def death_model(row: DeathRow) -> DeathModel:
    """One death. A reason that a later version wrote down is shown as unknown."""
    reason = Reason(row.reason) if row.reason in set(Reason) else Reason.UNKNOWN
    return DeathModel(
        kernel_id=row.kernel_id,
        username=row.username,
        kernel_name=row.kernel_name,
        notebook=row.notebook,
        server=row.server,
        container=row.container,
        pid=row.process.pid,
        start_time_seconds=row.started_at,
        end_time_seconds=row.ended_at,
        reason=reason,
        asked_for=reason in ASKED_FOR,
        certain=row.certain,
        because=row.because,
        rule=row.rule,
        status=row.status,
        memory_bytes=row.last_rss_bytes,
        limit_bytes=row.last_limit_bytes,
        evidence=dict(row.evidence),
        missing=list(row.missing),
        meaning=MEANINGS[reason].meaning,
        advice=MEANINGS[reason].advice,
    )


def history_model(points: list[Point]) -> HistoryModel:
    """A history, column by column."""
    return HistoryModel(
        taken_at=[point.taken_at for point in points],
        memory_bytes=[point.memory_bytes for point in points],
        cpu_cores=[point.cpu_cores for point in points],
        headroom_bytes=[point.headroom_bytes for point in points],
    )
