"""The pages of deaths and of one kernel in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.model import MemoryLimit, Restarts, Scope
from jupyter_kernel_exporter.publish.history import History
from support.browser import needs_chromium, wait_for, wait_for_answer
from support.deathrows import death
from support.jupyter import wait_until
from support.site import Site, site
from support.snapshots import GIB, MIB, NOW, live, snapshot

pytestmark = [pytest.mark.real, needs_chromium]

CARDS = "cards => cards.map(card => card.querySelector('h3 a').textContent)"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    """A site with a kernel that has died of memory before, and with deaths of others."""
    history = History.open(str(tmp_path))
    history.record_death(death(1, notebook="old.ipynb", ended_at=NOW - 5000))
    history.record_death(
        death(
            2,
            kernel_id="hog",
            username="ada",
            notebook="hog.ipynb",
            reason="oom_cgroup",
            because="linux' OOM killer took it because /user.slice had reached its memory limit",
            ended_at=NOW - 60,
            started_at=NOW - 660,
            status="SIGKILL",
            last_rss_bytes=GIB,
            last_limit_bytes=GIB,
            certain=False,
            missing=("kmsg",),
            evidence={
                "status": "SIGKILL",
                "ready": True,
                "exit_cell": False,
                "status_is_wrappers": False,
                "oom_records": [],
                "cgroup_oom": {"kills": 3, "others": 2},
                "server_died_seconds": -0.25,
                "successor_seconds": 42.0,
            },
        )
    )
    history.record_death(
        death(3, notebook="done.ipynb", reason="shutdown_requested", ended_at=NOW - 5)
    )
    limits = (MemoryLimit(Scope.CGROUP, GIB, 50 * MIB),)
    hog = live(
        "hog",
        username="ada",
        kernel_name="python3",
        notebook="hog.ipynb",
        rss_bytes=900 * MIB,
        limits=limits,
        started_at=NOW - 59,
        restarts=Restarts(automatic=1),
        memory_errors=2,
        other_errors=0,
    )
    with site(*(snapshot(hog, taken_at=NOW - 50 + 10 * at) for at in range(6))) as served:
        served.published.history = history
        yield served
    history.close()


def cards(page: Any, *notebooks: str) -> None:
    """Wait until these deaths are shown, the newest first."""
    found = page.locator(".death")
    wait_until(lambda: found.evaluate_all(CARDS) == list(notebooks), f"cards {notebooks}")


def test_deaths(page: Any, made: Site) -> None:
    """Reason, because, what it means, what helps, the evidence and what was missing."""
    page.goto(f"{made.client.base_url}/deaths")
    cards(page, "hog.ipynb", "old.ipynb")
    wait_for(page, "#count", "2 of 2")
    card = page.locator(".death").first
    for text in (
        "oom_cgroup",
        "Probably: linux' OOM killer took it because /user.slice",
        "ada · python3 · SIGKILL · lived 10 min · last memory 1 GiB of 1 GiB",
        "Its container, pod or slice reached its memory limit",
        "Load less at once",
        "1 min ago",
    ):
        assert text in card.text_content()
    card.locator("summary").click()
    evidence = card.locator(".facts").inner_text().replace("\n", " ")
    for text in (
        "Ended with SIGKILL",
        "Had ever answered yes",
        "Linux' records of an OOM kill none names it",
        "around the end 3, 2 of other processes",
        "Its Jupyter server died 0.25 s before the end",
        "A new process in its place 42 s after the end",
        "Looked for, and not so exit() or quit() was its last cell",
    ):
        assert text in evidence
    assert "kmsg: linux' log" in card.locator("[data-field=missing]").inner_text()

    history = made.published.history
    assert history is not None
    history.record_death(death(4, notebook="new.ipynb", ended_at=NOW - 1))
    cards(page, "new.ipynb", "hog.ipynb", "old.ipynb")
    # What somebody reads stays open.
    assert page.locator(".death").nth(1).locator("details").get_attribute("open") is not None


def test_filters_and_deep_links(page: Any, made: Site) -> None:
    """By text, by reason, by kernel; each is in the address."""
    page.goto(f"{made.client.base_url}/deaths")
    cards(page, "hog.ipynb", "old.ipynb")
    page.get_by_label("Reason").select_option("all")
    cards(page, "done.ipynb", "hog.ipynb", "old.ipynb")
    page.get_by_label("Reason").select_option("segfault")
    cards(page, "old.ipynb")
    assert str(page.url).endswith("/deaths?reason=segfault")
    page.get_by_label("Filter").fill("nobody")
    cards(page)
    wait_for(page, "#empty", "The filter hides one death.")
    page.get_by_label("Reason").select_option("all")
    wait_for(page, "#empty", "The filter hides 3 deaths.")
    page.get_by_label("Reason").select_option("abort")
    wait_for(page, "#empty", "No death is known of this reason")
    wait_for(page, "#count", "0 of 0")
    page.goto(f"{made.client.base_url}/deaths?q=ada+sigkill&reason=oom_cgroup")
    cards(page, "hog.ipynb")
    page.goto(f"{made.client.base_url}/deaths?kernel=k-3")
    cards(page, "done.ipynb")
    wait_for(page, "#one-kernel", "done.ipynb")
    page.get_by_role("button", name="Show all kernels").click()
    cards(page, "done.ipynb", "hog.ipynb", "old.ipynb")
    page.goto(f"{made.client.base_url}/deaths?reason=magic")
    cards(page, "done.ipynb", "hog.ipynb", "old.ipynb")


def test_what_many_others_lie_on_top_of(page: Any, made: Site) -> None:
    """Hundreds of ends that were asked for hide no other."""
    history = made.published.history
    assert history is not None
    for number in range(600):
        culled = death(10 + number, notebook=f"{number}.ipynb", reason="culled", ended_at=NOW - 1)
        history.record_death(culled)
    page.goto(f"{made.client.base_url}/deaths")
    cards(page, "hog.ipynb", "old.ipynb")
    wait_for(page, "#count", "2 of 2")
    page.get_by_label("Reason").select_option("culled")
    wait_for(page, "#count", "500 of the last 500, the newest 100 of them shown")
    page.get_by_label("Filter").fill("hog")
    wait_for(page, "#count", "0 of the last 500")
    wait_for(page, "#empty", "The filter hides the last 500 deaths.")
    page.get_by_label("Reason").select_option("oom_cgroup")
    cards(page, "hog.ipynb")
    wait_for(page, "#count", "1 of 1")


def test_an_answer_to_what_was_chosen_before(page: Any, made: Site) -> None:
    """It is not taken for that to the choice of now, and the page asks again at once."""
    page.clock.install(time=0)
    page.goto(f"{made.client.base_url}/deaths")
    cards(page, "hog.ipynb", "old.ipynb")
    held: list[Any] = []

    def hold_one(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/api/v1/deaths?*", hold_one)
    # From here on it does not ask by itself.
    page.clock.pause_at(60_000)
    page.get_by_label("Reason").select_option("shutdown_requested")
    wait_until(lambda: page.evaluate("1") and held, "it asks")
    cards(page)
    wait_for(page, "#count", "Asking")
    assert page.locator("#empty").is_hidden()
    page.get_by_label("Reason").select_option("oom_cgroup")
    held[0].continue_()
    cards(page, "hog.ipynb")
    wait_for(page, "#count", "1 of 1")


def test_time_goes_on_while_the_stopwatch_stands(page: Any, made: Site) -> None:
    """As in a laptop that sleeps: what the exporter answers says how late it is."""
    page.goto(f"{made.client.base_url}/deaths?reason=oom_cgroup")
    wait_for(page, ".death time", "1 min ago")
    made.publish(snapshot(taken_at=NOW + 2 * 3600))
    wait_for(page, ".death time", "2 h 1 min ago")
    # Its clock may have been wrong, and set back.
    made.publish(snapshot(taken_at=NOW + 3600))
    wait_for(page, ".death time", "1 h 1 min ago")


def test_the_last_hour_while_the_stopwatch_stands(page: Any, made: Site) -> None:
    """Who died longer ago has not died in the last hour."""
    page.goto(str(made.client.base_url))
    wait_for_answer(page)
    wait_for(page, "#died", "1")
    made.publish(snapshot(taken_at=NOW + 3600))
    wait_for(page, "#died", "0")
    assert page.locator("#lately").is_hidden()


def test_a_kernel(page: Any, made: Site) -> None:
    """Its charts with marks and in words, what is known, what to do, and what it died of."""
    page.goto(f"{made.client.base_url}/kernels/hog")
    wait_for_answer(page)
    wait_for(page, "h1", "hog.ipynb")
    wait_for(page, "#whose", "ada · python3 · unknown · up 59 s")
    wait_for(page, "#memory-said", "From 900 MiB to 900 MiB in 50 s, at most 900 MiB.")
    wait_for(page, "#cpu-said", "On average 0")
    wait_for(page, "#facts", "Limit of the cgroup1 GiB, 50 MiB left")
    wait_for(page, "#facts", "Errors in cellsMemoryError 2 times")
    wait_for(page, "#deaths", "oom_cgroup")
    advice = page.locator("#advice").inner_text()
    for text in (
        "Almost out of memory: 50 MiB left, cgroup",
        "At the limit linux kills one of its processes",
        "MemoryError in a cell, 2 times",
        "Restarted by itself, once",
    ):
        assert text in advice
    assert "address space" not in advice
    for chart in ("#memory-chart", "#cpu-chart"):
        canvas = page.locator(f"{chart} canvas")
        assert canvas.evaluate("c => c.width > 300 && c.height > 150")
        colours = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert canvas.evaluate(colours) > 20, "something is drawn"


def test_a_chart_by_keyboard(page: Any, made: Site) -> None:
    """The keys left and right tell point by point, and only then aloud."""
    page.goto(f"{made.client.base_url}/kernels/hog")
    wait_for_answer(page)
    said = page.locator("#memory-chart .said")
    assert said.get_attribute("aria-live") == "off"
    plot = page.get_by_role("group", name="Chart of memory")
    plot.focus()
    for _ in range(3):
        plot.press("ArrowLeft")
    wait_for(page, "#memory-chart .said", "memory 900 MiB, could grow to 950 MiB")
    assert said.get_attribute("aria-live") == "polite"
    page.get_by_role("link", name="Deaths", exact=True).focus()
    assert said.get_attribute("aria-live") == "off"


def test_a_kernel_that_dies_while_somebody_looks(page: Any, made: Site) -> None:
    """Its page stays, says that it is gone and why, and keeps the chart."""
    page.goto(f"{made.client.base_url}/kernels/hog")
    wait_for(page, "h1", "hog.ipynb")
    wait_for(page, "#facts", "Limit of the cgroup")
    history = made.published.history
    assert history is not None
    history.record_death(death(9, kernel_id="hog", notebook="hog.ipynb", ended_at=NOW + 1))
    made.publish(snapshot(taken_at=NOW + 1))
    wait_for(page, "#gone", "This kernel is gone")
    wait_for(page, "#gone-text", "(segfault): the process received SIGSEGV. Native code touched")
    wait_for(page, "#gone-advice", "Suspect compiled packages")
    assert page.locator("#facts-part").is_hidden()
    assert page.locator("#memory-chart").is_visible()


def test_a_kernel_that_nobody_knows(page: Any, made: Site) -> None:
    """The page says so, with status 404, and shows no empty charts."""
    answer = page.goto(f"{made.client.base_url}/kernels/no-such-kernel")
    assert answer.status == 404
    wait_for(page, "#gone", "Nothing is known of this kernel")
    assert page.locator("#charts-part").is_hidden()
    page.goto(f"{made.client.base_url}/kernels/k-1")
    wait_for(page, "#gone", "This kernel is gone")
    wait_for(page, "h1", "old.ipynb")
