"""A hub of two hosts, made up: what its exporters would say at any moment, deaths and all.

Nothing is kept: every value follows from the time that is asked for, so counters never go down,
and hours of the past are as easy to have as the present.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from jupyter_kernel_exporter.deaths.record import Reason, RestartCause
from jupyter_kernel_exporter.model import Scope, State
from support.stories import GIB, GROUPS, HOURS, STORIES, Story

KEPT_SECONDS = 900.0
"""How long a death and the facts about its kernel are shown after it."""
HOST_BYTES = 64 * GIB


class Series(NamedTuple):
    """One sample."""

    name: str
    labels: dict[str, str]
    value: float


def _life(story: Story, t: float, now: float) -> Iterator[Series]:
    """The series of a kernel that is alive."""
    life, age = story.lived(t)
    ids = {"kernel_id": story.kernel_id(life), "username": story.username}

    def of(name: str, value: float, **more: str) -> Series:
        return Series(f"jupyter_kernel_{name}", ids | more, value)

    part = age / story.lives
    held = story.memory(part)
    workers = held * 0.5 if story.workers else 0
    taken = held + workers
    turn = min(900.0, story.lives / 4)
    rest = t % turn
    worked = t // turn * turn * story.works + min(rest, turn * story.works)
    busy = rest < turn * story.works
    doing = State.STARTING if age < 5 else State.BUSY if busy else State.IDLE
    growth = (story.memory(min(1, part + 0.001)) - held) / (0.001 * story.lives)
    left = {
        Scope.CGROUP: (story.limit_bytes, max(0.0, story.limit_bytes - taken)),
        Scope.HOST: (float(HOST_BYTES), HOST_BYTES * 0.6 - taken),
    }
    processor = worked * story.processors + t * 0.004
    yield of("memory_rss_bytes", held)
    yield of("memory_peak_rss_bytes", max(story.memory(part * n / 20) for n in range(21)))
    yield of("memory_swap_bytes", 0)
    yield of("memory_pss_bytes", held * 0.9)
    yield of("children", story.workers)
    yield of("children_memory_rss_bytes", workers)
    for scope, (limit, headroom) in left.items():
        yield of("memory_limit_bytes", limit, scope=scope)
        yield of("memory_headroom_bytes", headroom, scope=scope)
    soonest = min(headroom for _, headroom in left.values())
    yield of("memory_exhaustion_seconds", soonest / growth if growth > 1e4 else math.inf)
    yield of("oom_score", 667 + round(taken / HOST_BYTES * 1000))
    yield of("cpu_seconds_total", processor * 0.9, mode="user")
    yield of("cpu_seconds_total", processor * 0.1, mode="system")
    yield of("io_bytes_total", worked * 3e6, direction="read")
    yield of("io_bytes_total", worked * 4e5, direction="write")
    yield of("io_wait_seconds_total", worked * 0.02)
    yield of("major_page_faults_total", worked // 20)
    yield of("threads", 12 + story.workers)
    yield of("open_fds", 48 + story.workers)
    yield of("start_time_seconds", now - age)
    for state in State:
        yield of("state", state is doing, state=state)
    quiet = 0.0 if busy else rest - turn * story.works
    yield of("last_activity_timestamp_seconds", now - (quiet if story.works else 5 * HOURS))
    yield of("busy_seconds_total", worked)
    failed = life * story.memory_errors + round(story.memory_errors * part)
    yield of("errors_total", failed, error="MemoryError")
    yield of("errors_total", worked // 700, error="other")
    for cause in RestartCause:
        yield of(
            "restarts_total", life if cause is story.cause and not story.gone else 0, cause=cause
        )
    if story.gpu_bytes:
        yield of("gpu_memory_bytes", story.gpu_bytes * part, gpu="0")


def _facts(story: Story, life: int) -> Series:
    """What is known of a kernel besides numbers."""
    return Series(
        "jupyter_kernel_info",
        {
            "kernel_id": story.kernel_id(life),
            "username": story.username,
            "kernel_name": story.kernel_name,
            "notebook": story.notebook,
            "server": ":8888",
            "pid": str(4000 + life),
            "container": f"jupyter-{story.username}",
        },
        1,
    )


def _kernel(story: Story, t: float, now: float) -> Iterator[Series]:
    """Whatever is shown of a kernel, alive or not."""
    life, age = story.lived(t)
    if age < story.lives:
        yield _facts(story, life)
        yield from _life(story, t, now)
    last = story.ended(t) - 1
    dead_for = age - story.lives + (life - last) * story.every
    if last >= 0 and dead_for < KEPT_SECONDS:
        if story.gone:
            yield _facts(story, last)
        ids = {"kernel_id": story.kernel_id(last), "username": story.username}
        yield Series(
            "jupyter_kernel_last_death_timestamp_seconds",
            ids | {"reason": story.reason, "status": story.status},
            now - dead_for,
        )
        if story.reason is Reason.STARTUP_FAILED:
            yield Series("jupyter_kernel_gave_up_timestamp_seconds", ids, now - dead_for)


def _counts(here: list[Story], t: float) -> Iterator[Series]:
    """What outlives kernels."""
    alive = Counter(
        (story.username, story.kernel_name) for story in here if story.lived(t)[1] < story.lives
    )
    dead: Counter[tuple[str, str, str]] = Counter()
    killed: Counter[tuple[str, str]] = Counter()
    for story in here:
        life, age = story.lived(t)
        dead[story.username, story.kernel_name, story.reason] += story.ended(t)
        part = min(1.0, age / story.lives)
        killed[story.username, story.kernel_name] += math.floor(story.worker_kills * (life + part))
    for username, kernel_name in sorted(killed):
        pair = {"username": username, "kernel_name": kernel_name}
        if alive[username, kernel_name]:
            yield Series("jupyter_kernels", pair, alive[username, kernel_name])
        kills = killed[username, kernel_name]
        yield Series("jupyter_kernel_worker_oom_kills_total", pair, kills)
        for reason in Reason:
            count = dead[username, kernel_name, reason]
            yield Series("jupyter_kernel_deaths_total", pair | {"reason": reason}, count)


def _exporter(t: float) -> Iterator[Series]:
    """The exporter of itself."""
    build = {"version": "0.1.0", "pythonversion": "3.11.7"}
    yield Series("jupyter_kernel_exporter_build_info", build, 1)
    for number, source in enumerate(("proc", "cgroup", "environ", "iopub", "kmsg", "delayacct")):
        label = {"source": source}
        yield Series("jupyter_kernel_exporter_source_up", label, source != "delayacct")
        took = 0.004 / (number + 1) * (1.2 + math.sin(t / 97 + number))
        yield Series("jupyter_kernel_exporter_source_duration_seconds", label, took)
    yield Series("jupyter_kernel_exporter_sample_duration_seconds", {}, 0.012 + 0.002 * math.sin(t))
    yield Series("jupyter_kernel_exporter_sample_lag_seconds", {}, 0.001)
    for cause in ("malformed", "empty"):
        name = "jupyter_kernel_exporter_connection_files_skipped_total"
        yield Series(name, {"cause": cause}, t // 600 if cause == "empty" else 3)


def _groups() -> Iterator[Series]:
    """What JupyterHub's exporter of groups would add."""
    for group, names in GROUPS.items():
        for name in names:
            yield Series("jupyterhub_user_group_info", {"usergroup": group, "username": name}, 1)


def exposed(host: str, now: float, begin: float, speed: float = 1.0) -> list[Series]:
    """Everything that the exporter of a host says at a time (both in seconds since the epoch).

    ``speed`` shortens all lives; ``begin`` is when the story began.
    """
    t = now - begin
    here = [
        replace(story, lives=story.lives / speed, gone=story.gone / speed)
        for story in STORIES
        if story.host == host
    ]
    found = [series for story in here for series in _kernel(story, t, now)]
    return [*found, *_counts(here, t), *_exporter(t), *_groups()]


def exposition(series: list[Series]) -> str:
    """The same in Prometheus' text format."""
    lines = []
    for name, labels, value in series:
        pairs = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels.items())
        lines.append(f"{name}{{{pairs}}} {'+Inf' if value == math.inf else float(value)}\n")
    return "".join(lines)
