"""Many kernels that end at once, each in a way of its own, and what the daemon says of each.

    stage = Stage(home, daemon, servers)
    outcomes = stage.play(cases)

Each case has a kernelspec of its own, named after it, so that counters with that name are its own.
"""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from jupyter_kernel_exporter.deaths.record import Reason
from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS, read_stat
from support.daemon import Daemon
from support.jupyter import PYTHON_ARGV, Server, kernelspec, running_server, wait_until
from support.memory_cgroup import memory_cgroup
from support.shell import answers, ask, tell

AT_A_TIME = 16
"""Kernels on two cores that others use as well."""
STARTS_AT_A_TIME = 3
PERIOD_SECONDS = 3.0
"""Jupyter's restarter looks so often after a kernel, counted from the kernel's start."""
END_SECONDS = 60.0
"""No end takes longer to be explained, on a busy machine."""
LATE_SECONDS = 2.0
"""How long to look for deaths too many, when all that were expected are there."""

_NUMBER = itertools.count()


@dataclass(frozen=True)
class Case:
    """How a kernel ends, and what is to be said of it."""

    name: str
    act: "Callable[[Bed], None]"
    """What happens; mostly to a kernel that is ready."""
    ends: tuple[Reason, ...] = ()
    """The reasons of all ends that it brings about, in order."""
    automatic: int = 0
    """Restarts by the restarter, that a living kernel shows."""
    requested: int = 0
    """Restarts by a person."""
    argv: Sequence[str] = PYTHON_ARGV
    language: str = "python"
    server: str = "main"
    notebook: bool = False
    """Whether it belongs to a session."""
    limit_bytes: int = 0
    """Of the memory cgroup that it lives in; 0: none."""
    starts: bool = True
    """Whether it answers before anything happens."""
    memory_errors: int = 0
    worker_kills: int = 0
    gave_up: bool = False
    """Whether the restarter gives it up in the end."""


@dataclass
class Outcome:
    """What the daemon said of a case."""

    deaths: list[dict[str, Any]]
    """Oldest first, as the API has them."""
    restarts: tuple[int, int]
    """Automatic and requested."""
    expected: tuple[Reason, ...]
    """Of the case, and of the tidying up after it."""
    counted: Mapping[str, int]
    """By reason: counters that are not 0."""
    shown: str
    """The reason of the last death on /metrics; empty if there is none."""
    memory_errors: int = 0
    worker_kills: int = 0
    gave_up: bool = False
    trouble: str = ""
    """What went wrong with the case itself."""


@dataclass(eq=False)
class Bed:
    """One kernel of a case."""

    stage: "Stage"
    case: Case
    kernelspec: str
    server: Server
    cgroup: Path | None = None
    ids: list[str] = field(default_factory=list)
    """Of the kernel; more than one if the session was given another."""

    @property
    def kernel_id(self) -> str:
        """Id of the present kernel."""
        return self.ids[-1]

    @property
    def file(self) -> Path:
        """Its connection file."""
        return self.server.connection_file(self.kernel_id)

    @property
    def pid(self) -> int:
        """Of the kernel's process, as the daemon has it."""
        return int(self._seen()["pid"])

    def ready(self) -> None:
        """Wait until the kernel answers, and the daemon has seen and heard it."""
        answers(self.file)

        def seen() -> bool:
            kernel = self.stage.kernels.get(self.kernel_id)
            if kernel is None or kernel["state"] == "starting":
                return False
            if not psutil.pid_exists(kernel["pid"]) or self._is_dead(kernel["pid"]):
                return False
            heard = kernel["errors_total"]["memory_error"] is not None
            return heard or not self.stage.hears

        wait_until(seen, f"{self.case.name}: the daemon knows the kernel")

    def cell(self, code: str) -> None:
        """Run code and wait for its end."""
        ask(self.file, code)

    def begin(self, code: str) -> None:
        """Run Python code that may never end; returns when it has begun."""
        marker = self.stage.home / f"begun-{next(_NUMBER)}"
        self.say(f"open({str(marker)!r}, 'w').close()\n{code}")
        wait_until(marker.exists, f"{self.case.name}: the cell begins")

    def say(self, code: str) -> None:
        """Run code, and do not wait."""
        tell(self.file, code)

    def send(self, number: int) -> None:
        """A signal from outside."""
        os.kill(self.pid, number)

    def restart(self) -> None:
        """As a person does."""
        self.server.restart_kernel(self.kernel_id)

    def restart_again(self) -> None:
        """As soon as the process of the restart before runs its own program."""

        def runs() -> bool:
            for process in psutil.Process(self.server.pid).children():
                with contextlib.suppress(psutil.Error):
                    if self.kernel_id in " ".join(process.cmdline()):
                        return True
            return False

        wait_until(runs, "the next process", every=0.01)
        self.restart()

    def delete(self) -> None:
        """As a person does."""
        self.server.shut_down_kernel(self.kernel_id)

    def deaths(self) -> list[dict[str, Any]]:
        """Those that are told so far, oldest first."""
        ids = set(self.ids)
        return [death for death in self.stage.deaths if death["kernel_id"] in ids]

    def await_deaths(self, number: int) -> None:
        """Wait until so many are told."""
        wait_until(
            lambda: len(self.deaths()) >= number,
            f"{self.case.name}: {number} deaths; there are {self.deaths()}",
            within=END_SECONDS,
        )

    def await_phase(self, earliest: float, latest: float, started: float | None = None) -> float:
        """Wait for a moment so many seconds after the restarter's look; the kernel's start."""
        begin = _start_of(self.pid) if started is None else started

        def is_now() -> bool:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            return earliest <= (now - begin) % PERIOD_SECONDS <= latest

        wait_until(is_now, "the moment", every=0.02)
        return begin

    def end_server(self, how: Callable[[Server], None]) -> None:
        """Do something to the server, when all cases that it has are ready for it."""
        if self.stage.barriers[self.case.server].wait(60.0) == 0:
            how(self.server)

    def _seen(self) -> dict[str, Any]:
        return wait_until(
            lambda: self.stage.kernels.get(self.kernel_id), f"{self.case.name} is seen"
        )

    @staticmethod
    def _is_dead(pid: int) -> bool:
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        return True


@dataclass(eq=False)
class Stage:
    """The servers, the daemon, and what it says, asked again and again."""

    home: Path
    daemon: Daemon
    servers: Mapping[str, Server]
    barriers: Mapping[str, threading.Barrier]
    names: Mapping[str, str]
    """Kernelspecs of the cases."""
    cgroups: Mapping[str, Path]
    hears: bool
    """Whether the daemon listens to kernels."""
    sees_all: bool = True
    """Whether it has all its sources, and so misses neither a start nor a restart."""
    since: float = field(default_factory=time.time)
    kernels: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: those alive."""
    restarts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By id: the newest that was seen, also of those that are gone."""
    deaths: list[dict[str, Any]] = field(default_factory=list)
    starts: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(STARTS_AT_A_TIME)
    )

    def play(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Play all cases, some at a time, and look what is said of them in the end."""
        with self._looking(), ThreadPoolExecutor(AT_A_TIME) as pool:
            played = dict(zip(cases, pool.map(self._play, cases), strict=True))
            time.sleep(LATE_SECONDS)
        return {case.name: self._outcome(*played[case]) for case in cases}

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        stop = threading.Event()

        def look_for_ever() -> None:
            while not stop.wait(0.4):
                self._look()

        looker = threading.Thread(target=look_for_ever)
        looker.start()
        try:
            yield
        finally:
            stop.set()
            looker.join()
            self._look()

    def _look(self) -> None:
        asked = {"since": str(self.since), "limit": "10000"}
        deaths = self.daemon.http.get("/api/v1/deaths", params=asked).json()["deaths"]
        kernels = self.daemon.http.get("/api/v1/kernels").json()["kernels"]
        self.deaths = deaths[::-1]
        self.kernels = {kernel["kernel_id"]: kernel for kernel in kernels}
        for kernel_id, kernel in self.kernels.items():
            seen = kernel["restarts_total"]
            self.restarts[kernel_id] = (seen["automatic"], seen["requested"])

    def _play(self, case: Case) -> tuple[Bed, tuple[Reason, ...], int, str]:
        name = self.names[case.name]
        bed = Bed(self, case, name, self.servers[case.server], self.cgroups.get(case.name))
        expected, errors = case.ends, 0
        try:
            with self.starts:
                notebook = f"{case.name}.ipynb" if case.notebook else None
                bed.ids.append(bed.server.start_kernel(name, notebook))
                if case.starts:
                    bed.ready()
            case.act(bed)
            bed.await_deaths(len(case.ends) if self.sees_all else min(1, len(case.ends)))
            wanted = (case.automatic, case.requested)
            if case.gave_up:
                if self.sees_all:
                    wait_until(lambda: self._gave_up(bed), f"{case.name} is given up", every=0.5)
                return bed, expected, errors, ""
            if any(wanted):
                bed.ready()
            if self.sees_all:
                wait_until(
                    lambda: self.restarts.get(bed.kernel_id, (0, 0)) == wanted,
                    f"{case.name}: restarts; seen {self.restarts.get(bed.kernel_id)}",
                    within=END_SECONDS,
                )
            if self._lives(bed):
                if case.memory_errors and self.hears:
                    wait_until(lambda: self._memory_errors(bed), "the error", within=5.0)
                errors = self._memory_errors(bed)
                expected = (*expected, Reason.SHUTDOWN_REQUESTED)
                bed.ready()
                before = len(bed.deaths())
                bed.delete()
                bed.await_deaths(len(expected) if self.sees_all else before + 1)
        except (AssertionError, OSError, httpx.HTTPError, threading.BrokenBarrierError) as error:
            return bed, expected, errors, f"{type(error).__name__}: {error}\n{self._story(bed)}"
        return bed, expected, errors, ""

    def _lives(self, bed: Bed) -> bool:
        if bed.kernel_id not in self.kernels:
            return False
        with contextlib.suppress(httpx.TransportError):  # the server has ended, too
            answer = bed.server.http.get(f"/api/kernels/{bed.kernel_id}")
            return answer.status_code == 200
        return False

    def _story(self, bed: Bed) -> str:
        """What the logs say of a case in which something went wrong."""
        logs = (bed.server.log, self.daemon.log)
        lines = [line for log in logs for line in log.splitlines()]
        return "\n".join(line for line in lines if any(name in line for name in bed.ids))

    def _gave_up(self, bed: Bed) -> bool:
        series = self.daemon.series("jupyter_kernel_gave_up_timestamp_seconds")
        return any(f'kernel_id="{bed.kernel_id}"' in labels for labels in series)

    def _memory_errors(self, bed: Bed) -> int:
        kernel = self.kernels.get(bed.kernel_id)
        return int(kernel["errors_total"]["memory_error"] or 0) if kernel else 0

    def _outcome(
        self, bed: Bed, expected: tuple[Reason, ...], errors: int, trouble: str
    ) -> Outcome:
        def reasons(name: str, of: str) -> dict[str, int]:
            return {
                labels.partition('reason="')[2].partition('"')[0]: int(value)
                for labels, value in series[name].items()
                if of in labels and value
            }

        series = {
            name: self.daemon.series(name)
            for name in (
                "jupyter_kernel_deaths_total",
                "jupyter_kernel_last_death_timestamp_seconds",
                "jupyter_kernel_worker_oom_kills_total",
            )
        }
        own = f'kernel_name="{bed.kernelspec}"'
        ident = f'kernel_id="{bed.ids[-1] if bed.ids else "none"}"'
        shown = reasons("jupyter_kernel_last_death_timestamp_seconds", ident)
        return Outcome(
            deaths=bed.deaths(),
            restarts=self.restarts.get(bed.ids[-1] if bed.ids else "", (0, 0)),
            expected=expected,
            counted=reasons("jupyter_kernel_deaths_total", own),
            shown=next(iter(shown), ""),
            memory_errors=errors,
            worker_kills=sum(reasons("jupyter_kernel_worker_oom_kills_total", own).values()),
            gave_up=bool(bed.ids) and self._gave_up(bed),
            trouble=trouble,
        )


def _start_of(pid: int) -> float:
    """Seconds since boot. The time of the day would be a second off: /proc/stat rounds the boot."""
    stat = read_stat("/proc", pid)
    assert stat is not None
    return stat.start_ticks / CLOCK_TICKS


@contextlib.contextmanager
def servers_for(
    home: Path, cases: Sequence[Case], arguments: Mapping[str, Sequence[str]]
) -> Iterator[tuple[dict[str, Server], dict[str, str], dict[str, Path]]]:
    """The servers that the cases need, with their kernelspecs; names of these, and cgroups."""
    mark = f"{os.getpid()}-{next(_NUMBER)}"
    names = {case.name: f"{case.name}-{mark}" for case in cases}
    with contextlib.ExitStack() as stack:
        cgroups = {
            case.name: stack.enter_context(memory_cgroup(case.limit_bytes))
            for case in cases
            if case.limit_bytes
        }
        specs: dict[str, dict[str, dict[str, object]]] = {}
        for case in cases:
            argv = case.argv
            if case.name in cgroups:
                join = f"echo $$ > {cgroups[case.name]}/cgroup.procs"
                argv = ["bash", "-c", f'{join} && exec "$@"', "join", *argv]
            spec = kernelspec(argv, case.language)
            specs.setdefault(case.server, {})[names[case.name]] = spec
        # At each start of a server jsonschema would have a grammar of IRIs built, which takes
        # seconds of CPU; it does without where that is missing, and so do we.
        missing = home / "missing"
        missing.mkdir()
        (missing / "rfc3987_syntax.py").write_text("raise ImportError\n")
        servers: dict[str, Server] = {}

        def start(name: str) -> None:
            folder = home / name
            folder.mkdir(mode=0o700)  # as homes are
            servers[name] = stack.enter_context(
                running_server(
                    folder,
                    kernelspecs=specs[name],
                    environ={"PYTHONPATH": str(missing)},
                    arguments=arguments.get(name, ()),
                )
            )

        with ThreadPoolExecutor() as pool:
            list(pool.map(start, specs))
        yield servers, names, cgroups


def barriers_for(cases: Sequence[Case]) -> dict[str, threading.Barrier]:
    """One for each server: passed when all its cases are there."""
    servers = [case.server for case in cases]
    return {name: threading.Barrier(servers.count(name)) for name in set(servers)}


def everybody(server: Server, number: signal.Signals) -> None:
    """Send a signal to a server and to all that descends from it, at once."""
    for process in server.folders.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
