"""The way to the hub and back, and what a browser keeps of it."""

import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from jupyter_kernel_exporter.publish.published import Published
from support.fake_hub import PREFIX, SERVICE_TOKEN, FakeHub, fake_hub, hub_site
from support.snapshots import live, snapshot

CALLBACK = f"{PREFIX}oauth_callback"
PERSON = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """A hub."""
    with fake_hub() as made:
        yield made


@pytest.fixture
def browser(hub: FakeHub) -> Iterator[httpx.Client]:
    """Somebody's browser, which keeps cookies."""
    published = Published(snapshot=snapshot(live("of-ada"), live("of-eva", username="eva")))
    with hub_site(hub, published) as client:
        client.headers.update(PERSON)
        yield client


def begin(browser: httpx.Client, path: str = PREFIX, **headers: str) -> str:
    """Ask for a page; the state that the browser is sent to the hub with."""
    answer = browser.get(path, headers=headers)
    assert answer.status_code == 302, answer.text
    return httpx.URL(answer.headers["location"]).params["state"]


def come_back(
    browser: httpx.Client, state: str, code: str = "code-of-ada", **headers: str
) -> httpx.Response:
    """The hub sends the browser back."""
    return browser.get(CALLBACK, params={"code": code, "state": state}, headers=headers)


def cookies_of(answer: httpx.Response) -> dict[str, Any]:
    """What an answer sets, with all attributes."""
    jar: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


@pytest.mark.parametrize(
    ("path", "then"),
    [
        (PREFIX, PREFIX),
        (f"{PREFIX}deaths?kernel=a%26b&reason=all", f"{PREFIX}deaths?kernel=a%26b&reason=all"),
        (f"{PREFIX}kernels/%C3%A4%20b", f"{PREFIX}kernels/%C3%A4%20b"),
        (f"{PREFIX}/evil.example.org/", f"{PREFIX}/evil.example.org/"),
        (f"{PREFIX}?q={'x' * 5000}", PREFIX),
    ],
)
def test_a_login_leads_back_to_where_one_wanted_to_go(
    browser: httpx.Client, hub: FakeHub, path: str, then: str
) -> None:
    """With a cookie that lets one in from now on."""
    answer = come_back(browser, begin(browser, path))
    assert answer.status_code == 302
    assert answer.headers["location"] == then
    assert list(browser.cookies) == ["service-kernels"]
    assert browser.get(PREFIX).status_code == 200
    kernels = browser.get(f"{PREFIX}api/v1/kernels", headers={"Sec-Fetch-Mode": "cors"}).json()
    assert [kernel["kernel_id"] for kernel in kernels["kernels"]] == ["of-ada"]
    login = hub.logins[-1]
    assert login["client_secret"] == SERVICE_TOKEN
    assert login["redirect_uri"] == CALLBACK
    assert len(login["code_verifier"]) >= 43


@pytest.mark.parametrize("proto", ["http", "https", "https,http"])
def test_cookies(browser: httpx.Client, proto: str) -> None:
    """For this service only, out of reach of scripts, and by TLS only where there is TLS."""
    headers = {"X-Forwarded-Proto": proto}
    asked = browser.get(PREFIX, headers=headers)
    state = httpx.URL(asked.headers["location"]).params["state"]
    begun = cookies_of(asked)
    # A browser sends Secure cookies to whoever the proxy is; here it is not one.
    value = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in begun.items())
    answer = come_back(browser, state, **headers, Cookie=value)
    done = cookies_of(answer)
    assert answer.status_code == 302
    for name, morsel in (begun | done).items():
        assert name.startswith("service-kernels")
        assert morsel["path"] == PREFIX
        assert morsel["httponly"] is True
        assert bool(morsel["secure"]) == proto.startswith("https")
        assert morsel["samesite"] == "lax"
    (login,) = begun
    assert begun[login]["max-age"] == "600"
    assert done[login]["max-age"] == "0"
    assert "token-of-ada" not in done["service-kernels"].value
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("variable", "name", "attributes"),
    [
        (
            ("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "1"),
            "__Host-service-kernels",
            {"path": "/", "secure": True},
        ),
        (
            ("JUPYTERHUB_PUBLIC_URL", "https://hub.example.org/x/"),
            "service-kernels",
            {"secure": True},
        ),
        (
            (
                "JUPYTERHUB_COOKIE_OPTIONS",
                '{"SameSite": "None", "Secure": true, "expires_days": 1}',
            ),
            "service-kernels",
            {"samesite": "none", "secure": True, "max-age": "86400", "path": PREFIX},
        ),
    ],
)
def test_cookies_as_the_hubs_administrator_wants_them(
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    variable: tuple[str, str],
    name: str,
    attributes: dict[str, Any],
) -> None:
    """The hub tells its services in their environment."""
    monkeypatch.setenv(*variable)
    with hub_site(hub, Published(snapshot=snapshot())) as client:
        asked = client.get(PREFIX, headers=PERSON)
        state = httpx.URL(asked.headers["location"]).params["state"]
        begun = cookies_of(asked)
        sent = "; ".join(f"{key}={morsel.coded_value}" for key, morsel in begun.items())
        done = cookies_of(come_back(client, state, Cookie=sent))
    assert {key: done[name][key] for key in attributes} == attributes
    (login,) = begun
    assert login.startswith(f"{name}-oauth-state-")
    assert begun[login]["max-age"] == "600"


def test_several_windows_at_once(browser: httpx.Client) -> None:
    """Each comes back with its own state, in whatever order."""
    states = [begin(browser) for _ in range(3)]
    assert come_back(browser, states[1]).status_code == 302


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no state", "did not begin"),
        ("made up", "did not begin"),
        ("of another browser", "did not begin"),
        ("same beginning", "did not begin"),
        ("used before", "did not begin"),
        ("refused", "refused"),
    ],
)
def test_a_login_that_was_not_begun_here(browser: httpx.Client, case: str, says: str) -> None:
    """Somebody who lets others log in as themselves, or the other way round, gets nowhere."""
    state, params = begin(browser), {"code": "code-of-ada"}
    if case == "no state":
        answer = browser.get(CALLBACK, params=params)
    elif case == "made up":
        answer = come_back(browser, "made-up-state")
    elif case == "of another browser":
        with httpx.Client(base_url=browser.base_url) as another:
            answer = come_back(another, state)
    elif case == "same beginning":
        answer = come_back(browser, state[:8] + "rest-of-another")
    elif case == "used before":
        assert come_back(browser, state).status_code == 302
        answer = come_back(browser, state)
    else:
        answer = browser.get(CALLBACK, params={"error": "access_denied", "state": state})
    assert answer.status_code == 403
    assert says in answer.json()["detail"]
    assert "service-kernels" not in cookies_of(answer)


def test_a_code_that_the_hub_does_not_know(browser: httpx.Client) -> None:
    """No login, and no secret in the answer."""
    answer = come_back(browser, begin(browser), "made-up")
    assert answer.status_code == 503
    assert "service-kernels" not in cookies_of(answer)
    assert SERVICE_TOKEN not in answer.text


@pytest.mark.parametrize(
    ("code", "says"), [("code-of-stranger", "given you access"), ("code-of-noone", "not know")]
)
def test_a_login_of_somebody_without_access(browser: httpx.Client, code: str, says: str) -> None:
    """Ends there, instead of going round in circles."""
    answer = come_back(browser, begin(browser), code)
    assert answer.status_code == 403
    assert says in answer.json()["detail"]


def test_a_cookie_of_before_a_restart(hub: FakeHub, browser: httpx.Client) -> None:
    """Is nobody's: the browser is sent to the hub again."""
    come_back(browser, begin(browser))
    cookie = browser.cookies["service-kernels"]
    with hub_site(hub, Published(snapshot=snapshot())) as another:
        headers = {**PERSON, "Cookie": f'service-kernels="{cookie}"'}
        assert another.get(PREFIX, headers=headers).status_code == 302


def test_a_header_goes_before_a_cookie(browser: httpx.Client) -> None:
    """Who says who they are is that or nobody."""
    come_back(browser, begin(browser))
    answer = browser.get(PREFIX, headers={"Authorization": "Bearer made-up"})
    assert answer.status_code == 401


def test_a_hubs_session_that_ended_is_asked_about_anew(hub: FakeHub, browser: httpx.Client) -> None:
    """An answer is remembered for the session that it was given in."""
    come_back(browser, begin(browser))
    before = len(hub.asked)
    assert browser.get(PREFIX).status_code == 200
    assert len(hub.asked) == before
    browser.cookies.set("jupyterhub-session-id", "another")
    assert browser.get(PREFIX).status_code == 200
    assert len(hub.asked) == before + 1


def test_a_hub_that_is_broken(hub: FakeHub, browser: httpx.Client) -> None:
    """Nobody is let in whom it cannot vouch for; whoever it did vouch for goes on for a minute."""
    come_back(browser, begin(browser))
    hub.broken = 500
    try:
        assert browser.get(PREFIX).status_code == 200
        answer = browser.get(PREFIX, headers={"Authorization": "token token-of-grace"})
        assert answer.status_code == 503
        assert hub.url not in answer.text
    finally:
        hub.broken = 0
    headers = {"Authorization": "token token-of-grace"}
    assert browser.get(PREFIX, headers=headers).status_code == 200


def test_a_hub_that_does_not_answer(
    hub: FakeHub, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else waits for it, and those who do wait for so long and no longer."""
    from jupyter_kernel_exporter.serve import hub as module

    come_back(browser, begin(browser))
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    hub.released.clear()
    try:
        began = time.monotonic()
        answer = browser.get(PREFIX, headers={"Authorization": "token token-of-nobody"})
        assert answer.status_code == 503
        assert 0.4 < time.monotonic() - began < 10
        assert browser.get(PREFIX).status_code == 200
    finally:
        hub.released.set()
