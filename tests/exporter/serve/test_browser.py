"""The page in a real browser: alive, honest about its age, and the same as the server wrote it."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_kernel_exporter.model import MemoryLimit, Scope, SourceStatus, State
from support.site import Site, site
from support.snapshots import GIB, MIB, NOW, crowd, full_snapshot, live, snapshot

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
]

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that may not complain: neither of its script nor of its Content-Security-Policy."""
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def visit(page: Any, made: Site) -> None:
    page.goto(str(made.client.base_url))


def wait_for(page: Any, selector: str, text: str) -> None:
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_contain_text(text, timeout=20_000)


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
                sources=(SourceStatus("environ", False, 0.1, "not <b>readable</b>"),),
            )
        )
        wait_for(page, "tr[data-id=small]", "<i>grown</i>")
        assert page.locator("#kernels tbody tr").evaluate_all(
            "rows => rows.map(row => row.dataset.id)"
        ) == ["new", "small"]
        assert row.locator("[data-field=memory]").text_content() == "1 GiB"
        assert row.locator("[data-field=limit]").text_content() == "of 2 GiB"
        assert row.get_attribute("data-level") == "full"
        assert row.evaluate("element => element.sameRow")
        assert page.locator("#problems").is_visible()
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
            page.locator("[role=status]").text_content()
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


def test_a_page_that_waits_for_the_first_sample(page: Any) -> None:
    """Opened too early, the page fills itself."""
    with site() as made:
        visit(page, made)
        wait_for(page, "#status-text", "Waiting")
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
            "document.addEventListener('DOMContentLoaded', () => "
            "document.querySelector('#kernels tbody').replaceChildren())"
        )
        visit(page, made)
        wait_for(page, "#status-text", "Live")
        assert page.evaluate(WORDS) == written
        assert len(written) == 40 + 6 + 1  # kernels, summary, problem


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_sticks_out(browser: Any, width: int, scheme: Any) -> None:
    """On a phone and on a desk, in both colour schemes, nothing is wider than the window."""
    long = live("x" * 300, username="u" * 200, notebook="n" * 300, container="c" * 300)
    with site(snapshot(*full_snapshot().kernels, long)) as made:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        visit(page, made)
        wait_for(page, "#status-text", "Live")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()
