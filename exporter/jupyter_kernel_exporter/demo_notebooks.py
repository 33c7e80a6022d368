"""The parts that the demo's kernels play, and how one is driven through its part.

Every part is a notebook with a telling name. A kernel gets the ``setup`` cell once, then ``cell``
again and again; what it does to its memory and its processor is real.
"""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

MEGABYTE = 1_000_000
READY_WITHIN_SECONDS = 60.0
"""A kernel that is restarted on a busy machine takes its time to answer."""
PROBE_SECONDS = 1.0


class Part(NamedTuple):
    """One notebook of the demo."""

    notebook: str
    story: str
    setup: str
    cell: str
    every_seconds: float
    """Pause before each run of ``cell``."""
    rounds: int = 0
    """Runs of ``cell`` until the kernel is restarted; 0 is for ever."""


PARTS: tuple[Part, ...] = (
    Part(
        "leaking-cache.ipynb",
        "grows by 5 MB each second and is restarted at 600 MB",
        setup="cache = []",
        # Bytes that are written: zeroed pages would not become resident.
        cell=f"cache.append(b'x' * {5 * MEGABYTE})",
        every_seconds=1.0,
        rounds=120,
    ),
    Part(
        "forgotten-dataframe.ipynb",
        "holds 400 MB and has nothing to do",
        setup=f"frame = b'x' * {400 * MEGABYTE}",
        cell="len(frame)",
        every_seconds=3600.0,
    ),
    Part(
        "monte-carlo.ipynb",
        "keeps one processor busy for 20 of 25 seconds",
        setup="import random, time",
        cell="end = time.monotonic() + 20\nwhile time.monotonic() < end: random.random()",
        every_seconds=5.0,
    ),
    Part(
        "crashes-now-and-then.ipynb",
        "dies of a segmentation fault once a minute; its server restarts it",
        setup="import os, resource, signal\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        cell="os.kill(os.getpid(), signal.SIGSEGV)",
        every_seconds=60.0,
    ),
    Part(
        "tidy-report.ipynb",
        "works a little every few seconds and holds next to nothing",
        setup="import random, statistics",
        cell="statistics.fmean(random.random() for _ in range(100_000))",
        every_seconds=4.0,
    ),
)


class Client(Protocol):
    """What is used of ``jupyter_client``'s asynchronous client."""

    def execute(self, code: str, *, silent: bool, store_history: bool) -> str:
        """Send a cell; its message id comes back."""

    def kernel_info(self) -> str:
        """Ask for a sign of life; the message id comes back."""

    async def get_shell_msg(self, *, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109  # theirs
        """The next reply; :exc:`queue.Empty` where none came in so many seconds."""


async def play(part: Part, client: Client, restart: Callable[[], Awaitable[None]]) -> None:
    """Drive a kernel through its part for ever; a new process starts from the top.

    Raises :exc:`TimeoutError` where the kernel came to no answer any more.
    """
    while True:
        await _wait_until_ready(client)
        if await _run(client, part.setup) and await _play_rounds(part, client):
            await restart()


async def _play_rounds(part: Part, client: Client) -> bool:
    """Run the cell as often as the part says; ``False`` as soon as the process is gone."""
    played = 0
    while not part.rounds or played < part.rounds:
        await asyncio.sleep(part.every_seconds)
        if not await _run(client, part.cell):
            return False
        played += 1
    return True


async def _wait_until_ready(client: Client) -> None:
    async with asyncio.timeout(READY_WITHIN_SECONDS):
        while not await _next_answer(client, client.kernel_info()):
            pass


async def _run(client: Client, code: str) -> bool:
    """Run a cell to its end; ``False`` where the process went away over it.

    A process answers in the order in which it was asked. So a question that is asked after the
    cell and answered without the cell was answered by the process that came after.
    """
    cell = client.execute(code, silent=False, store_history=False)
    probes = [cell]
    while True:
        answered = await _next_answer(client, *probes)
        if answered:
            return answered == cell
        probes.append(client.kernel_info())


async def _next_answer(client: Client, *questions: str) -> str:
    """Which of the questions is answered first; empty where none is for a while."""
    while True:
        try:
            reply = await client.get_shell_msg(timeout=PROBE_SECONDS)
        except queue.Empty:
            return ""
        question = str(reply["parent_header"].get("msg_id", ""))
        if question in questions:
            return question
