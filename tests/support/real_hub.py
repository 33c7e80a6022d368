"""A real JupyterHub with a real configurable-http-proxy, and people who log in with a browser.

Nothing of it is left: the hub ends its services, its servers and its proxy.
"""

import contextlib
import html
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.daemon import free_port
from support.jupyter import Folders, end, wait_until

PROXY = "configurable-http-proxy"
SERVICE = "kernels"
BASE = "/jupyter"
"""The hub is not alone on its host: everything of it is below this."""
PREFIX = f"{BASE}/services/{SERVICE}/"
PASSWORD = "a password of everybody's"


def find_proxy() -> str | None:
    """Where ``tools/system_packages.sh`` has put it, or where somebody else has."""
    ours = Path(sys.prefix, "node", "node_modules", ".bin")
    return shutil.which(PROXY, path=f"{ours}{os.pathsep}{os.environ.get('PATH', '')}")


CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}{base}/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.command = ["{proxy}"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.JupyterHub.db_url = "sqlite:///{home}/hub.sqlite"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allowed_users = {{"ada", "grace", "visitor"}}
c.Authenticator.admin_users = {{"boss"}}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{home}/homes/{{username}}"
c.Spawner.cmd = ["{python}", "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.mem_limit = "3G"
c.Spawner.env_keep = ["PATH", "LANG", "JKE_TEST_RUN"]

c.JupyterHub.services = [
    {{
        "name": "{service}",
        "url": "http://127.0.0.1:{service_port}",
        "command": [
            "{python}", "-m", "jupyter_kernel_exporter", "--web.jupyterhub",
            "--web.listen-address=127.0.0.1:{service_port}", "--state-dir={home}/state",
            "--log.level=debug", "--runtime-dir={home}/runtime",
        ],
        "environment": {{"JKE_TEST_RUN": "{run}"}},
    }},
    {{"name": "prometheus", "api_token": "{prometheus}"}},
    {{"name": "another", "api_token": "{another}"}},
    {{"name": "of-the-test", "api_token": "{admin}", "admin": True}},
]
c.JupyterHub.load_roles = [
    {{
        "name": "sees-own-kernels",
        "scopes": ["access:services!service={service}"],
        "users": ["ada", "grace"],
    }},
    {{
        "name": "scrapes",
        "scopes": ["access:services!service={service}"],
        "services": ["prometheus"],
    }},
]
"""


@dataclass(slots=True)
class RealHub:
    """A hub that answers, and whose service does."""

    url: str
    direct: str
    """The service itself, without the proxy before it."""
    log_file: Path
    folders: Folders
    tokens: Mapping[str, str]
    """Of the hub's other services."""

    def get(self, path: str, token: str = "", *, direct: bool = False) -> httpx.Response:
        """Ask the service as a script does."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = (self.direct if direct else self.url) + path
        return httpx.get(url, headers=headers, trust_env=False, timeout=30)

    def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the hub as its administrator does."""
        headers = {"Authorization": f"token {self.tokens['admin']}"}
        return httpx.request(
            method, f"{self.url}{BASE}{path}", headers=headers, trust_env=False, timeout=60, **more
        )

    @contextlib.contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Somebody's browser."""
        headers = {"Accept": "text/html,*/*;q=0.8"}
        with httpx.Client(
            base_url=self.url,
            headers=headers,
            follow_redirects=True,
            trust_env=False,
            timeout=30,
        ) as client:
            yield client


def log_in(browser: httpx.Client, path: str, name: str, password: str = PASSWORD) -> httpx.Response:
    """Open a page, fill in the hub's forms as they come, and see what there is in the end."""
    answer = browser.get(path)
    for _ in range(4):
        form = _form(answer)
        if form is None:
            break
        action, fields = form
        given = {"username": name, "password": password} if "login" in action else {}
        answer = browser.post(action, data=fields | given)
        if answer.status_code >= 400:
            break
    return answer


def _form(answer: httpx.Response) -> tuple[str, dict[str, str]] | None:
    """The form of a page of the hub: where it goes, and what is filled in already."""
    found = re.search(
        r"<form[^>]*method=\"post\"[^>]*>.*?</form>", answer.text, re.DOTALL | re.IGNORECASE
    )
    if found is None or "/hub/" not in str(answer.url):
        return None
    text = found[0]
    action = re.search(r'<form[^>]*action="([^"]*)"', text)
    fields = {}
    for tag in re.findall(r"<input[^>]*>", text):
        name, value = (re.search(rf'{a}="([^"]*)"', tag) for a in ("name", "value"))
        if name and value:
            fields[name[1]] = html.unescape(value[1])
    target = html.unescape(action[1]) if action else ""
    return str(answer.url.join(target) if target else answer.url), fields


@contextlib.contextmanager
def running_hub(home: Path) -> Iterator[RealHub]:
    """The hub with the exporter as its service, once both answer."""
    proxy = find_proxy()
    assert proxy
    folders = Folders(home)
    folders.make({})
    port, service_port = free_port(), free_port()
    tokens = {name: secrets.token_hex(16) for name in ("prometheus", "another", "admin")}
    (home / "homes").mkdir()
    config = home / "jupyterhub_config.py"
    config.write_text(
        CONFIG.format(
            port=port,
            base=BASE,
            hub_port=free_port(),
            proxy_port=free_port(),
            service_port=service_port,
            proxy=proxy,
            home=home,
            password=PASSWORD,
            python=sys.executable,
            service=SERVICE,
            run=folders.run,
            **tokens,
        )
    )
    log_file = home / "hub.log"
    environ = folders.environ({"JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32)})
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--debug", f"--config={config}"],
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    hub = RealHub(
        f"http://127.0.0.1:{port}", f"http://127.0.0.1:{service_port}", log_file, folders, tokens
    )
    try:

        def answers() -> bool:
            assert process.poll() is None, log_file.read_text()
            with contextlib.suppress(httpx.TransportError):
                return hub.get(f"{PREFIX}-/ready", tokens["prometheus"]).status_code == 200
            return False

        wait_until(answers, "the hub's service is ready", every=0.2)
        yield hub
    finally:
        end(process)
        folders.end_processes()
