"""``/api/v1/deaths``: what was written down, with what it means."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.record import Reason
from jupyter_kernel_exporter.publish.history import History
from support.deathrows import death
from support.site import Site, site
from support.snapshots import NOW, full_snapshot


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    """A site whose history holds five deaths."""
    history = History.open(str(tmp_path))
    for number in range(3):
        history.record_death(death(number))
    history.record_death(death(3, username="ada", reason="oom_cgroup", status="SIGKILL"))
    history.record_death(
        death(
            4,
            kernel_id="of-mallory",
            because="</script><b>",
            reason="of a later version",
            notebook="\udcff.ipynb",
            evidence={"successor_seconds": 0.5},
            missing=("kmsg",),
            certain=False,
        )
    )
    with site(full_snapshot()) as served:
        served.published.history = history
        yield served
    history.close()


def test_all_of_a_death(made: Site) -> None:
    """Everything that was written down, and what helps."""
    answer = made.client.get("/api/v1/deaths?reason=oom_cgroup").json()
    (found,) = answer["deaths"]
    assert answer["problem"] == ""
    assert found["advice"].startswith("Load less at once")
    assert found["meaning"].startswith("Its container")
    expected = {
        "kernel_id": "k-3",
        "username": "ada",
        "kernel_name": "python3",
        "notebook": "",
        "server": "",
        "container": "",
        "pid": 1003,
        "start_time_seconds": None,
        "end_time_seconds": 978_307_203.0,
        "reason": "oom_cgroup",
        "asked_for": False,
        "certain": True,
        "because": "the process received SIGSEGV",
        "rule": "segfault",
        "status": "SIGKILL",
        "memory_bytes": None,
        "limit_bytes": None,
        "evidence": {},
        "missing": [],
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["of-mallory", "k-3", "k-2", "k-1", "k-0"]),
        ("limit=2", ["of-mallory", "k-3"]),
        ("since=978307202", ["of-mallory", "k-3", "k-2"]),
        ("username=ada", ["k-3"]),
        ("kernel_id=k-1&kernel_name=python3", ["k-1"]),
        ("username=nobody", []),
    ],
)
def test_filters(made: Site, query: str, ids: list[str]) -> None:
    """Newest first, as many and as new as asked for, of whom they were asked for."""
    answer = made.client.get(f"/api/v1/deaths?{query}").json()
    assert [found["kernel_id"] for found in answer["deaths"]] == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("asked_for=false", ["of-mallory", "k-3", "k-2", "k-1", "k-0"]),
        ("asked_for=false&limit=2", ["k-3", "k-2"]),
        ("asked_for=false&limit=2&username=eva", ["k-2", "k-1"]),
        ("asked_for=false&limit=2&since=978307203", ["k-3"]),
        ("asked_for=false&limit=2&reason=culled", []),
        ("asked_for=true&limit=3", ["k-12", "k-11", "k-10"]),
        ("asked_for=true&reason=segfault", []),
        ("limit=1", ["k-12"]),
    ],
)
def test_asked_for_or_not(made: Site, query: str, ids: list[str]) -> None:
    """As many as are wanted of the one sort, however many of the other came after them."""
    history = made.published.history
    assert history is not None
    for number in range(5, 13):
        history.record_death(death(number, reason="culled"))
    answer = made.client.get(f"/api/v1/deaths?{query}").json()
    assert [found["kernel_id"] for found in answer["deaths"]] == ids


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=99999", "since=nan", "reason=magic", "asked_for=x"]
)
def test_senseless_questions(made: Site, query: str) -> None:
    """What cannot be asked is refused, in the form of every error."""
    answer = made.client.get(f"/api/v1/deaths?{query}")
    assert answer.status_code == 422
    assert "detail" in answer.json()


def test_texts_of_others(made: Site) -> None:
    """Hostile texts arrive as texts; a reason of a later version is unknown."""
    (found,) = made.client.get("/api/v1/deaths?limit=1").json()["deaths"]
    assert found["because"] == "</script><b>"
    assert found["notebook"] == "\\udcff.ipynb"
    assert (found["reason"], found["certain"]) == (Reason.UNKNOWN.value, False)
    assert (found["evidence"], found["missing"]) == ({"successor_seconds": 0.5}, ["kmsg"])


def test_nobody_looks_into_ends() -> None:
    """Without a history there are no deaths, and no error."""
    with site(full_snapshot()) as served:
        assert served.client.get("/api/v1/deaths").json() == {
            "taken_at": NOW,
            "problem": "",
            "deaths": [],
        }
