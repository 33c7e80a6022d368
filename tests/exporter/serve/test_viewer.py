"""What of everything somebody may see."""

import pytest

from jupyter_kernel_exporter.model import (
    DeathCount,
    LastDeath,
    SourceStatus,
    WorkerOomCount,
)
from jupyter_kernel_exporter.serve.viewer import EVERYTHING, Viewer
from support.snapshots import full_snapshot, live, snapshot

ADA = Viewer(username="ada")
NOBODY = Viewer()


def test_who_sees_everything_is_shown_the_snapshot_itself() -> None:
    """What is prepared once for a snapshot is not prepared again."""
    whole = full_snapshot()
    assert EVERYTHING.snapshot(whole) is whole


def test_everything_that_bears_a_name_is_filtered() -> None:
    """Kernels, counts and last deaths are those of one person; the rest is of the machine."""
    ada, eva = live("of-ada", username="ada"), live("of-eva", username="eva")
    whole = snapshot(
        ada,
        eva,
        sources=(SourceStatus("environ", False, 0.1, "PermissionError: /home/eva/.x"),),
        death_counts=tuple(DeathCount(name, "ir", "killed", 1) for name in ("ada", "eva")),
        worker_oom_counts=tuple(WorkerOomCount(name, "ir", 1) for name in ("ada", "eva")),
        last_deaths=tuple(LastDeath(one.kernel, 1.0, "killed", "") for one in (ada, eva)),
    )
    seen = ADA.snapshot(whole)
    assert [one.kernel.id for one in seen.kernels] == ["of-ada"]
    assert "eva" not in repr(seen)
    assert (seen.taken_at, seen.sources[0].name) == (whole.taken_at, "environ")


def test_what_bears_no_name_belongs_to_nobody() -> None:
    """Where names are not shown, nobody but an admin sees anything."""
    nameless = snapshot(live("of-somebody", username=""))
    for viewer in (ADA, NOBODY):
        assert viewer.snapshot(nameless).kernels == ()
    assert EVERYTHING.snapshot(nameless).kernels


@pytest.mark.parametrize(
    ("viewer", "asked", "filters"),
    [
        (EVERYTHING, {}, {}),
        (EVERYTHING, {"username": "eva"}, {"username": "eva"}),
        (ADA, {}, {"username": "ada"}),
        (ADA, {"kernel_id": "x"}, {"kernel_id": "x", "username": "ada"}),
        (ADA, {"username": "ada"}, {"username": "ada"}),
        (ADA, {"username": "eva"}, None),
        (ADA, {"username": ""}, None),
        (ADA, {"username": "Ada"}, None),
        (NOBODY, {}, None),
        (NOBODY, {"username": ""}, None),
    ],
)
def test_deaths(viewer: Viewer, asked: dict[str, str], filters: dict[str, str] | None) -> None:
    """One's own, whatever is asked for."""
    assert viewer.filters(asked) == filters
