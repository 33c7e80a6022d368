"""One browser for all tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.browser import chromium, watched_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that may not complain."""
    with watched_page(browser) as opened:
        yield opened
