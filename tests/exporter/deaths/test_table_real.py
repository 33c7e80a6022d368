"""Every way in which a kernel can end here, with real kernels of real servers: the right reason.

All cases are played at the same time, before one daemon. ``JKE_TABLE_RUNS=10`` plays the whole
table ten times in a row, ``JKE_TABLE_VARIANTS=all`` plays it before daemons that see less.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jupyter_kernel_exporter.deaths.record import Reason
from support.daemon import running_daemon
from support.deathbed import (
    Bed,
    Case,
    Outcome,
    Stage,
    barriers_for,
    everybody,
    servers_for,
)
from support.jupyter import PYTHON_ARGV, Server
from support.memory_cgroup import HOG, may_make

pytestmark = pytest.mark.real

R = Reason
RUNS = int(os.environ.get("JKE_TABLE_RUNS", "1"))
MIB = 1 << 20
LAUNCH = f"{sys.executable} -m ipykernel_launcher -f {{connection_file}}"
INSIDE = ("bash", "-c", f"{LAUNCH}; true")
"""A wrapper that lives on around the kernel."""
BEFORE = ("bash", "-c", f"exec {LAUNCH}")
"""A wrapper that becomes the kernel."""
UNSHARED = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", *PYTHON_ARGV)
IR = ("R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")
XEUS = (sys.executable, "-m", "xpython_launcher", "-f", "{connection_file}")
BASH = (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}")

SERVERS = {
    "culling": (
        "--MappingKernelManager.cull_idle_timeout=6",
        "--MappingKernelManager.cull_interval=1",
        "--KernelManager.autorestart=False",
    ),
    "ipc": ("--KernelManager.transport=ipc",),
}
"""Arguments of those that are special."""

# What goes on while somebody wants the kernel to end.
LOOP = "while True: pass"
STUBBORN = """
import time
while True:
    try:
        while True: time.sleep(0.1)
    except KeyboardInterrupt:
        pass
"""
DEADLOCK = """
import ctypes
mutex = ctypes.create_string_buffer(64)
libc = ctypes.{library}(None)
libc.pthread_mutex_lock(mutex)
libc.pthread_mutex_lock(mutex)
"""
WITHOUT_GIL = DEADLOCK.format(library="CDLL")
HOLDING_GIL = DEADLOCK.format(library="PyDLL")
IGNORING = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STUBBORN}"
CHILDREN = "import subprocess; child = subprocess.Popen(['sleep', '60'])"
WORKER = """
import multiprocessing, time
worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
worker.start()
"""

SEGFAULT = "import ctypes; ctypes.string_at(0)"
IN_A_THREAD = f"""
import threading
def crash():
    {SEGFAULT}
threading.Thread(target=crash).start()
"""
LIMITED = """
import resource
limit = int(open("/proc/self/statm").read().split()[0]) * 4096 + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
hog = bytearray(1 << 30)
"""
HOG_BESIDE = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {HOG!r}])"
SPIN = "while True: pass"


def cell(code: str) -> Callable[[Bed], None]:
    """A cell that ends the kernel."""
    return lambda bed: bed.say(code)


def sent(number: signal.Signals) -> Callable[[Bed], None]:
    """A signal from outside, that is not followed by the restarter at once as if it were asked."""

    def act(bed: Bed) -> None:
        bed.await_phase(0.3, 1.8)
        bed.send(number)

    return act


def asked(what: Callable[[Bed], None], during: str = "") -> Callable[[Bed], None]:
    """A person asks for an end, while a cell runs."""

    def act(bed: Bed) -> None:
        if during:
            bed.begin(during)
        what(bed)

    return act


def silently(what: Callable[[Bed], None], during: str = "") -> Callable[[Bed], None]:
    """The same, and the kernel says nothing of it.

    Its next process must not start when the restarter looks: one in forty does, and is taken for
    the restarter's. It starts at once, or when SIGTERM (2.5 s) or SIGKILL (5 s) has helped.
    """

    def act(bed: Bed) -> None:
        if during:
            bed.begin(during)
        bed.await_phase(1.3, 1.7)
        what(bed)

    return act


def stopped_then(what: Callable[[Bed], None]) -> Callable[[Bed], None]:
    """The kernel is stopped, as by Ctrl-Z."""

    def act(bed: Bed) -> None:
        bed.send(signal.SIGSTOP)
        what(bed)

    return act


def server_ends(how: Callable[[Server], None], during: str = "") -> Callable[[Bed], None]:
    """Something happens to the server."""

    def act(bed: Bed) -> None:
        if during:
            bed.begin(during)
        bed.end_server(how)

    return act


def change_kernel(bed: Bed) -> None:
    """As with the menu: the session is given a new kernel."""
    session = next(
        session
        for session in bed.server.ask("GET", "sessions")
        if session["kernel"]["id"] == bed.kernel_id
    )
    kernel = {"kernel": {"name": bed.kernelspec}}
    bed.ids.append(bed.server.ask("PATCH", f"sessions/{session['id']}", kernel)["kernel"]["id"])
    bed.ready()


def delete_session(bed: Bed) -> None:
    """As by closing the tab for good."""
    for session in bed.server.ask("GET", "sessions"):
        if session["kernel"]["id"] == bed.kernel_id:
            bed.server.ask("DELETE", f"sessions/{session['id']}")


def restart_twice(bed: Bed) -> None:
    """While the process in the middle starts."""
    bed.restart()
    bed.restart_again()


def restart_after_crash(bed: Bed) -> None:
    """A person is quicker than the restarter, who has just looked."""
    started = bed.await_phase(0.1, 0.3)
    bed.send(signal.SIGSEGV)
    bed.await_phase(1.2, 1.6, started)
    bed.restart()


def crash_for_ever(bed: Bed) -> None:
    """Each time that it is there again."""
    for number in range(6):
        if number:
            bed.await_deaths(number)
            bed.ready()
        bed.say(SEGFAULT)


def handle_sigterm(bed: Bed) -> None:
    """The user's code turns SIGTERM into a clean exit."""
    bed.cell("import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(0))")
    bed.send(signal.SIGTERM)


def kill_beside_a_victim(bed: Bed) -> None:
    """Linux kills a neighbour for memory, and somebody kills the kernel in the same second."""
    bed.cell(HOG_BESIDE)
    bed.await_phase(0.3, 2.6)
    bed.send(signal.SIGKILL)


def interrupt_from_outside(bed: Bed) -> None:
    """An idle kernel survives SIGINT; a busy one's cell does not."""
    bed.send(signal.SIGINT)
    bed.cell("1")
    bed.begin("import time; time.sleep(60)")
    bed.send(signal.SIGINT)
    bed.cell("1")


def nothing(_bed: Bed) -> None:
    """It goes by itself."""


TERMINATE: Callable[[Server], None] = lambda server: server.process.terminate()  # noqa: E731
KILL: Callable[[Server], None] = lambda server: server.process.kill()  # noqa: E731
TERMINATE_ALL: Callable[[Server], None] = lambda server: everybody(server, signal.SIGTERM)  # noqa: E731
KILL_ALL: Callable[[Server], None] = lambda server: everybody(server, signal.SIGKILL)  # noqa: E731

RESTART = (R.RESTART_REQUESTED,)
DELETE = (R.SHUTDOWN_REQUESTED,)

CASES = (
    # The longest first.
    Case("failed-start", nothing, (R.STARTUP_FAILED,) * 6, starts=False, gave_up=True,
         argv=(sys.executable, "-m", "no_such_launcher", "-f", "{connection_file}")),
    Case("crash-loop", crash_for_ever, (R.SEGFAULT,) * 6, 5, gave_up=True),
    # The server's end.
    Case("server-stopped", server_ends(TERMINATE), (R.SERVER_SHUTDOWN,), server="stopped"),
    Case("server-stopped-stubborn", server_ends(TERMINATE, STUBBORN), (R.SERVER_SHUTDOWN,),
         server="stopped"),
    Case("server-killed", server_ends(KILL), (R.SERVER_DIED,), server="killed"),
    Case("server-killed-busy", server_ends(KILL, LOOP), (R.SERVER_DIED,), server="killed"),
    Case("all-stopped", server_ends(TERMINATE_ALL), (R.SERVER_SHUTDOWN,), server="all stopped"),
    Case("all-killed", server_ends(KILL_ALL), (R.SERVER_DIED,), server="all killed"),
    Case("culled", nothing, DELETE, server="culling"),
    Case("killed-without-autorestart", sent(signal.SIGKILL), (R.KILLED,), server="culling"),
    # A person asks.
    Case("restart-idle", Bed.restart, RESTART, requested=1),
    Case("restart-loop", asked(Bed.restart, LOOP), RESTART, requested=1),
    Case("restart-stubborn", asked(Bed.restart, STUBBORN), RESTART, requested=1),
    Case("restart-without-gil", asked(Bed.restart, WITHOUT_GIL), RESTART, requested=1),
    Case("restart-holding-gil", silently(Bed.restart, HOLDING_GIL), RESTART, requested=1),
    Case("restart-ignoring-sigterm", asked(Bed.restart, IGNORING), RESTART, requested=1),
    Case("restart-stopped", stopped_then(Bed.restart), RESTART, requested=1),
    Case("restart-with-children", asked(Bed.restart, CHILDREN), RESTART, requested=1),
    Case("restart-twice", restart_twice, RESTART * 2, requested=2),
    Case("restart-while-starting", Bed.restart, RESTART, requested=1, starts=False),
    Case("restart-after-crash", restart_after_crash, (R.SEGFAULT,), requested=1, server="ipc"),
    Case("delete-idle", Bed.delete, DELETE),
    Case("delete-loop", asked(Bed.delete, LOOP), DELETE),
    Case("delete-stubborn", asked(Bed.delete, STUBBORN), DELETE),
    Case("delete-without-gil", asked(Bed.delete, WITHOUT_GIL), DELETE),
    Case("delete-holding-gil", asked(Bed.delete, HOLDING_GIL), DELETE),
    Case("delete-ignoring-sigterm", asked(Bed.delete, IGNORING), DELETE),
    Case("delete-stopped", stopped_then(Bed.delete), DELETE),
    Case("delete-with-children", asked(Bed.delete, CHILDREN), DELETE),
    Case("delete-session", delete_session, DELETE, notebook=True),
    Case("change-kernel", change_kernel, DELETE, notebook=True),
    # Somebody sends a signal.
    Case("sigkill", sent(signal.SIGKILL), (R.KILLED,), 1),
    Case("sigterm", sent(signal.SIGTERM), (R.TERMINATED,), 1),
    Case("sighup", sent(signal.SIGHUP), (R.TERMINATED,), 1),
    Case("sigint", interrupt_from_outside),
    Case("sigterm-handled", handle_sigterm, (R.EXIT_CLEAN,), 1),
    # It crashes.
    Case("segfault", cell(SEGFAULT), (R.SEGFAULT,), 1),
    Case("segfault-in-thread", cell(IN_A_THREAD), (R.SEGFAULT,), 1),
    Case("segfault-by-kill", sent(signal.SIGSEGV), (R.SEGFAULT,), 1),
    Case("segfault-faulthandler", cell(f"import faulthandler; faulthandler.enable()\n{SEGFAULT}"),
         (R.SEGFAULT,), 1),
    Case("abort", cell("import os; os.abort()"), (R.ABORT,), 1),
    # It exits.
    Case("exit-0", cell("import os; os._exit(0)"), (R.EXIT_CLEAN,), 1),
    Case("exit-1", cell("import os; os._exit(1)"), (R.EXIT_ERROR,), 1),
    Case("exit-137", cell("import os; os._exit(137)"), (R.EXIT_ERROR,), 1),
    Case("exit-cell", cell("exit()"), (R.EXIT_CLEAN,), 1),
    Case("exit-beside-worker", cell(f"{WORKER}import os; os._exit(7)"), (R.EXIT_ERROR,), 1),
    # It runs out of something.
    Case("oom", cell(HOG), (R.OOM_CGROUP,), 1, limit_bytes=160 * MIB),
    Case("oom-of-child", cell(HOG_BESIDE), limit_bytes=160 * MIB, worker_kills=1),
    Case("killed-beside-oom", kill_beside_a_victim, (R.KILLED,), 1, limit_bytes=160 * MIB,
         worker_kills=1),
    Case("rlimit-as", cell(LIMITED), memory_errors=1),
    Case("rlimit-cpu-soft", cell(SPIN), (R.FATAL_SIGNAL,), 1,
         argv=("bash", "-c", f"ulimit -S -t 4; exec {LAUNCH}")),
    Case("rlimit-cpu-hard", cell(SPIN), (R.FATAL_SIGNAL,), 1,
         argv=("bash", "-c", f"ulimit -t 4; exec {LAUNCH}")),
    # A shell is around it, or was.
    Case("inside-segfault", cell(SEGFAULT), (R.SEGFAULT,), 1, argv=INSIDE),
    Case("inside-sigkill", sent(signal.SIGKILL), (R.KILLED,), 1, argv=INSIDE),
    Case("inside-restart", Bed.restart, RESTART, requested=1, argv=INSIDE),
    Case("inside-delete", Bed.delete, DELETE, argv=INSIDE),
    Case("before-sigkill", sent(signal.SIGKILL), (R.KILLED,), 1, argv=BEFORE),
    Case("before-restart", Bed.restart, RESTART, requested=1, argv=BEFORE),
    # A container is around it.
    Case("unshared-segfault", cell(SEGFAULT), (R.SEGFAULT,), 1, argv=UNSHARED),
    Case("unshared-restart", silently(Bed.restart), RESTART, requested=1, argv=UNSHARED),
    # Unix sockets.
    Case("ipc-restart", Bed.restart, RESTART, requested=1, server="ipc"),
    Case("ipc-segfault", cell(SEGFAULT), (R.SEGFAULT,), 1, server="ipc"),
    # Other kernels.
    Case("ir-restart", silently(Bed.restart), RESTART, requested=1, argv=IR, language="R"),
    Case("ir-delete", Bed.delete, DELETE, argv=IR, language="R"),
    Case("ir-sigkill", sent(signal.SIGKILL), (R.KILLED,), 1, argv=IR, language="R"),
    Case("xeus-restart", silently(Bed.restart), RESTART, requested=1, argv=XEUS),
    Case("xeus-delete", Bed.delete, DELETE, argv=XEUS),
    # Its own handler turns it into an exit.
    Case("xeus-segfault", cell(SEGFAULT), (R.EXIT_ERROR,), 1, argv=XEUS),
    Case("bash-restart", Bed.restart, RESTART, requested=1, argv=BASH, language="bash"),
    Case("bash-delete", Bed.delete, DELETE, argv=BASH, language="bash"),
    Case("bash-sigkill", sent(signal.SIGKILL), (R.KILLED,), 1, argv=BASH, language="bash"),
)  # fmt: skip


def possible(case: Case) -> bool:
    """Whether it can be made here."""
    return not (
        (case.argv == UNSHARED and os.geteuid() != 0)
        or (case.language == "R" and not shutil.which("R"))
        or (case.limit_bytes and not may_make())
    )


@dataclass(frozen=True)
class Variant:
    """How little the daemon may see."""

    name: str
    arguments: tuple[str, ...] = ()
    as_nobody: bool = False
    only: tuple[str, ...] = ()
    """A handful of cases; empty: all."""

    @property
    def sees_starts(self) -> bool:
        """Whether a process that ends in the second of its start is seen."""
        return "--no-source.process_events" not in self.arguments


NO_LOG = ("--no-source.kmsg", "--no-source.process_events")
REPRESENTATIVE = (
    "all-killed", "server-stopped", "restart-idle", "restart-twice", "delete-idle", "sigkill",
    "segfault", "exit-1", "exit-cell", "oom", "killed-beside-oom", "inside-segfault", "xeus-delete",
)  # fmt: skip
VARIANTS = (
    Variant("no-log-no-events", NO_LOG),
    Variant("no-iopub", ("--no-source.iopub",)),
    Variant("scans-only", (*NO_LOG, "--no-source.pidfd")),
    Variant("nobody", as_nobody=True),
    Variant("nobody-scans-only", (*NO_LOG, "--no-source.pidfd"), as_nobody=True),
)
ALL_VARIANTS = os.environ.get("JKE_TABLE_VARIANTS") == "all"
REDUCED = VARIANTS if ALL_VARIANTS else (replace(VARIANTS[-2], only=REPRESENTATIVE),)


@contextlib.contextmanager
def played(cases: list[Case], *arguments: str, as_nobody: bool = False) -> Iterator[Stage]:
    """A stage for the cases, before a daemon that was started with these arguments."""
    with contextlib.ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="jke-table-"))
        stack.callback(shutil.rmtree, home)
        home.chmod(0o755)
        state = home / "state"
        state.mkdir(mode=0o700)
        if as_nobody:
            os.chown(state, 65534, 65534)
        servers, names, cgroups = stack.enter_context(servers_for(home, cases, SERVERS))
        runtime = [f"--runtime-dir={server.folders.runtime}" for server in servers.values()]
        daemon = stack.enter_context(
            running_daemon(home, f"--state-dir={state}", *runtime, *arguments, as_nobody=as_nobody)
        )
        hears = not as_nobody and "--no-source.iopub" not in arguments
        yield Stage(home, daemon, servers, barriers_for(cases), names, cgroups, hears)


@pytest.fixture(scope="module", params=range(RUNS))
def outcomes() -> dict[str, Outcome]:
    """The whole table, played once."""
    cases = [case for case in CASES if possible(case)]
    with played(cases) as stage:
        return stage.play(cases)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_right_reason_for_every_end(outcomes: dict[str, Outcome], case: Case) -> None:
    """Each end once, with its reason, everywhere where it is told; and each restart."""
    if not possible(case):
        pytest.skip("cannot be made here")
    outcome = outcomes[case.name]
    assert not outcome.trouble
    assert tuple(death["reason"] for death in outcome.deaths) == outcome.expected, outcome.deaths
    assert outcome.counted == Counter(reason.value for reason in outcome.expected)
    assert outcome.shown == (outcome.expected[-1] if outcome.expected else "")
    if not case.gave_up:
        assert outcome.restarts == (case.automatic, case.requested)
    assert outcome.worker_kills == case.worker_kills
    assert outcome.memory_errors == case.memory_errors
    assert outcome.gave_up == case.gave_up


# What may be said in place of a reason by one who sees less, if it is said to be uncertain.
REQUESTED = {R.RESTART_REQUESTED, R.SHUTDOWN_REQUESTED, R.SERVER_SHUTDOWN, R.EXIT_CLEAN}
BY_SIGNAL = {R.KILLED, R.TERMINATED, *REQUESTED}
WEAKER: dict[Reason, set[Reason]] = {
    R.OOM_CGROUP: {R.OOM_SUSPECTED, R.KILLED},
    R.KILLED: {R.OOM_SUSPECTED, *REQUESTED},
    R.TERMINATED: REQUESTED,
    R.RESTART_REQUESTED: BY_SIGNAL | {R.STARTUP_FAILED, R.EXIT_ERROR},
    R.SHUTDOWN_REQUESTED: BY_SIGNAL | {R.STARTUP_FAILED, R.EXIT_ERROR},
    R.SERVER_SHUTDOWN: {*BY_SIGNAL, R.SERVER_DIED},
    R.SERVER_DIED: {*BY_SIGNAL, R.EXIT_ERROR},
    R.EXIT_CLEAN: REQUESTED,
    R.EXIT_ERROR: {R.STARTUP_FAILED, *REQUESTED},
    R.STARTUP_FAILED: {R.EXIT_ERROR, *REQUESTED},
    R.FATAL_SIGNAL: {R.KILLED},
}


@pytest.fixture(scope="module", params=REDUCED, ids=lambda variant: variant.name)
def reduced(request: pytest.FixtureRequest) -> tuple[Variant, dict[str, Outcome]]:
    """The table before a daemon that sees less."""
    variant: Variant = request.param
    cases = [
        case for case in CASES if possible(case) and case.name in (variant.only or (case.name,))
    ]
    barred = [] if variant.sees_starts else ["failed-start"]
    cases = [case for case in cases if case.name not in barred]
    with played(cases, *variant.arguments, as_nobody=variant.as_nobody) as stage:
        stage.sees_all = False
        return variant, stage.play(cases)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_right_or_honestly_weaker(reduced: tuple[Variant, dict[str, Outcome]], case: Case) -> None:
    """Who sees less says the same, or something weaker, and that it is not certain."""
    variant, outcomes = reduced
    outcome = outcomes.get(case.name)
    if outcome is None:
        pytest.skip("not played")
    told = [(R(death["reason"]), death["certain"]) for death in outcome.deaths]
    if variant.sees_starts:
        assert len(told) == len(outcome.expected), outcome.deaths
    left = list(outcome.expected)
    for reason, certain in told:
        # Who sees no starts misses a process that lives for less than a second.
        while left and not honest(reason, left[0], certain=certain) and not variant.sees_starts:
            left.pop(0)
        assert left, outcome.deaths
        assert honest(reason, left.pop(0), certain=certain), outcome.deaths


def honest(reason: R, expected: R, *, certain: bool) -> bool:
    """Whether one may be said in place of the other."""
    return reason is expected or (not certain and reason in {R.UNKNOWN, *WEAKER.get(expected, ())})
