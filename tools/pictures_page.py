"""Take the pictures of the page: a real daemon watches real kernels that behave well and badly.

    python tools/pictures_page.py

writes page-light, page-dark, page-phone, kernel and deaths into docs/pictures/.

Three Jupyter servers are started, each as another hub user's, with the notebooks of the demo and
some that come near their limits; after a few minutes a browser looks at what the daemon says of
them. As root there is an out-of-memory kill as well, in a cgroup that is made for it. What else
runs on this machine is in the pictures, too: in a container or behind `unshare --pid --fork
--mount-proc` there is nothing else. Needs chromium.
"""

import argparse
import asyncio
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from camera import camera
from jupyter_kernel_exporter.demo_notebooks import PARTS, Part
from jupyter_kernel_exporter.demo_server import Server, playing_kernels, running_server

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"

MEGABYTE = 1_000_000
DEMO = {part.notebook: part for part in PARTS}

ADDRESS_SPACE = Part(
    "train-embeddings.ipynb",
    "grows towards a limit on its address space (ulimit -v)",
    setup=(
        "import resource\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (now + {1500 * MEGABYTE},) * 2)\n"
        "rows = []"
    ),
    cell=f"rows.append(b'x' * {2 * MEGABYTE})",
    every_seconds=1.0,
)
PARTS_OF: Mapping[str, tuple[Part, ...]] = {
    "ada": (DEMO["leaking-cache.ipynb"], DEMO["tidy-report.ipynb"]),
    "grace": (DEMO["forgotten-dataframe.ipynb"], ADDRESS_SPACE),
    "linus": (DEMO["monte-carlo.ipynb"], DEMO["crashes-now-and-then.ipynb"]),
}
"""Who works on what."""

SHOTS = (
    # name, path, width, height, scheme
    ("page-light", "/", 1400, 900, "light"),
    ("page-dark", "/", 1400, 900, "dark"),
    ("page-phone", "/", 390, 844, "light"),
    ("kernel", "/kernels/LEAK", 1400, 900, "light"),
    ("deaths", "/deaths", 1400, 900, "light"),
)


def oom_part(folder: str) -> Part:
    """A kernel that moves into a cgroup with little memory and takes more than that."""
    return Part(
        "join-everything.ipynb",
        "takes 8 MB each second in a cgroup that may have 500 MB",
        setup=(
            "import os\nrows = []\n"
            f"print(os.getpid(), file=open({folder + '/cgroup.procs'!r}, 'w'))"
        ),
        cell=f"rows.append(b'x' * {8 * MEGABYTE})",
        every_seconds=1.0,
    )


@contextlib.contextmanager
def small_cgroup() -> Iterator[str | None]:
    """A cgroup that may have 500 MB; ``None`` where none can be made."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.memory_cgroup import may_make, memory_cgroup  # noqa: PLC0415  # see the line above

    if not may_make():
        yield None
        return
    with memory_cgroup(500 * MEGABYTE) as folder:
        yield str(folder)


def _never_ends(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@contextlib.contextmanager
def server_of(username: str) -> Iterator[Server]:
    """A Jupyter server of this hub user."""
    os.environ["JUPYTERHUB_USER"] = username
    try:
        stack = contextlib.ExitStack()
        server = stack.enter_context(running_server(_never_ends))
    finally:
        del os.environ["JUPYTERHUB_USER"]
    with stack:
        yield server


@contextlib.contextmanager
def daemon(folder: str) -> Iterator[str]:
    """A daemon; yields the address of its page."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "jupyter_kernel_exporter", "--state-dir", folder]
    process = subprocess.Popen([*command, "--web.listen-address", address, "--log.level=error"])
    try:
        wait_until_ready(address)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(address: str) -> None:
    """Until the daemon answers; raises :exc:`TimeoutError`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise TimeoutError("the daemon does not answer")


async def play_and_take(
    base: str, servers: Mapping[str, Server], oom: Part | None, seconds: float
) -> None:
    """Let everybody work for a while, and look at them while they go on."""
    kernels: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        for username, server in servers.items():
            parts = PARTS_OF[username] + ((oom,) if oom and username == "ada" else ())
            kernels |= await stack.enter_async_context(playing_kernels(server, parts))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(take, base, kernels)


def take(base: str, kernels: Mapping[str, str]) -> None:
    """Look at the pages."""
    with camera() as browser:
        for name, path, width, height, scheme in SHOTS:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                device_scale_factor=2 if width < 800 else 1,
            )
            page = context.new_page()
            page.goto(base + path.replace("LEAK", kernels["leaking-cache.ipynb"]))
            page.locator("body[data-status=live]").wait_for()
            page.locator("#kernels tbody tr, .death, canvas").first.wait_for()
            page.wait_for_timeout(1500)  # bars have come to rest
            if width > 800:
                # What is out of sight is not drawn: a picture of all needs a window for all.
                whole = page.evaluate("document.documentElement.scrollHeight")
                page.set_viewport_size({"width": width, "height": whole})
                page.wait_for_timeout(500)
            page.screenshot(path=PICTURES / f"{name}.png")
            context.close()


def main() -> int:
    """Start everybody, wait, and take the pictures; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=330, help="how long they work before")
    seconds = parser.parse_args().seconds
    if shutil.which("chromium") is None:
        print("needs chromium", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    PICTURES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jke-pictures-"))
        cgroup = stack.enter_context(small_cgroup())
        servers = {name: stack.enter_context(server_of(name)) for name in PARTS_OF}
        base = stack.enter_context(daemon(folder))
        print(f"the page: {base}/   (pictures in {seconds:g} s)", flush=True)
        asyncio.run(play_and_take(base, servers, oom_part(cgroup) if cgroup else None, seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
