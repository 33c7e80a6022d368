"""The page as the server writes it: useful without its script, and safe with any text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from jupyter_kernel_exporter.model import LiveKernel, MemoryLimit, Scope, SourceStatus
from jupyter_kernel_exporter.serve.api import kernel_model
from jupyter_kernel_exporter.serve.page import row
from jupyter_kernel_exporter.serve.page.order import BY_NAME, arrange, parse_view
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
    assert tags.text.count(evil) == 5  # person, notebook, kernelspec, source and its problem
    assert "49" not in tags.text


def test_nothing_inline_and_nothing_from_elsewhere() -> None:
    """The page keeps to its own Content-Security-Policy, with relative addresses only."""
    tags = Tags(page(*full_snapshot().kernels)).tags
    for tag, attributes in tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or re.match(r"data:image/|[a-z#]|\./", target)
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
    assert scopes.count("col") == 9
    assert scopes.count("row") == 2  # the kernel, and the template for further ones
    assert [attributes for _, attributes in tags if attributes.get("role") == "status"]


def test_without_kernels() -> None:
    """An empty host is told what to do, and shows no empty table."""
    html = page()
    assert "No kernel is running" in Tags(html).text
    assert '<div id="kernels-part" hidden>' in html
    assert '<section id="empty">' in html


def test_thousand_kernels() -> None:
    """A large host is counted whole; the script adds the rows that nobody sees at first."""
    with site(crowd(1000)) as made:
        html = made.client.get("/").text
    assert len(set(re.findall(r'<tr role="row" data-id="([^"]+)"', html))) == 100
    assert "Without JavaScript only the first 100 are shown." in html
    assert '<dd data-sum="kernels">1000</dd>' in html
    assert '<dd data-sum="people">40</dd>' in html


ORDERED = [
    live("large", username="Ada", rss_bytes=4 * GIB),
    live("full", username="ada", limits=(MemoryLimit(Scope.HOST, GIB, 0),), rss_bytes=2 * MIB),
    live("tight", username="bob", limits=(MemoryLimit(Scope.HOST, 100, 15),), rss_bytes=MIB),
    live("soon", username="cyd", exhaustion_seconds=1700.0, rss_bytes=3 * MIB),
    live("sooner", username="cyd", exhaustion_seconds=60.0, rss_bytes=4 * MIB),
    live("later", username="dan", exhaustion_seconds=1801.0, rss_bytes=5 * MIB),
]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (("", "", ""), ["sooner", "soon", "full", "tight", "large", "later"]),
        (("", "trouble", "desc"), ["later", "large", "tight", "full", "soon", "sooner"]),
        (("", "memory", ""), ["large", "later", "sooner", "soon", "full", "tight"]),
        (("", "exhaustion", "asc"), ["sooner", "soon", "later", "large", "full", "tight"]),
        (("ADA", "memory", "asc"), ["full", "large"]),
        (("cyd soon", "nonsense", "sideways"), ["sooner", "soon"]),
        (("nobody", "", ""), []),
    ],
)
def test_order_and_filter(query: tuple[str, str, str], shown: list[str]) -> None:
    """Trouble first unless asked otherwise; what makes no sense counts as not said."""
    models = [kernel_model(one, None) for one in ORDERED]
    assert [kernel.kernel_id for kernel in arrange(models, parse_view(*query))] == shown


def test_every_order_takes_what_is_not_known() -> None:
    """A kernel of which next to nothing is known can be sorted by everything."""
    models = [kernel_model(one, None) for one in (*full_snapshot().kernels, live("bare 2"))]
    for name in BY_NAME:
        assert len(arrange(models, parse_view("", name, "desc"))) == 4


@pytest.mark.parametrize("path", ["/deaths", "/kernels/bare", "/kernels/gone?x=<script>"])
def test_frames(path: str) -> None:
    """The other pages load nothing from elsewhere either, and work behind a path of a proxy."""
    with site(full_snapshot()) as made:
        answer = made.client.get(path)
    assert answer.status_code == (404 if "gone" in path else 200)
    for tag, attributes in Tags(answer.text).tags:
        assert "style" not in attributes
        assert tag != "style"
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert re.match(r"$|data:image/|(\.\./)?[a-z#.]", target), target
            assert not target.startswith(("/", "http"))


def test_the_memory_of_histories_is_stated() -> None:
    """Whoever looks at a chart reads how far back it can go, and what that costs."""
    with site(full_snapshot()) as made:
        text = " ".join(Tags(made.client.get("/kernels/bare").text).text.split())
    assert "at most 720 points and 12 KiB a kernel, for at most 2000 kernels" in text


def test_sources_that_give_less_are_named() -> None:
    """Whoever looks sees what cannot be seen, and why."""
    text = Tags(page()).text
    with site(full_snapshot()) as made:
        html = made.client.get("/").text
    assert "secret" not in text
    assert "environ 3 kernels keep theirs <b>secret</b>" in Tags(html).text
    assert '<section id="problems" aria-labelledby="problems-title">' in html


def test_what_linux_leaves_off_is_no_reason_to_warn() -> None:
    """Most machines do not account for delays."""
    off = SourceStatus("delayacct", False, 0.0, "linux does not account for delays")
    with site(snapshot(sources=(off,))) as made:
        html = made.client.get("/").text
        assert made.client.get("/api/v1/kernels").json()["sources"][0]["problem"] == off.problem
    assert '<section id="problems" aria-labelledby="problems-title" hidden>' in html
    assert "delays" not in html


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
