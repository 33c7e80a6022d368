"""The page as the server writes it: useful without its script, and safe with any text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from jupyter_kernel_exporter.model import LiveKernel, MemoryLimit, Scope, SourceStatus
from jupyter_kernel_exporter.serve.api import kernel_model
from jupyter_kernel_exporter.serve.page import row
from support.site import site
from support.snapshots import GIB, MIB, NOW, crowd, full_snapshot, live, snapshot


class Tags(HTMLParser):
    """Every start tag with its attributes, and the texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page(*kernels: LiveKernel) -> str:
    with site(snapshot(*kernels)) as made:
        return str(made.client.get("/").text)


def test_markup_in_names_stays_text() -> None:
    """A person or notebook that is called like a script is shown, not run."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
    names: dict[str, Any] = {
        "username": evil,
        "notebook": evil,
        "kernel_name": evil,
        "container": evil,
    }
    with site(
        snapshot(live(evil, **names), sources=(SourceStatus(evil, False, 0.0, evil),))
    ) as made:
        html = made.client.get("/").text
    tags = Tags(html)
    assert [tag for tag, _ in tags.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in tags.tags]
    assert tags.text.count(evil) == 6
    assert "49" not in tags.text


def test_nothing_inline_and_nothing_from_elsewhere() -> None:
    """The page keeps to its own Content-Security-Policy, with relative addresses only."""
    tags = Tags(page(*full_snapshot().kernels)).tags
    for tag, attributes in tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or re.match(r"data:image/|[a-z]", target)
            assert target is None or "//" not in target.removeprefix("data:image/svg+xml,").replace(
                "http://www.w3.org/2000/svg", ""
            )
        assert tag != "style"


def test_a_real_table() -> None:
    """Screen readers get a caption, headers with a scope, and a polite status."""
    tags = Tags(page(live("a"))).tags
    names = [tag for tag, _ in tags]
    assert names.count("caption") == 1
    scopes = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert scopes.count("col") == 8
    assert scopes.count("row") == 2  # the kernel, and the template for further ones
    assert [attributes for _, attributes in tags if attributes.get("role") == "status"]


def test_without_kernels() -> None:
    """An empty host is told what to do, and shows no empty table."""
    html = page()
    assert "No kernel is running" in Tags(html).text
    assert '<table role="table" id="kernels" hidden>' in html
    assert '<section id="empty">' in html


def test_thousand_kernels() -> None:
    """A large host is shown whole, the largest kernel first."""
    with site(crowd(1000)) as made:
        html = made.client.get("/").text
    ids = re.findall(r'<tr role="row" data-id="([^"]+)"', html)
    assert len(set(ids)) == 1000
    assert '<dd data-sum="kernels">1000</dd>' in html
    assert '<dd data-sum="people">40</dd>' in html


def test_sources_that_give_less_are_named() -> None:
    """Whoever looks sees what cannot be seen, and why."""
    text = Tags(page()).text
    with site(full_snapshot()) as made:
        html = made.client.get("/").text
    assert "secret" not in text
    assert "environ 3 kernels keep theirs <b>secret</b>" in Tags(html).text
    assert '<section id="problems" aria-labelledby="problems-title">' in html


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((), {"limit": "", "left": "no limit known", "level": "", "own": "0%", "others": "0%"}),
        (
            (MemoryLimit(Scope.CGROUP, 2 * GIB, GIB), MemoryLimit(Scope.HOST, 64 * GIB, 32 * GIB)),
            {
                "limit": "of 2 GiB",
                "left": "1 GiB left, cgroup",
                "level": "",
                "own": "37.5%",
                "others": "12.5%",
            },
        ),
        (
            (MemoryLimit(Scope.HOST, 1024 * MIB, 200 * MIB),),
            {
                "limit": "of 1 GiB",
                "left": "200 MiB left, machine",
                "level": "tight",
                "own": "75%",
                "others": "5.5%",
            },
        ),
        (
            (MemoryLimit(Scope.RLIMIT, 512 * MIB, 0),),
            {
                "limit": "of 512 MiB",
                "left": "0 B left, ulimit",
                "level": "full",
                "own": "100%",
                "others": "0%",
            },
        ),
        (
            (MemoryLimit(Scope.CGROUP, 0, 0),),
            {"limit": "of 0 B", "level": "", "own": "0%", "others": "0%"},
        ),
    ],
    ids=["none", "half", "tight", "beyond", "nothing allowed"],
)
def test_memory_against_its_limit(
    limits: tuple[MemoryLimit, ...], expected: dict[str, str]
) -> None:
    """The bar shows own memory and the others' below the tightest limit, and its level in words."""
    one = live("a", rss_bytes=700 * MIB, children_rss_bytes=68 * MIB, limits=limits)
    words = row(kernel_model(one, None), NOW)._asdict()
    assert words["memory"] == "768 MiB"
    assert {name: words[name] for name in expected} == expected
