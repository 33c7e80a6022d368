"""The whole story in one browser window: a real kernel, a real daemon, no reload."""

from pathlib import Path
from typing import Any

import pytest

from support.browser import needs_chromium, wait_for
from support.daemon import running_daemon
from support.jupyter import running_server

pytestmark = [pytest.mark.real, needs_chromium]

NARROW = """
import resource
taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (20 << 20), taken + (20 << 20)))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""
DIE = """
import os, signal, threading
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGSEGV)).start()
"""
MINUTE_MS = 60_000


@pytest.mark.timeout(300)
def test_born_grown_red_dead(page: Any, tmp_path: Path) -> None:
    """It appears, grows, turns red, and dies with its reason, in a page that is never reloaded."""
    from playwright.sync_api import expect

    home = tmp_path / "jupyter"
    home.mkdir()
    with running_server(home) as jupyter, running_daemon(tmp_path) as daemon:
        page.goto(f"http://127.0.0.1:{daemon.port}/?q=story.ipynb")
        page.evaluate("window.sameDocument = true")
        kernel_id = jupyter.start_kernel(notebook="story.ipynb")
        row = page.locator(f"tr[data-id='{kernel_id}']")
        row.wait_for(timeout=MINUTE_MS)
        expect(row.locator("[data-field=memory]")).to_contain_text("MiB", timeout=MINUTE_MS)

        jupyter.execute(kernel_id, f"hog = b'x' * {1 << 30}")
        expect(row.locator("[data-field=memory]")).to_contain_text("GiB", timeout=MINUTE_MS)

        jupyter.execute(kernel_id, NARROW)
        expect(row).to_have_attribute("data-level", "full", timeout=MINUTE_MS)
        wait_for(page, f"tr[data-id='{kernel_id}'] [data-field=left]", "ulimit")

        jupyter.execute(kernel_id, DIE)
        lately = page.locator("#lately li", has_text="story.ipynb")
        expect(lately).to_contain_text("segfault", timeout=MINUTE_MS)
        expect(lately).to_contain_text("it died of SIGSEGV", timeout=MINUTE_MS)
        expect(row.locator("[data-field=restarts]")).to_have_text("1", timeout=MINUTE_MS)
        assert page.evaluate("window.sameDocument")

        lately.get_by_role("link").click()
        wait_for(page, "h1", "story.ipynb")
        wait_for(page, "#deaths", "What helps")
        wait_for(page, "#advice", "Restarted by itself, once")
