"""Behind a hub that is made up: nothing without a login, and nobody sees what is not theirs."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount, Route

from jupyter_kernel_exporter.model import SourceStatus
from jupyter_kernel_exporter.publish.history import History
from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.settings import resolve
from support.deathrows import death
from support.fake_hub import PREFIX, FakeHub, bearer, fake_hub, hub_site
from support.snapshots import NOW, live, snapshot

OF_ADA, GONE, OF_GRACE = "kernel-of-ada", "gone-of-ada", "kernel-of-grace"
MINE, EVERYBODYS, NOBODYS = "one's own", "of everybody, for those who see everything", "of nobody"

ROUTES = {
    "/": MINE,
    "/deaths": NOBODYS,
    "/metrics": EVERYBODYS,
    "/kernels/{kernel_id}": MINE,
    "/api/v1/kernels": MINE,
    "/api/v1/kernels/{kernel_id}": MINE,
    "/api/v1/deaths": MINE,
    "/-/healthy": NOBODYS,
    "/-/ready": NOBODYS,
    "/static": NOBODYS,
    "/openapi.json": NOBODYS,
}
"""Whose kernels each route shows. A new one is put here, and so it is tried."""

STATIC = "/static/page.css"
PROBLEM = SourceStatus("environ", False, 0.1, "PermissionError: /home/grace/.x, /home/ada/.x")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Two people's kernels, one that is gone, and deaths of both."""
    history = History.open(str(tmp_path_factory.mktemp("state")))
    for number, (kernel_id, name) in enumerate(
        [(OF_ADA, "ada"), (GONE, "ada"), (OF_GRACE, "grace")]
    ):
        history.record_death(
            death(
                number,
                kernel_id=kernel_id,
                username=name,
                notebook=f"{name}.ipynb",
                ended_at=NOW - 60 - number,
            )
        )
    kernels = [
        live(OF_ADA, process=1, username="ada", notebook="thesis-of-ada.ipynb"),
        live(OF_GRACE, process=2, username="grace", notebook="compiler-of-grace.ipynb"),
    ]
    made = Published(history=history)
    gone = live(GONE, process=3, username="ada", notebook="gone-of-ada.ipynb")
    for step, shown in enumerate(([*kernels, gone], kernels)):
        made.snapshot = snapshot(*shown, taken_at=NOW - 20 + 10 * step, sources=(PROBLEM,))
        made.recent.append(made.snapshot)
    yield made
    history.close()


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """A hub."""
    with fake_hub() as made:
        yield made


@pytest.fixture(scope="module")
def client(hub: FakeHub, published: Published) -> Iterator[httpx.Client]:
    """Somebody without a login."""
    with hub_site(hub, published) as made:
        yield made


def paths(kernel_id: str = OF_ADA, *, of: str | None = None) -> list[str]:
    """Every route below the prefix, its parameters filled in."""
    return [
        PREFIX[:-1] + (STATIC if path == "/static" else path.format(kernel_id=kernel_id))
        for path, whose in ROUTES.items()
        if of is None or whose == of
    ]


def test_every_route_is_known_here() -> None:
    """A route that is not in the table above has not been thought about."""
    app = create_app(Published(), resolve({}, {}))
    found = [route.path for route in app.routes if isinstance(route, Route | Mount)]
    assert len(found) == len(app.routes)
    assert set(found) == set(ROUTES)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer made-up"},
        {"Authorization": "Basic YWRhOmFkYQ=="},
        {"Authorization": "Bearer token-of-ada\tX: y"},
        {"Authorization": f"Bearer {'x' * 2000}"},
        {"Authorization": ""},
        {"Cookie": "service-kernels=token-of-admin"},
        {"Cookie": 'service-kernels="2|1:0|10:1763712345|15:service-kernels|4:eHh4|ab"'},
        {"Accept": "text/html", "Sec-Fetch-Mode": "cors"},
        {"X-Forwarded-User": "root", "Remote-User": "root"},
    ],
)
def test_no_route_is_open_without_a_login(client: httpx.Client, headers: dict[str, str]) -> None:
    """Neither with nothing nor with what is no login; whatever the method."""
    for path in (*paths(), f"{PREFIX}nothing", f"{PREFIX}docs"):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["x-content-type-options"] == "nosniff"
            if method == "GET":
                assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/ready", "/services/", "/services/kernelsx/"])
def test_nothing_is_there_beside_the_prefix(client: httpx.Client, path: str) -> None:
    """Not even for those who have logged in."""
    for token in ("made-up", "token-of-admin"):
        answer = client.get(path, headers=bearer(token))
        assert answer.status_code == 404
        assert set(answer.json()) == {"detail"}


def test_the_prefix_without_its_slash(client: httpx.Client) -> None:
    """Leads to the one with it."""
    answer = client.get(PREFIX[:-1])
    assert answer.status_code == 307
    assert answer.headers["location"] == PREFIX


@pytest.mark.parametrize("path", paths())
def test_a_browser_is_sent_to_the_hub(client: httpx.Client, path: str) -> None:
    """With a state of its own, and a cookie that knows it."""
    headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    with httpx.Client(base_url=client.base_url) as browser:
        seen = [browser.get(path, headers=headers) for _ in range(2)]
        for answer in seen:
            assert answer.status_code == 302
            target = httpx.URL(answer.headers["location"])
            assert target.path == "/hub/api/oauth2/authorize"
            assert target.params["client_id"] == "service-kernels"
            assert target.params["redirect_uri"] == f"{PREFIX}oauth_callback"
            assert target.params["response_type"] == "code"
        states = {httpx.URL(answer.headers["location"]).params["state"] for answer in seen}
        assert len(states) == len(browser.cookies) == 2


@pytest.mark.parametrize(
    ("token", "sees"),
    [
        ("token-of-ada", {"ada"}),
        ("token-of-grace", {"grace"}),
        ("token-of-nobody", set()),
        ("token-of-admin", {"ada", "grace"}),
        ("token-of-prometheus", {"ada", "grace"}),
    ],
)
@pytest.mark.parametrize("kernel_id", [OF_ADA, GONE, OF_GRACE])
def test_nobody_sees_what_is_not_theirs(
    client: httpx.Client, token: str, sees: set[str], kernel_id: str
) -> None:
    """Whatever route is asked for whatever kernel."""
    shown = set()
    for path in paths(kernel_id):
        answer = client.get(path, headers=bearer(token))
        text = answer.text.replace(kernel_id, "") if answer.status_code == 404 else answer.text
        shown |= set(re.findall(r"\b(?:of-)?(ada|grace)\b", text))
        if path.endswith("/metrics"):
            assert answer.status_code == (200 if len(sees) > 1 else 403)
        elif kernel_id in path:
            assert answer.status_code == (200 if kernel_id.rpartition("-")[2] in sees else 404)
        else:
            assert answer.status_code == 200, path
    assert shown == sees


@pytest.mark.parametrize("path", paths(of=MINE))
def test_somebody_elses_is_as_if_there_were_none(client: httpx.Client, path: str) -> None:
    """An id that is somebody else's is answered as one that nobody has."""
    if OF_ADA not in path:
        return
    headers = bearer("token-of-grace")
    theirs, nobodys = (client.get(p, headers=headers) for p in (path, path.replace(OF_ADA, "none")))
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.text.replace(OF_ADA, "none") == nobodys.text


@pytest.mark.parametrize("query", ["", "?username=ada", "?username=", f"?kernel_id={OF_ADA}"])
def test_deaths_of_others_cannot_be_asked_for(client: httpx.Client, query: str) -> None:
    """A filter narrows what one sees, and never widens it."""
    answer = client.get(f"{PREFIX}api/v1/deaths{query}", headers=bearer("token-of-grace"))
    assert {row["username"] for row in answer.json()["deaths"]} <= {"grace"}
    assert bool(answer.json()["deaths"]) == (query == "")


def test_the_counts_on_the_page_are_ones_own(client: httpx.Client) -> None:
    """How many kernels others have is not shown either."""

    def counts(token: str) -> list[str]:
        text = client.get(PREFIX, headers=bearer(token)).text
        return re.findall(r'data-sum="(?:kernels|people)">(\d+)<', text) + re.findall(
            r'id="died">(\d+)<', text
        )

    assert counts("token-of-grace") == ["1", "1", "1"]
    assert counts("token-of-ada") == ["1", "1", "2"]
    assert counts("token-of-admin") == ["2", "2", "3"]
    assert counts("token-of-nobody") == ["0", "0", "0"]


def test_the_past_of_a_kernel_whose_end_is_not_known_yet(hub: FakeHub) -> None:
    """Nobody can say whose it was, so those who see everything see it."""
    made = Published(snapshot=snapshot())
    made.recent.append(snapshot(live(OF_ADA), taken_at=NOW - 1))
    with hub_site(hub, made) as client:
        path = f"{PREFIX}api/v1/kernels/{OF_ADA}"
        for token, status in (("ada", 404), ("grace", 404), ("admin", 200)):
            assert client.get(path, headers=bearer(f"token-of-{token}")).status_code == status


def test_an_id_that_two_people_have_shows_neither_the_others_past(hub: FakeHub) -> None:
    """People may choose their kernels' ids, and the past is kept by id."""
    both = [
        live("same", process=1, username="ada", rss_bytes=111_000_000),
        live("same", process=2, username="grace", rss_bytes=222_000_000),
    ]
    made = Published(snapshot=snapshot(*both))
    for second in (0, 1):
        made.recent.append(snapshot(*both, taken_at=NOW + second))
    assert made.recent.cpu_cores
    with hub_site(hub, made) as client:
        for name, rss in (("ada", 111_000_000), ("grace", 222_000_000)):
            headers = bearer(f"token-of-{name}")
            answer = client.get(f"{PREFIX}api/v1/kernels/same", headers=headers).json()
            assert answer["kernel"]["memory_rss_bytes"] == rss
            assert answer["history"]["memory_bytes"] == []
            (listed,) = client.get(f"{PREFIX}api/v1/kernels", headers=headers).json()["kernels"]
            assert answer["kernel"] == listed
            assert listed["cpu_cores"] is listed["memory_growth_bytes_per_second"] is None


@pytest.mark.parametrize("token", ["token-of-stranger", "token-of-adas-server"])
def test_access_has_to_be_granted(client: httpx.Client, token: str) -> None:
    """Whom the hub knows, it has not thereby let in: nor the token in every user's terminal."""
    for path in paths():
        answer = client.get(path, headers=bearer(token))
        assert answer.status_code == 403
        assert "given you access" in answer.json()["detail"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token", "Token", "Bearer  "])
def test_both_words_for_a_token(client: httpx.Client, scheme: str) -> None:
    """The hub's own, and that of RFC 6750."""
    headers = {"Authorization": f"{scheme} token-of-ada"}
    assert client.get(f"{PREFIX}-/healthy", headers=headers).status_code == 200


def test_links_stay_below_the_prefix(client: httpx.Client) -> None:
    """Everything that a page leads to is there, for an admin."""
    for page in ("", "deaths", f"kernels/{OF_ADA}"):
        text = client.get(PREFIX + page, headers=bearer("token-of-admin")).text
        found = set(re.findall(r'(?:href|src)="([^"{]+)"', text))
        links = {link for link in found if not link.startswith(("#", "data:"))}
        links.discard("kernels/")  # in a template, which a script fills
        assert len(links) > 5
        for link in links:
            url = client.base_url.join(PREFIX + page).join(link)
            assert url.path.startswith(PREFIX), link
            assert client.get(url, headers=bearer("token-of-admin")).status_code == 200, link
    servers = client.get(f"{PREFIX}openapi.json", headers=bearer("token-of-ada")).json()["servers"]
    assert servers == [{"url": PREFIX[:-1]}]


@pytest.mark.parametrize("page", ["", "deaths", f"kernels/{OF_ADA}"])
def test_only_who_may_see_metrics_is_led_there(client: httpx.Client, page: str) -> None:
    """A link that ends at a closed door is none."""
    for token, led in (("token-of-ada", False), ("token-of-admin", True)):
        text = client.get(PREFIX + page, headers=bearer(token)).text
        assert ('metrics">Metrics</a>' in text) == led


@pytest.mark.parametrize(
    ("mode", "sees"),
    [("raw", {OF_ADA}), ("hashed", {OF_ADA}), ("none", set())],
)
def test_names_that_are_not_shown(hub: FakeHub, tmp_path: Path, mode: str, sees: set[str]) -> None:
    """One's own kernels are found by the hash of one's name, and not at all without names."""
    from jupyter_kernel_exporter.privacy import open_privacy

    flags = {"privacy.username": mode, "state-dir": str(tmp_path)}
    privacy = open_privacy(resolve(flags, {}))
    kernels = [
        live(OF_ADA, process=1, username=privacy.reduce_username("ada")),
        live(OF_GRACE, process=2, username=privacy.reduce_username("grace")),
    ]
    with hub_site(hub, Published(snapshot=snapshot(*kernels)), flags) as client:

        def ids(token: str) -> set[str]:
            answer = client.get(f"{PREFIX}api/v1/kernels", headers=bearer(token))
            return {kernel["kernel_id"] for kernel in answer.json()["kernels"]}

        assert ids("token-of-ada") == sees
        assert ids("token-of-admin") == {OF_ADA, OF_GRACE}


@pytest.mark.parametrize(
    ("flags", "host", "status"),
    [
        ({}, "hub.example.org", 200),
        ({}, "127.0.0.1", 200),
        ({"web.allowed-host": ["hub.example.org"]}, "hub.example.org", 200),
        ({"web.allowed-host": ["hub.example.org"]}, "evil.example.org", 421),
    ],
)
def test_the_hubs_own_name_is_answered(
    hub: FakeHub, flags: dict[str, list[str]], host: str, status: int
) -> None:
    """Whatever it is, unless names are given; without a login it is of no use to anybody."""
    with hub_site(hub, Published(snapshot=snapshot()), flags) as client:
        headers = {"Host": host, **bearer("token-of-ada")}
        assert client.get(PREFIX, headers=headers).status_code == status
        assert client.get(PREFIX, headers={"Host": host}).status_code == max(status, 401)
