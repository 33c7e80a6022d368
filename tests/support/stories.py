"""The kernels of the made-up hub: a leak, a crash loop, a broken image, an idle hog, and others."""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_kernel_exporter.deaths.record import Reason, RestartCause

GIB = 1 << 30
HOURS = 3600.0
SPEC_OF_ALL = "python3"


def flat(held: float) -> Callable[[float], float]:
    """Memory that rises at first and then stays."""
    return lambda part: held * min(1.0, 0.3 + 14 * part)


def rising(least: float, most: float) -> Callable[[float], float]:
    """Memory that rises over a whole life."""
    return lambda part: least + (most - least) * part


def stepping(least: float, most: float) -> Callable[[float], float]:
    """Memory that comes and goes with the cells, five times in a life."""
    return lambda part: least + (most - least) * (0.5 - 0.5 * math.cos(10 * math.pi * part))


@dataclass(frozen=True)
class Story:
    """A kernel that lives, ends, and begins anew, for ever."""

    username: str
    notebook: str
    host: str
    memory: Callable[[float], float]
    """Bytes, by the part of the life that has passed."""
    lives: float = 400 * HOURS
    gone: float = 0.0
    """Seconds between two lives; 0: it is restarted, and keeps its id."""
    reason: Reason = Reason.SHUTDOWN_REQUESTED
    status: str = "exit 0"
    cause: RestartCause = RestartCause.AUTOMATIC
    kernel_name: str = SPEC_OF_ALL
    limit_bytes: float = 8 * GIB
    works: float = 0.3
    """Part of the time in which it is busy."""
    processors: float = 1.0
    workers: int = 0
    worker_kills: int = 0
    """OOM-killed workers in each life."""
    memory_errors: int = 0
    """In each life."""
    at: float = 0.5
    """Which part of a life has passed at the time 0."""
    gpu_bytes: float = 0

    def lived(self, t: float) -> tuple[int, float]:
        """The number of the newest life, and how long ago it began."""
        passed = t + self.at * self.lives
        return math.floor(passed / self.every), passed % self.every

    def ended(self, t: float) -> int:
        """How many lives are over."""
        life, age = self.lived(t)
        return life + (age >= self.lives)

    @property
    def every(self) -> float:
        """From one beginning to the next."""
        return self.lives + self.gone

    def kernel_id(self, life: int) -> str:
        """A restart keeps it."""
        number = life if self.gone else 0
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.username}{self.notebook}{number}"))


STORIES = (
    Story(
        "ada",
        "churn model.ipynb",
        "hub-1",
        rising(0.6 * GIB, 7.9 * GIB),
        lives=4 * HOURS,
        reason=Reason.OOM_CGROUP,
        status="SIGKILL",
        works=0.8,
        memory_errors=2,
        at=0.78,
    ),
    Story("linus", "all the logs.ipynb", "hub-1", flat(9.6 * GIB), limit_bytes=16 * GIB, works=0),
    Story(
        "grace",
        "etl/nightly.ipynb",
        "hub-2",
        stepping(0.8 * GIB, 3.4 * GIB),
        lives=2.5 * HOURS,
        workers=4,
        worker_kills=3,
        works=0.6,
        processors=3.5,
        reason=Reason.RESTART_REQUESTED,
        cause=RestartCause.REQUESTED,
    ),
    Story(
        "marie",
        "spectra.ipynb",
        "hub-2",
        stepping(0.4 * GIB, 1.1 * GIB),
        kernel_name="ir",
        lives=5 * HOURS,
        gone=600,
        reason=Reason.CULLED,
        at=0.2,
    ),
    *(
        Story(
            name,
            f"vision/train-{name}.ipynb",
            "hub-1" if number % 2 else "hub-2",
            rising(0.3 * GIB, (1.1 + 0.2 * number) * GIB),
            kernel_name="python3-gpu",
            lives=(0.55 + 0.13 * number) * HOURS,
            reason=Reason.SEGFAULT,
            status="SIGSEGV",
            works=0.9,
            at=0.3 * number,
            gpu_bytes=2 * GIB,
        )
        for number, name in enumerate(("alan", "barbara", "edsger", "frances"))
    ),
    Story(
        "donald",
        "broken.ipynb",
        "hub-2",
        flat(0.08 * GIB),
        lives=8,
        gone=592,
        reason=Reason.STARTUP_FAILED,
        status="exit 1",
        at=0,
    ),
    Story(
        "ken",
        "fork bomb.ipynb",
        "hub-2",
        rising(0.2 * GIB, 2.6 * GIB),
        lives=0.4 * HOURS,
        limit_bytes=4 * GIB,
        reason=Reason.OOM_CGROUP,
        status="SIGKILL",
        works=0.95,
        workers=2,
        memory_errors=1,
    ),
    Story("radia", "routing.ipynb", "hub-1", stepping(0.3 * GIB, 0.9 * GIB), works=0.15),
    Story("radia", "notes.ipynb", "hub-1", flat(0.12 * GIB), works=0),
    Story(
        "john",
        "game.ipynb",
        "hub-2",
        flat(0.5 * GIB),
        lives=7 * HOURS,
        gone=1200,
        reason=Reason.EXIT_CLEAN,
        works=0.1,
        at=0.9,
    ),
    Story(
        "katherine",
        "orbit.ipynb",
        "hub-1",
        stepping(0.6 * GIB, 2.2 * GIB),
        lives=9 * HOURS,
        reason=Reason.KILLED,
        status="SIGKILL",
        at=0.7,
        processors=1.8,
    ),
    Story("margaret", "lander.ipynb", "hub-2", flat(1.4 * GIB), works=0.05, at=0.4),
)
HOSTS = tuple(sorted({story.host for story in STORIES}))
GROUPS = {
    "physics": ("marie", "katherine", "margaret"),
    "vision": ("alan", "barbara", "edsger", "frances"),
    "systems": ("linus", "ken", "radia", "donald"),
}
"""Persons by group; some are in none."""
