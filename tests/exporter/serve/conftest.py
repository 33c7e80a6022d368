"""A browser for the tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.browser import chromium, watched_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium.

    For a module and no longer: while it lives, Playwright's event loop runs in this thread, and
    no test can run one of its own.
    """
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that may not complain."""
    with watched_page(browser) as opened:
        yield opened
