"""The JSON API says what the metrics say, and null where nothing is known."""

import json

from jupyter_kernel_exporter.model import MemoryLimit, Scope
from jupyter_kernel_exporter.serve.api import kernels_model
from support.site import site
from support.snapshots import MIB, NOW, crowd, full_snapshot, live, snapshot


def test_everything_that_is_known() -> None:
    """A kernel of which all is known shows all of it."""
    with site(full_snapshot()) as made:
        answer = made.client.get("/api/v1/kernels").json()
    assert answer["taken_at"] == NOW
    assert answer["sample_duration_seconds"] == 0.02
    assert answer["sources"] == [
        {"source": "proc", "up": True, "duration_seconds": 0.0125, "problem": "", "minor": False},
        {
            "source": "environ",
            "up": False,
            "duration_seconds": 0.5,
            "problem": "3 kernels keep theirs <b>secret</b>",
            "minor": False,
        },
    ]
    assert answer["kernels"][0] == {
        "kernel_id": "0c7a3d7e-9a43-4b7e-8f0d-3c6f1f5f2a11",
        "username": "ada",
        "kernel_name": "python3",
        "notebook": "churn model.ipynb",
        "server": ":8888",
        "container": "3f9ac1d20b77",
        "pid": 4001,
        "start_time_seconds": 1_763_700_000.5,
        "state": "busy",
        "memory_rss_bytes": 1_288_490_188,
        "memory_peak_rss_bytes": 2_000_000_000,
        "memory_swap_bytes": 4096,
        "memory_pss_bytes": 1_000_000,
        "children": 4,
        "children_memory_rss_bytes": 999_999,
        "limits": [
            {"scope": "rlimit", "limit_bytes": 4 << 30, "headroom_bytes": 3 << 30},
            {"scope": "cgroup", "limit_bytes": 2 << 30, "headroom_bytes": 859_000_000},
            {"scope": "host", "limit_bytes": 16 << 30, "headroom_bytes": 9_876_543_210},
        ],
        "memory_promised_bytes": None,
        "memory_growth_bytes_per_second": None,
        "memory_exhaustion_seconds": 754.25,
        "oom_score": 733,
        "cpu_seconds_total": {"user": 1234.56, "system": 0.07},
        "cpu_cores": None,
        "io_bytes_total": {"read": 123_456_789_012, "write": 0},
        "io_wait_seconds_total": 3.25,
        "major_page_faults_total": 12,
        "threads": 17,
        "open_fds": 63,
        "last_activity_timestamp_seconds": 1_763_712_344.125,
        "busy_seconds_total": 88.5,
        "restarts_total": {"automatic": 3, "requested": 1},
        "errors_total": {"memory_error": 2, "other": 0},
        "gpu_memory_bytes": {"0": 512 * MIB, "1": 0},
    }


def test_what_is_not_known_is_null() -> None:
    """A kernel of which next to nothing is known shows null, never 0."""
    with site(snapshot(live("bare"))) as made:
        (kernel,) = made.client.get("/api/v1/kernels").json()["kernels"]
    unknown = {name for name, value in kernel.items() if value is None}
    assert unknown == {
        "memory_peak_rss_bytes",
        "memory_swap_bytes",
        "memory_pss_bytes",
        "memory_promised_bytes",
        "memory_growth_bytes_per_second",
        "memory_exhaustion_seconds",
        "oom_score",
        "cpu_cores",
        "io_wait_seconds_total",
        "open_fds",
        "last_activity_timestamp_seconds",
        "busy_seconds_total",
    }
    assert kernel["io_bytes_total"] == {"read": None, "write": None}
    assert kernel["limits"] == []


def test_hostile_texts_arrive_whole() -> None:
    """Quotes, lines, markup and bytes that are no UTF-8 break neither JSON nor the others."""
    with site(full_snapshot()) as made:
        response = made.client.get("/api/v1/kernels")
    hostile = json.loads(response.content)["kernels"][2]
    assert hostile["kernel_id"] == 'two\nlines "quoted" \\ back'
    assert hostile["username"] == "<b>mallory</b>\t"
    assert hostile["notebook"] == "../../��{}=,\r\n.ipynb"


def test_numbers_that_json_does_not_have() -> None:
    """Not a number and infinity become null, and a huge integer stays exact."""
    odd = live("odd", cpu_user_seconds=float("nan"), busy_seconds=float("inf"), rss_bytes=2**70)
    with site(snapshot(odd)) as made:
        (kernel,) = made.client.get("/api/v1/kernels").json()["kernels"]
        assert made.client.get("/metrics").status_code == 200
        assert made.client.get("/").status_code == 200
    assert kernel["cpu_seconds_total"]["user"] is None
    assert kernel["busy_seconds_total"] is None
    assert kernel["memory_rss_bytes"] == 2**70


def test_the_largest_first() -> None:
    """Sorted by the memory of kernel and children; equals keep the order of their ids."""
    model = kernels_model(
        snapshot(
            live("b", rss_bytes=10),
            live("a", rss_bytes=10),
            live("c", rss_bytes=1, children_rss_bytes=10),
        ),
        {},
    )
    assert [kernel.kernel_id for kernel in model.kernels] == ["c", "a", "b"]


def test_the_limit_that_is_nearest() -> None:
    """The tightest limit is the one with the least headroom, not the smallest one."""
    limits = (MemoryLimit(Scope.CGROUP, 100, 50), MemoryLimit(Scope.HOST, 1000, 20))
    (kernel,) = kernels_model(snapshot(live("a", limits=limits)), {}).kernels
    assert kernel.tightest is not None
    assert kernel.tightest.scope == "host"


def test_a_promise_is_told_where_no_cgroup_enforces_one() -> None:
    """With a limit of a cgroup it would only mislead."""
    machine, unit = MemoryLimit(Scope.HOST, 100, 50), MemoryLimit(Scope.CGROUP, 70, 20)
    with site(
        snapshot(
            live("a", promised_bytes=60, limits=(machine,), rss_bytes=2),
            live("b", promised_bytes=60, limits=(unit, machine), rss_bytes=1),
        )
    ) as made:
        kernels = made.client.get("/api/v1/kernels").json()["kernels"]
        metrics = made.client.get("/metrics").text.splitlines()
    assert [kernel["memory_promised_bytes"] for kernel in kernels] == [60, None]
    found = [line for line in metrics if line.startswith("jupyter_kernel_memory_limit_info{")]
    assert len(found) == 1
    assert 'kernel_id="a"' in found[0]
    assert 'mem_limit="60"' in found[0]


def test_present_rate_and_history() -> None:
    """One kernel comes with its rate and its last points, column by column."""
    looks = [
        snapshot(live("a", cpu_user_seconds=tick * 0.5), taken_at=NOW - 20 + tick)
        for tick in range(21)
    ]
    with site(*looks) as made:
        (listed,) = made.client.get("/api/v1/kernels").json()["kernels"]
        answer = made.client.get("/api/v1/kernels/a").json()
    assert listed["cpu_cores"] == 0.5
    assert answer["taken_at"] == NOW
    assert answer["kernel"] == listed
    history = answer["history"]
    assert [round(NOW - moment) for moment in history["taken_at"]] == [20, 15, 5]
    assert history["memory_bytes"] == [128 * MIB] * 3
    assert history["cpu_cores"] == [None, 0.5, 0.5]
    assert history["headroom_bytes"] == [None] * 3


def test_a_kernel_that_is_gone() -> None:
    """Its history is still there for those who ask why."""
    with site(snapshot(live("gone"), taken_at=NOW - 20), snapshot()) as made:
        answer = made.client.get("/api/v1/kernels/gone").json()
    assert answer["kernel"] is None
    assert answer["history"]["memory_bytes"] == [128 * MIB]


def test_thousand_kernels() -> None:
    """A large host is answered whole."""
    with site(crowd(1000)) as made:
        answer = made.client.get("/api/v1/kernels").json()
    assert len({kernel["kernel_id"] for kernel in answer["kernels"]}) == 1000
