"""The page in a real browser: alive, honest about its age, and the same as the server wrote it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from jupyter_kernel_exporter.model import MemoryLimit, Scope, SourceStatus, State
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.settings import resolve
from support.browser import needs_chromium, wait_for, wait_for_answer, wait_for_ids, watched_page
from support.deathrows import death
from support.site import Site, served, site
from support.snapshots import GIB, MIB, NOW, crowd, full_snapshot, live, snapshot

pytestmark = [pytest.mark.real, needs_chromium]

WORDS = """() => Array.from(document.querySelectorAll(
    '#kernels tbody tr, #problems li, .summary dd, .summary [data-alarm]'
)).map((element) => [
    element.textContent.replace(/\\s+/g, ' ').trim(),
    JSON.stringify(element.dataset),
    Array.from(element.querySelectorAll('rect'),
        (rect) => [rect.getAttribute('x'), rect.getAttribute('width')]).join(),
    Array.from(element.querySelectorAll('[title], [data-state]'),
        (part) => [part.title.replace(/\\s+/g, ' '), part.dataset.state]).join(),
])"""


def visit(page: Any, made: Site) -> None:
    page.goto(str(made.client.base_url))


def test_a_changed_snapshot_shows_without_a_reload(page: Any) -> None:
    """Memory, order, new and gone kernels follow the daemon, in the rows that are there."""
    with site(snapshot(live("small", notebook="small.ipynb"), live("gone"))) as made:
        visit(page, made)
        page.evaluate("window.sameDocument = true")
        row = page.locator("tr[data-id=small]")
        row.evaluate("element => { element.sameRow = true }")
        limits = (MemoryLimit(Scope.CGROUP, 2 * GIB, 100 * MIB),)
        made.publish(
            snapshot(
                live(
                    "small", notebook="<i>grown</i>", rss_bytes=GIB, state=State.BUSY, limits=limits
                ),
                live("new", rss_bytes=2 * GIB),
                taken_at=NOW + 1,
                sources=(
                    SourceStatus("environ", False, 0.1, "not <b>readable</b>"),
                    SourceStatus("delayacct", False, 0.1, "linux does not"),
                ),
            )
        )
        wait_for(page, "tr[data-id=small]", "<i>grown</i>")
        # The one in trouble goes before the larger one.
        wait_for_ids(page, "small", "new")
        assert row.locator("[data-field=memory]").text_content() == "1 GiB"
        assert row.locator("[data-field=limit]").text_content() == "of 2 GiB"
        assert row.get_attribute("data-level") == "full"
        assert row.evaluate("element => element.sameRow")
        assert page.locator("#problems").is_visible()
        # The other one is off on most machines, and nothing to warn of.
        assert page.locator("#problems li").count() == 1
        assert "not <b>readable</b>" in page.locator("#problems li").text_content()
        assert page.locator("#status").get_attribute("data-status") == "live"

        made.publish(snapshot(taken_at=NOW + 2))
        wait_for(page, "#empty", "No kernel is running")
        page.locator("#empty").wait_for(state="visible")
        assert page.locator("#kernels").is_hidden()
        assert page.evaluate("window.sameDocument")


def test_a_sampling_that_is_stuck_is_announced(page: Any) -> None:
    """When snapshots stay away the page says so, and recovers by itself."""
    with site(snapshot(live("a"))) as made:
        page.clock.install()
        visit(page, made)
        page.clock.run_for(2100)
        wait_for(page, "#status-text", "Live")
        for _ in range(6):
            page.clock.run_for(2000)
        wait_for(page, "#status-text", "Stale")
        assert page.locator("#status-since").text_content().startswith("for 1")
        assert (
            page.locator("header [role=status]").text_content()
            == page.locator("#status-text").text_content()
        )
        made.publish(snapshot(live("a"), taken_at=NOW + 30))
        page.clock.run_for(2100)
        wait_for(page, "#status-text", "Live")


def test_an_exporter_that_is_gone_is_announced(page: Any) -> None:
    """Without an answer the page keeps what it knows, says for how long, and recovers by itself."""
    with site(snapshot(live("a"))) as made:
        visit(page, made)
        wait_for(page, "#status-text", "Live")
        page.context.set_offline(True)
        wait_for(page, "#status-text", "No answer from the exporter")
        wait_for(page, "#status-since", "for ")
        assert page.locator("tr[data-id=a]").is_visible()
        page.context.set_offline(False)
        wait_for(page, "#status-text", "Live")


@pytest.mark.parametrize(
    ("status", "said"), [(401, "sign in again"), (503, "Waiting for the first sample")]
)
def test_rows_of_before_look_it(page: Any, status: int, said: str) -> None:
    """After a login has expired, or a daemon has started anew, they do not pass for the present."""
    with site(snapshot(live("a"))) as made:
        visit(page, made)
        wait_for(page, "#status-text", "Live")
        looks = """() => [getComputedStyle(document.querySelector('#kernels')).opacity,
            getComputedStyle(document.querySelector('.summary')).opacity,
            getComputedStyle(document.querySelector('#status')).fontWeight]"""
        assert page.evaluate(looks) == ["1", "1", "400"]
        page.route("**/api/v1/*", lambda route: route.fulfill(status=status, body="{}"))
        wait_for(page, "#status-text", said)
        assert page.locator("tr[data-id=a]").is_visible()
        assert page.evaluate(looks) == ["0.55", "0.55", "600"]
        page.unroute("**/api/v1/*")
        wait_for(page, "#status-text", "Live")
        assert page.evaluate(looks) == ["1", "1", "400"]


@contextmanager
def served_at(port: int, published: Published) -> Iterator[None]:
    """A server on this very port."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        app = create_app(published, resolve({}, {}), clock=lambda: NOW, host_name="testhost")
        with served(app, listener):
            yield


def test_an_exporter_that_comes_back(page: Any) -> None:
    """A new process at the old address is noticed without a reload."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    published = Published(snapshot(live("before")))
    with served_at(port, published):
        page.goto(f"http://127.0.0.1:{port}/")
        wait_for(page, "#status-text", "Live")
        page.evaluate("window.sameDocument = true")
    wait_for(page, "#status-text", "No answer from the exporter")
    assert page.locator("tr[data-id=before]").is_visible()
    published.snapshot = snapshot(live("after"), taken_at=NOW + 60)
    with served_at(port, published):
        page.locator("tr[data-id=after]").wait_for()
        wait_for(page, "#status-text", "Live")
        assert page.locator("tr[data-id=before]").count() == 0
        assert page.evaluate("window.sameDocument")


def test_a_page_that_waits_for_the_first_sample(page: Any) -> None:
    """Opened too early, the page fills itself."""
    with site() as made:
        visit(page, made)
        wait_for(page, "#status-text", "Waiting")
        weight = "getComputedStyle(document.querySelector('#status')).fontWeight"
        assert page.evaluate(weight) == "400", "that is as it should be"
        assert page.locator("#empty").is_hidden()
        made.publish(snapshot(live("first")))
        page.locator("tr[data-id=first]").wait_for(state="visible", timeout=20_000)
        wait_for(page, "#status-text", "Live")


def test_script_and_server_write_the_same(browser: Any, page: Any) -> None:
    """What the script writes is, word for word, what the server wrote in the first place."""
    edges = [
        live(
            f"edge {at}",
            rss_bytes=count,
            started_at=NOW - count % 9_999_991 / 7,
            limits=(MemoryLimit(scope, 2 * count, count // (at + 1)),),
            state=state,
        )
        for at, (count, scope, state) in enumerate(
            zip(
                [1023, 1536, 5 << 28, (1 << 30) - 1, 199 << 29, 107_374_182_400, 1 << 41],
                [*Scope, *Scope, Scope.HOST],
                [*State, *State],
                strict=False,
            )
        )
    ]
    everything = snapshot(
        *full_snapshot().kernels, *edges, *crowd(30).kernels, sources=full_snapshot().sources
    )
    with site(everything, crowd(30, seed=2, taken_at=NOW + 1), everything) as made:
        without_script = browser.new_context(java_script_enabled=False)
        plain = without_script.new_page()
        visit(plain, made)
        written = plain.evaluate(WORDS)
        without_script.close()
        page.add_init_script(
            # Before the page's own script runs.
            "document.addEventListener('readystatechange', () => "
            "document.querySelector('#kernels tbody').replaceChildren(), { once: true })"
        )
        visit(page, made)
        wait_for(page, "#status-text", "Live")
        assert page.evaluate(WORDS) == written
        assert len(written) == 40 + 7 + 1  # kernels, summary, problem


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_sticks_out(
    browser: Any, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    """On a phone and on a desk, in both colour schemes, nothing is wider than the window."""
    names: dict[str, Any] = {"username": "u" * 200, "notebook": "n" * 300, "kernel_name": "k" * 200}
    history = History.open(str(tmp_path))
    history.record_death(death(1, kernel_id="x" * 300, ended_at=NOW - 9, **names))
    long = live("x" * 300, container="c" * 300, **names)
    with (
        site(snapshot(*full_snapshot().kernels, long)) as made,
        watched_page(
            browser, viewport={"width": width, "height": 800}, color_scheme=scheme
        ) as page,
    ):
        made.published.history = history
        for path in ("", "deaths", f"kernels/{'x' * 300}", "kernels/nobody"):
            page.goto(f"{made.client.base_url}/{path}")
            wait_for_answer(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    history.close()
