"""Debian's Chromium, for tests of the page."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from support.jupyter import wait_until

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
WITHIN_MS = 20_000

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextlib.contextmanager
def watched_page(browser: Any, **options: Any) -> Iterator[Any]:
    """A page that may not complain: neither of its script nor of its Content-Security-Policy."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def wait_for(page: Any, selector: str, text: str) -> None:
    """Until a part of the page holds a text."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_contain_text(text, timeout=WITHIN_MS)


def wait_for_answer(page: Any) -> None:
    """Until the script has shown what the exporter says now, fresh or not."""
    page.locator("body:is([data-status=live], [data-status=stale])").wait_for()


def wait_for_ids(page: Any, *kernel_ids: str) -> None:
    """Until these kernels are in the table, from top to bottom."""
    rows = page.locator("#kernels tbody tr")

    def there() -> bool:
        found = rows.evaluate_all("rows => rows.map(row => row.dataset.id)")
        return tuple(found) == kernel_ids

    wait_until(there, f"the table shows {kernel_ids}", within=WITHIN_MS / 1000)
