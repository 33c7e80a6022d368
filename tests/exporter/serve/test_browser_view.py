"""The table of kernels as somebody wants to see it: sorted, filtered, and told by its address."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_kernel_exporter.model import MemoryLimit, Restarts, Scope, State
from jupyter_kernel_exporter.publish.history import History
from support.browser import needs_chromium, wait_for, wait_for_answer, wait_for_ids
from support.deathrows import death
from support.site import Site, site
from support.snapshots import GIB, MIB, NOW, live, snapshot

pytestmark = [pytest.mark.real, needs_chromium]

KERNELS = (
    live("large", username="ada", notebook="b.ipynb", kernel_name="ir", rss_bytes=4 * GIB),
    live(
        "nearly-full",
        username="Linus",
        notebook="c.ipynb",
        rss_bytes=950 * MIB,
        limits=(MemoryLimit(Scope.CGROUP, GIB, 74 * MIB),),
        restarts=Restarts(automatic=2),
    ),
    live(
        "soon",
        username="grace",
        notebook="a.ipynb",
        rss_bytes=300 * MIB,
        limits=(MemoryLimit(Scope.CGROUP, GIB, 700 * MIB),),
        exhaustion_seconds=400.0,
        state=State.BUSY,
    ),
    live("small", username="ada", notebook="d.ipynb", restarts=Restarts(requested=1)),
)
BY_TROUBLE = ("soon", "nearly-full", "large", "small")


@pytest.fixture
def made() -> Iterator[Site]:
    """Four kernels, two of them in trouble."""
    with site(snapshot(*KERNELS)) as served:
        yield served


def address(page: Any) -> str:
    """What the page's address says after the question mark."""
    return str(page.url).partition("?")[2]


def test_trouble_first(page: Any, made: Site) -> None:
    """Out of memory soon, nearly full, then by size; in red, in amber and in words."""
    page.goto(str(made.client.base_url))
    wait_for_answer(page)
    wait_for_ids(page, *BY_TROUBLE)
    assert page.locator("tr[data-id=soon]").get_attribute("data-level") == "tight"
    assert page.locator("tr[data-id=soon] [data-field=exhaustion]").text_content() == "6 min"
    assert page.locator("tr[data-id=nearly-full]").get_attribute("data-level") == "full"
    assert address(page) == ""


SORTED = {
    # column: from top to bottom at the first click, and what is said of the order
    "memory": (("large", "nearly-full", "soon", "small"), "descending"),
    "notebook": (("soon", "large", "nearly-full", "small"), "ascending"),
    "person": (("large", "small", "soon", "nearly-full"), "ascending"),
    "kernel": (("nearly-full", "soon", "small", "large"), "ascending"),
    "state": (("soon", "large", "nearly-full", "small"), "ascending"),
    "growth": (("large", "nearly-full", "soon", "small"), "descending"),
    "exhaustion": (("soon", "large", "nearly-full", "small"), "ascending"),
    "cpu": (("large", "nearly-full", "soon", "small"), "descending"),
    "restarts": (("nearly-full", "small", "large", "soon"), "descending"),
}


def test_sorting(page: Any, made: Site) -> None:
    """A head sorts, and turns the order the second time; equals stay with the largest first."""
    page.goto(str(made.client.base_url))
    wait_for_answer(page)
    for column, (shown, said) in SORTED.items():
        head = page.locator(f"th[data-sort={column}]")
        head.get_by_role("button").click()
        wait_for_ids(page, *shown)
        assert address(page) == f"sort={column}"
        assert head.get_attribute("aria-sort") == said
        assert page.locator("[aria-sort]").count() == 1
        assert page.locator("#sort").input_value() == column
        head.get_by_role("button").press("Enter")
        turned = {"descending": ("ascending", "asc"), "ascending": ("descending", "desc")}[said]
        assert head.get_attribute("aria-sort") == turned[0]
        assert address(page) == f"sort={column}&order={turned[1]}"
    page.locator("#sort").select_option("trouble")
    wait_for_ids(page, *BY_TROUBLE)
    page.get_by_role("button", name="Reverse the order").click()
    wait_for_ids(page, *reversed(BY_TROUBLE))
    assert address(page) == "order=desc"


def test_a_sort_outlasts_an_update(page: Any, made: Site) -> None:
    """What comes in takes its place in the order that was asked for; the focus stays."""
    page.goto(f"{made.client.base_url}/?sort=notebook")
    wait_for_answer(page)
    page.locator("tr[data-id=large] a").focus()
    made.publish(snapshot(*KERNELS, live("new", notebook="aa.ipynb"), taken_at=NOW + 1))
    wait_for_ids(page, "soon", "new", "large", "nearly-full", "small")
    made.publish(snapshot(live("large", notebook="z.ipynb"), *KERNELS[1:], taken_at=NOW + 2))
    wait_for_ids(page, "soon", "nearly-full", "small", "large")
    assert page.evaluate("document.activeElement.closest('tr').dataset.id") == "large"


FILTERED = {
    "ada": ("large", "small"),
    "ADA d.ipynb": ("small",),
    "busy": ("soon",),
    "<b>": (),
    "  ": BY_TROUBLE,
}


def test_filter(page: Any, made: Site) -> None:
    """Every word must be somewhere in a kernel's texts; how many match is said."""
    page.goto(str(made.client.base_url))
    wait_for_answer(page)
    for typed, shown in FILTERED.items():
        page.get_by_label("Filter").fill(typed)
        wait_for_ids(page, *shown)
        wait_for(page, "#count", f"{len(shown)} of 4")
        assert page.locator("#none").is_visible() == (not shown)
    assert address(page) == ""


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("q=ada&sort=memory&order=asc", ("small", "large")),
        ("sort=nonsense&order=up", BY_TROUBLE),
        ("q=%3Cscript%3Ealert(1)%3C/script%3E", ()),
        ("q=%E2%98%83&sort=cpu", ()),
    ],
)
def test_deep_links(page: Any, made: Site, asked: str, shown: tuple[str, ...]) -> None:
    """An address that somebody sends shows what the sender saw, and nonsense in it does no harm."""
    page.goto(f"{made.client.base_url}/?{asked}")
    wait_for_ids(page, *shown)
    wait_for_answer(page)
    wait_for_ids(page, *shown)


def test_by_keyboard_alone(page: Any, made: Site) -> None:
    """The first stop leads past the navigation; what has the focus can be seen."""
    page.goto(str(made.client.base_url))
    wait_for_answer(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["width"] > 50
    page.get_by_label("Filter").focus()
    page.keyboard.type("grace")
    wait_for_ids(page, "soon")
    page.locator("tr[data-id=soon] a").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    wait_for(page, "h1", "a.ipynb")


def test_names_that_are_markup_stay_text(page: Any, tmp_path: Path) -> None:
    """On every page, over many updates; and their links lead to the kernel they name."""
    evil = "<img src=x onerror=window.harm=1><script>window.harm=1</script>{{ 7 * 7 }}"
    evil += "$& on $&$1$`$'$$$<a>.ipynb"
    kernel_id = "a&b=<i>'\"#?%2f"
    names: dict[str, Any] = {"username": evil, "kernel_name": evil, "notebook": evil}
    history = History.open(str(tmp_path))
    history.record_death(
        death(1, kernel_id=kernel_id, because=evil, ended_at=NOW - 9, missing=(evil,), **names)
    )
    with site(snapshot(live(kernel_id, **names))) as served:
        served.published.history = history
        page.goto(str(served.client.base_url))
        wait_for(page, "#lately", evil)
        wait_for(page, "#kernels tbody", evil)
        page.locator("#kernels tbody a").click()
        wait_for(page, "h1", evil)
        wait_for(page, "#facts", kernel_id)
        wait_for(page, "#deaths", evil)
        for _ in range(2):
            with page.expect_response("**/api/v1/deaths?*"):
                pass
            assert page.title() == f"{evil} on testhost"
        page.goto(f"{served.client.base_url}/deaths?q=%3Cimg")
        page.locator("summary").click()
        wait_for(page, "#deaths", f"Could not be asked{evil}")
        assert page.locator("#deaths img, #deaths script").count() == 0
        assert page.evaluate("window.harm") is None
        page.locator(".death h3 a").click()
        wait_for(page, "#facts", kernel_id)
    history.close()
