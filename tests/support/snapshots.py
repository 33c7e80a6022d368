"""Snapshots made by hand, and many kernels at once."""

import math
import random
from dataclasses import replace
from typing import Any

from jupyter_kernel_exporter.model import (
    DeathCount,
    Kernel,
    LastDeath,
    LiveKernel,
    MemoryLimit,
    ProcessId,
    Restarts,
    Sample,
    Scope,
    Snapshot,
    SourceStatus,
    State,
    WorkerOomCount,
)

NOW = 1_763_712_345.25
GIB = 1 << 30
MIB = 1 << 20

BARE_KERNEL = Kernel("bare", ProcessId(4242, 777), "ada")
BARE_SAMPLE = Sample(
    rss_bytes=128 * MIB,
    peak_rss_bytes=None,
    swap_bytes=None,
    children=0,
    children_rss_bytes=0,
    anonymous_bytes=100 * MIB,
    cpu_user_seconds=0.0,
    cpu_system_seconds=0.0,
    major_page_faults=0,
    threads=1,
)


def live(kernel_id: str = "bare", *, process: int = 4242, **fields: Any) -> LiveKernel:
    """A kernel of which only what is named is known; fields of Kernel and Sample alike."""
    of_live = {name: fields.pop(name) for name in LiveKernel._fields if name in fields}
    of_kernel = {name: fields.pop(name) for name in Kernel.__slots__ if name in fields}
    kernel = replace(BARE_KERNEL, id=kernel_id, process=ProcessId(process, 777), **of_kernel)
    return LiveKernel(kernel, BARE_SAMPLE._replace(**fields), **of_live)


def snapshot(*kernels: LiveKernel, taken_at: float = NOW, **fields: Any) -> Snapshot:
    """A snapshot of these kernels."""
    return Snapshot(taken_at, kernels, **fields)


def full_snapshot() -> Snapshot:
    """Everything known of one kernel, next to nothing of another, and a third that means harm."""
    everything = live(
        "0c7a3d7e-9a43-4b7e-8f0d-3c6f1f5f2a11",
        process=4001,
        username="ada",
        kernel_name="python3",
        notebook="churn model.ipynb",
        server=":8888",
        container="3f9ac1d20b77",
        started_at=1_763_700_000.5,
        rss_bytes=1_288_490_188,
        peak_rss_bytes=2_000_000_000,
        swap_bytes=4096,
        children=4,
        children_rss_bytes=999_999,
        cpu_user_seconds=1234.56,
        cpu_system_seconds=0.07,
        major_page_faults=12,
        threads=17,
        open_fds=63,
        oom_score=733,
        io_read_bytes=123_456_789_012,
        io_write_bytes=0,
        io_wait_seconds=3.25,
        pss_bytes=1_000_000,
        limits=(
            MemoryLimit(Scope.RLIMIT, 4 * GIB, 3 * GIB),
            MemoryLimit(Scope.CGROUP, 2 * GIB, 859_000_000),
            MemoryLimit(Scope.HOST, 16 * GIB, 9_876_543_210),
        ),
        gpu_memory_bytes={"0": 512 * MIB, "1": 0},
        state=State.BUSY,
        last_activity_at=1_763_712_344.125,
        busy_seconds=88.5,
        cpu_limit_cores=1.5,
        memory_errors=2,
        other_errors=0,
        restarts=Restarts(automatic=3, requested=1),
        exhaustion_seconds=754.25,
    )
    hostile = live(
        'two\nlines "quoted" \\ back',
        process=4003,
        username="<b>mallory</b>\t",
        kernel_name="ядро ☃ \U0001f4a5",
        notebook="../../\udcff\udc80{}=,\r\n.ipynb",
        server='"} 1\njupyter_kernels 99',
        container="{{ 7 * 7 }}",
        state=State.IDLE,
        promised_bytes=2 << 30,
        exhaustion_seconds=math.inf,
    )
    return snapshot(
        everything,
        live("bare", process=4002, username="grace"),
        hostile,
        sources=(
            SourceStatus("proc", True, 0.0125, ""),
            SourceStatus("environ", False, 0.5, "3 kernels keep theirs <b>secret</b>"),
        ),
        sample_duration_seconds=0.02,
        sample_lag_seconds=0.001,
        skipped_files={"empty": 0, "malformed": 3},
        death_counts=(
            DeathCount("ada", "python3", "oom_cgroup", 2, "of-ada", NOW - 60.5),
            DeathCount("ada", "python3", "segfault", 0),
            DeathCount('"} 1\n', "\\", "killed", 1, "x" * 128, NOW),
        ),
        worker_oom_counts=(WorkerOomCount("ada", "python3", 7),),
        last_deaths=(
            LastDeath(everything.kernel, NOW - 60.5, "oom_cgroup", "SIGKILL"),
            LastDeath(
                replace(hostile.kernel, id="of-mallory"), NOW - 1, "startup_failed", "exit 1", True
            ),
        ),
    )


def crowd(count: int, *, taken_at: float = NOW, seed: int = 1) -> Snapshot:
    """Many well-known kernels; another seed is another look at the same ones."""
    chance = random.Random(seed)
    return snapshot(
        *(
            live(
                f"{at:08x}-5b1e-4c58-8d57-0a1b2c3d4e5f",
                process=10_000 + at,
                username=f"user{at % 40}",
                kernel_name=("python3", "ir", "xpython")[at % 3],
                notebook=f"analysis-{at}.ipynb",
                started_at=NOW - 50 * at - 0.5,
                rss_bytes=chance.randrange(50 * MIB, 3 * GIB, 4096),
                peak_rss_bytes=3 * GIB,
                swap_bytes=0,
                children=at % 4,
                children_rss_bytes=chance.randrange(GIB),
                cpu_user_seconds=round(chance.random() * 1e4, 2),
                cpu_system_seconds=round(chance.random() * 1e3, 2),
                open_fds=chance.randrange(30, 90),
                oom_score=666 + at % 300,
                io_read_bytes=chance.randrange(GIB),
                io_write_bytes=chance.randrange(MIB),
                io_wait_seconds=chance.random(),
                limits=(
                    MemoryLimit(Scope.CGROUP, 4 * GIB, GIB),
                    MemoryLimit(Scope.HOST, 64 * GIB, 8 * GIB),
                ),
                state=State.IDLE,
                last_activity_at=NOW - at,
                busy_seconds=float(at),
            )
            for at in range(count)
        ),
        taken_at=taken_at,
        sources=(SourceStatus("proc", True, 0.01, ""),),
    )
