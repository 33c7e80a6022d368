"""Draw messages as Slack shows them on a phone, from what Alertmanager sends.

python tools/slack_picture.py       tests/fixtures/slack.json -> docs/slack.png

The messages are those that tests/alerts/test_slack.py gets from a real Alertmanager; it says when
they are no longer the same, and writes them anew with JKE_TEST_RECORD=1. Needs chromium.
"""

import html
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camera import camera

ROOT = Path(__file__).resolve().parent.parent
MESSAGES = ROOT / "tests/fixtures/slack.json"
PICTURE = ROOT / "docs/slack.png"

COLORS = {"danger": "#a30200", "warning": "#daa038", "good": "#2eb886"}
"""Slack's own words for three colors."""

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; width: 390px; background: #fff; color: #1d1c1d;
  font: 15px/1.46 Lato, "Noto Sans", "DejaVu Sans", sans-serif; }}
header {{ padding: 12px 16px; border-bottom: 1px solid #ddd; font-weight: 700; font-size: 17px; }}
.message {{ display: flex; gap: 10px; padding: 14px 16px 6px; }}
.message:last-child {{ padding-bottom: 18px; }}
.app {{ flex: none; width: 36px; height: 36px; border-radius: 6px; background: #f37726;
  color: #fff; font-weight: 700; font-size: 20px; line-height: 36px; text-align: center; }}
.from b {{ font-size: 15px; }} .from i {{ font-style: normal; font-size: 10px; padding: 1px 3px;
  border-radius: 2px; background: #e8e8e8; color: #616061; font-weight: 700; }}
.from span {{ color: #616061; font-size: 12px; }}
.attachment {{ margin-top: 4px; padding-left: 12px; border-left: 4px solid; border-radius: 2px; }}
.title {{ font-weight: 700; color: #1264a3; }}
.text {{ overflow-wrap: anywhere; }}
code {{ font: 12px "DejaVu Sans Mono", monospace; color: #c01343; background: #f6f6f6;
  border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }}
.actions {{ display: flex; gap: 8px; margin-top: 8px; }}
.actions span {{ border: 1px solid #bbb; border-radius: 4px; padding: 4px 10px; font-weight: 700;
  font-size: 13px; white-space: nowrap; }}
</style><header># jupyter-alerts</header>{messages}"""

MESSAGE = """<div class="message"><div class="app">J</div><div>
<div class="from"><b>Jupyter</b> <i>APP</i> <span>{time}</span></div>
<div class="attachment" style="border-color: {color}">
<div class="title">{title}</div><div class="text">{text}</div>
<div class="actions">{actions}</div></div></div></div>"""


def markup(text: str) -> str:
    """Slack's mrkdwn as HTML: what is escaped in the one is in the other as well."""
    assert not re.search(r"[<>]", text), "links and mentions are never sent"
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text)
    text = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", text)
    return text.strip().replace("\n", "<br>")


def draw(attachment: Mapping[str, Any], time: str) -> str:
    """One message."""
    return MESSAGE.format(
        time=time,
        color=html.escape(COLORS.get(attachment["color"], attachment["color"])),
        title=markup(attachment["title"]),
        text=markup(attachment["text"]),
        actions="".join(f"<span>{html.escape(a['text'])}</span>" for a in attachment["actions"]),
    )


def main() -> int:
    """Draw the picture; the exit status."""
    if shutil.which("chromium") is None:
        print("needs chromium", file=sys.stderr)
        return 1
    attachments = json.loads(MESSAGES.read_text())
    drawn = (draw(said, f"14:{minute:02}") for minute, said in enumerate(attachments, start=2))
    page_text = PAGE.format(messages="".join(drawn))
    with camera() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 200}, device_scale_factor=2)
        page.set_content(page_text)
        page.screenshot(path=PICTURE, full_page=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
