"""A real JupyterHub behind its real proxy: two users and an admin log in with a browser."""

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from jupyter_kernel_exporter.publish.published import Published
from jupyter_kernel_exporter.serve.app import create_app
from jupyter_kernel_exporter.settings import resolve
from support.browser import needs_chromium, wait_for
from support.jupyter import PYTHON_ARGV, wait_until
from support.real_hub import BASE, PASSWORD, PREFIX, RealHub, find_proxy, log_in, running_hub

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.skipif(find_proxy() is None, reason="configurable-http-proxy is not installed"),
]

SPAWNED, STARTED = "ada", "grace"
"""One whose server the hub starts, and one whose kernel is started as a server of the hub would."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHub]:
    """A hub whose service is the exporter."""
    with running_hub(tmp_path_factory.mktemp("hub")) as made:
        yield made


@pytest.fixture(scope="module")
def kernels(hub: RealHub) -> Iterator[dict[str, str]]:
    """A real kernel of each of two people: their ids by the people's names."""
    assert hub.api("POST", f"/hub/api/users/{SPAWNED}/server").status_code in {201, 202}
    with started_kernel(hub, STARTED) as started:
        path = f"/user/{SPAWNED}/api/kernels"

        def spawned() -> str | None:
            answer = hub.api("POST", path, json={"name": "python3"})
            return answer.json()["id"] if answer.status_code == 201 else None

        ids = {SPAWNED: wait_until(spawned, "a kernel in a server of the hub"), STARTED: started}
        token = hub.tokens["prometheus"]

        def seen() -> bool:
            text = hub.get(f"{PREFIX}metrics", token).text
            return all(f'kernel_id="{ids[name]}",username="{name}"' in text for name in ids)

        wait_until(seen, "both kernels are known")
        yield ids


@contextlib.contextmanager
def started_kernel(hub: RealHub, username: str) -> Iterator[str]:
    """A kernel with the environment that a hub's server gives it."""
    kernel_id = str(uuid.uuid4())
    file = hub.folders.runtime / f"kernel-{kernel_id}.json"
    process = subprocess.Popen(
        [part.format(connection_file=file) for part in PYTHON_ARGV],
        env=hub.folders.environ({"JUPYTERHUB_USER": username}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            yield kernel_id
        finally:
            process.kill()


def routes(kernel_id: str) -> list[str]:
    """Every route there is."""
    app = create_app(Published(), resolve({}, {}))
    found = [str(getattr(route, "path", "")).format(kernel_id=kernel_id) for route in app.routes]
    return [PREFIX[:-1] + ("/static/page.css" if path == "/static" else path) for path in found]


def ids_seen(browser: httpx.Client) -> set[str]:
    """The kernels that somebody's page would show next."""
    answer = browser.get(f"{PREFIX}api/v1/kernels", headers={"Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 200, answer.text
    return {kernel["kernel_id"] for kernel in answer.json()["kernels"]}


@pytest.mark.parametrize("direct", [False, True], ids=["by the proxy", "past the proxy"])
def test_no_route_is_open_without_a_login(
    hub: RealHub, kernels: dict[str, str], direct: bool
) -> None:
    """Nor with the token of another of the hub's services."""
    for path in routes(kernels["ada"]):
        assert hub.get(path, direct=direct).status_code == 401, path
        assert hub.get(path, "made-up", direct=direct).status_code == 401, path
        assert hub.get(path, hub.tokens["another"], direct=direct).status_code == 403, path


@pytest.mark.parametrize(
    ("name", "sees"),
    [("ada", {"ada"}), ("grace", {"grace"}), ("boss", {"ada", "grace"})],
)
def test_people_see_their_own_and_admins_all(
    hub: RealHub, kernels: dict[str, str], name: str, sees: set[str]
) -> None:
    """After the hub's own login form and its OAuth, whatever route they then ask."""
    path = f"{PREFIX}kernels/{kernels['ada']}"
    with hub.browser() as browser:
        answer = log_in(browser, path, name)
        assert str(answer.url) == hub.url + path
        assert answer.status_code == (200 if "ada" in sees else 404), answer.text
        assert ids_seen(browser) >= {kernels[one] for one in sees}
        for other in kernels.keys() - sees:
            for route in routes(kernels[other]):
                text = browser.get(route).text.replace(f"/{kernels[other]}", "")
                text = text.replace(f'data-kernel-id="{kernels[other]}"', "")
                assert f'"{kernels[other]}"' not in text, route
                assert f'"{other}"' not in text, route
            assert browser.get(f"{PREFIX}api/v1/kernels/{kernels[other]}").status_code == 404
        metrics = browser.get(f"{PREFIX}metrics", headers={"Sec-Fetch-Mode": "cors"})
        assert metrics.status_code == (200 if len(sees) > 1 else 403)
        page = browser.get(PREFIX)
        assert page.status_code == 200
        assert {one for one in kernels if kernels[one] in page.text} == sees


@needs_chromium
def test_a_real_browser(hub: RealHub, kernels: dict[str, str], page: Any) -> None:
    """Page, scripts and links work below the prefix, behind the proxy, and complain of nothing."""
    page.goto(f"{hub.url}{PREFIX}?sort=memory")
    page.fill("#username_input", "ada")
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    consent = page.locator("form [type=submit]:has-text('Authorize')")
    live = page.locator("body[data-status=live]")
    consent.or_(live).first.wait_for()
    if consent.count():  # once for each person and service
        consent.click()
    live.wait_for()
    assert page.url == f"{hub.url}{PREFIX}?sort=memory"
    ids = page.locator("#kernels tbody tr").evaluate_all("rows => rows.map(r => r.dataset.id)")
    assert kernels["ada"] in ids
    assert kernels["grace"] not in ids
    page.click(f'tr[data-id="{kernels["ada"]}"] a')
    page.wait_for_url("**/kernels/*")
    live.wait_for()
    assert page.url == f"{hub.url}{PREFIX}kernels/{kernels['ada']}"
    wait_for(page, "#whose", "ada")
    page.click("nav >> text=Deaths")
    page.wait_for_url("**/deaths")
    live.wait_for()
    assert page.url == f"{hub.url}{PREFIX}deaths"


def test_somebody_without_the_scope_is_kept_out(hub: RealHub) -> None:
    """The hub knows them, and lets them into other things."""
    with hub.browser() as browser:
        assert log_in(browser, PREFIX, "visitor").status_code == 403
        assert "kernel_id" not in browser.get(f"{PREFIX}api/v1/kernels").text


def test_a_wrong_password(hub: RealHub) -> None:
    """Leads nowhere."""
    with hub.browser() as browser:
        log_in(browser, PREFIX, "ada", "wrong")
        assert browser.get(PREFIX).url.path.startswith(f"{BASE}/hub/")


def test_a_logout_at_the_hub_ends_it_here(hub: RealHub) -> None:
    """The browser's session of the hub is over, and so is what it was let in by."""
    with hub.browser() as browser:
        assert log_in(browser, PREFIX, "ada").url.path == PREFIX
        browser.get(f"{BASE}/hub/logout")
        answer = browser.get(f"{PREFIX}api/v1/kernels", headers={"Accept": "application/json"})
        assert answer.status_code == 401


def test_prometheus_scrapes_with_a_token_of_its_own(hub: RealHub, kernels: dict[str, str]) -> None:
    """Past the proxy, as it would."""
    answer = hub.get(f"{PREFIX}metrics", hub.tokens["prometheus"], direct=True)
    assert answer.status_code == 200
    assert set(kernels.values()) <= set(answer.text.replace("=", '"').split('"'))


def test_what_the_spawner_promises_is_a_label(hub: RealHub, kernels: dict[str, str]) -> None:
    """This spawner enforces nothing; where the machine of the test does, it is not told."""
    text = hub.get(f"{PREFIX}metrics", hub.tokens["prometheus"]).text
    of_kernel = [line for line in text.splitlines() if kernels[SPAWNED] in line]
    enforced = any("_limit_bytes{" in line and 'scope="cgroup"' in line for line in of_kernel)
    promised = [line for line in of_kernel if line.startswith("jupyter_kernel_memory_limit_info{")]
    assert len(promised) == (not enforced)
    assert all('mem_limit="3221225472"' in line for line in promised)


def test_nothing_of_a_login_is_logged(hub: RealHub) -> None:
    """Neither tokens nor names nor sessions, at the most talkative level, which it runs at."""
    with hub.browser() as browser:
        log_in(browser, PREFIX, "ada")
        session = browser.cookies["jupyterhub-session-id"]
    log = [line for line in hub.log_file.read_text().splitlines() if line.startswith("ts=")]
    assert any("msg=serving" in line for line in log)
    for line in log:
        for secret in (hub.tokens["prometheus"], session, "boss", "access_token", "level=error"):
            assert secret not in line
