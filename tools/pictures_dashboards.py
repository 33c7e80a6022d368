"""Take the pictures of the dashboards from a Grafana that shows them.

    JKE_SOURCE_IOPUB=true docker compose --profile demo up -d       # and wait for some minutes
    python tools/pictures_dashboards.py

writes dashboard-overview, -kernel, -users, -deaths and -exporter into docs/pictures/, each as large
as it is, so that nothing has to be scrolled. Any Grafana with the five dashboards will do; what is
in its Prometheus is in the pictures. Needs chromium.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext

from camera import camera

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"
DASHBOARDS = ROOT / "dashboards/generated"

WIDTH = 1400
ROW_PIXELS = 38
"""A row of Grafana's grid with the gap below it."""
FRAME_PIXELS = 120
"""Variables, links and the edges."""
SETTLE_MS = 3000
"""After the last answer: lines are drawn, legends have found their width."""


class RefusedError(RuntimeError):
    """Grafana let nobody in, or has no such dashboard; the text is one clear line."""


def height(dashboard: Mapping[str, Any]) -> int:
    """Pixels that all panels take."""
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    lowest: int = max(place["y"] + place["h"] for place in places)
    return FRAME_PIXELS + ROW_PIXELS * lowest


def addresses(base: str, since: str, kernel: str | None) -> Iterator[tuple[str, str, int]]:
    """Name of the picture, address and height of each dashboard."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text())
        query = {"theme": "light", "from": since, "to": "now"}
        if kernel and path.stem == "kernel":
            query["var-kernel"] = kernel
        address = f"{base.rstrip('/')}/d/{dashboard['uid']}?kiosk&{urlencode(query)}"
        yield f"dashboard-{path.stem}", address, height(dashboard)


def log_in(context: BrowserContext, base: str, user: str, password: str) -> None:
    """Take a session's cookie; raises :exc:`RefusedError`."""
    answer = context.request.post(
        f"{base.rstrip('/')}/login", data={"user": user, "password": password}
    )
    if not answer.ok:
        raise RefusedError(f"Grafana lets {user} not in: {answer.status}")


def take(options: argparse.Namespace) -> None:
    """Open one dashboard after the other; raises :exc:`RefusedError`."""
    with camera() as browser:
        context = browser.new_context()
        if options.password_file:
            password = options.password_file.read_text().strip()
            log_in(context, options.grafana, options.user, password)
        for name, address, pixels in addresses(options.grafana, options.since, options.kernel):
            page = context.new_page()
            # What is out of sight is not asked for: the window is as high as the dashboard.
            page.set_viewport_size({"width": WIDTH, "height": pixels})
            answer = page.goto(address, wait_until="networkidle")
            if answer is None or not answer.ok or "/login" in page.url:
                raise RefusedError(f"Grafana does not show {address}")
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=options.out / f"{name}.png")
            page.close()
            print(options.out / f"{name}.png")


def main(words: Sequence[str] | None = None) -> int:
    """Take the pictures; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--grafana", default="http://localhost:3000", help="its address")
    parser.add_argument("--user", default="admin")
    parser.add_argument(
        "--password-file",
        type=Path,
        default=ROOT / "secrets/grafana-admin-password",
        help="empty where nobody has to log in",
    )
    parser.add_argument("--since", default="now-30m", help="where the pictures begin")
    parser.add_argument("--kernel", help="id of the kernel that is shown; else Grafana chooses")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder")
    options = parser.parse_args(words)
    if str(options.password_file) == ".":  # what an empty word becomes
        options.password_file = None
    if shutil.which("chromium") is None:
        print("needs chromium", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        take(options)
    except (RefusedError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
