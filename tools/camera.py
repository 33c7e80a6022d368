"""The browser that pictures are taken with: Debian's Chromium, and nobody's settings in it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--force-color-profile=srgb")


@contextlib.contextmanager
def camera() -> Iterator[Browser]:
    """A browser with a home of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": home}
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(ARGUMENTS), env=environment
        )
        with contextlib.closing(browser):
            yield browser
