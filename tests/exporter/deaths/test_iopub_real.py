"""Real kernels of a real server are heard, and nothing about them changes by it."""

import contextlib
import json
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager

from jupyter_kernel_exporter.deaths.heard import (
    CellError,
    Connected,
    Disconnected,
    ExitCellSeen,
    SessionChanged,
    ShutdownAnnounced,
    StateChanged,
)
from jupyter_kernel_exporter.deaths.lines import Connection
from jupyter_kernel_exporter.model import State
from support.jupyter import Server, client_of, running_server, wait_until
from support.listening import Listening, listening

pytestmark = pytest.mark.real


@pytest.fixture
def iopub() -> Iterator[Listening]:
    """A listening Iopub."""
    with listening() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of this file."""
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


def connection_of(server: Server, kernel_id: str) -> Connection:
    """As the connection file has it."""
    file = json.loads(server.connection_file(kernel_id).read_text())
    scheme = file["signature_scheme"]
    return Connection(file["ip"], file["iopub_port"], "tcp", file["key"].encode(), scheme)


def model_of(server: Server, kernel_id: str) -> dict[str, Any]:
    """What the server says of a kernel, without being kept awake by the question."""
    answer: dict[str, Any] = server.ask("GET", f"kernels/{kernel_id}?no_track_activity=1")
    return answer


def started(server: Server, name: str = "python3") -> str:
    """A kernel that has answered once, so that its server calls it idle."""
    kernel_id = server.start_kernel(name)

    def is_idle() -> bool:
        # A server that listens later than it was answered has to hear another answer.
        answered(server, kernel_id)
        return bool(model_of(server, kernel_id)["execution_state"] == "idle")

    wait_until(is_idle, "it is idle", every=0.5)
    return kernel_id


def answered(server: Server, kernel_id: str) -> None:
    """Wait until a kernel answers."""

    def answers() -> bool:
        # IRkernel is deaf to heartbeats for a while, which a client takes for its death.
        with (
            contextlib.suppress(RuntimeError),
            client_of(server.connection_file(kernel_id)),
        ):
            return True
        return False

    wait_until(answers, "the kernel answers")


def run(server: Server, kernel_id: str, code: str) -> None:
    """Run a cell to its end, whatever comes of it."""
    with client_of(server.connection_file(kernel_id)) as client:
        client.execute_interactive(code, timeout=60, output_hook=lambda _: None)


def test_cells_are_heard(server: Server, iopub: Listening) -> None:
    """Busy and idle, errors of both kinds, and the cell that ends the kernel."""
    kernel_id = started(server)
    iopub.watch("k", connection_of(server, kernel_id))
    iopub.next(Connected)
    run(server, kernel_id, "import time; time.sleep(0.3)")
    assert iopub.next(StateChanged).state is State.BUSY
    assert iopub.next(StateChanged).state is State.IDLE
    run(server, kernel_id, "bytearray(1 << 62)")
    assert iopub.next(CellError).memory_error
    run(server, kernel_id, "1 / 0")
    assert not iopub.next(CellError).memory_error
    facts = iopub.heard()
    assert facts.busy_seconds is not None
    assert 0.3 <= facts.busy_seconds < 5
    assert (facts.memory_errors, facts.other_errors, facts.sessions) == (1, 1, 1)
    assert (facts.malformed, facts.bad_signatures) == (0, 0)
    with client_of(server.connection_file(kernel_id)) as client:
        client.execute("exit()")
        iopub.next(ExitCellSeen)
        iopub.next(Disconnected)
    assert iopub.heard().exit_cell
    assert iopub.heard().shutdowns == ()
    server.shut_down_kernel(kernel_id)


def test_restart_and_shutdown_are_heard(server: Server, iopub: Listening) -> None:
    """With the flag that tells them apart, the restart with a new session after it."""
    kernel_id = started(server)
    iopub.watch("k", connection_of(server, kernel_id))
    iopub.next(Connected)
    run(server, kernel_id, "1")
    server.restart_kernel(kernel_id)
    announced = iopub.next(ShutdownAnnounced)
    assert announced.restart
    assert announced.session
    # What the new kernel says before the line is back is not heard; then it is made to speak.
    iopub.next(Disconnected)
    iopub.next(Connected)
    run(server, kernel_id, "1")
    assert iopub.next(SessionChanged).before == announced.session
    server.shut_down_kernel(kernel_id)
    assert not iopub.next(ShutdownAnnounced).restart
    iopub.next(Disconnected)
    assert [s.restart for s in iopub.heard().shutdowns] == [None, True, None, False]


def test_another_key_hears_nothing(server: Server, iopub: Listening) -> None:
    """What is not signed with the key of the file is not believed."""
    kernel_id = started(server)
    right = connection_of(server, kernel_id)
    iopub.watch("k", Connection(right.ip, right.iopub_port, "tcp", b"another key"))
    iopub.next(Connected)
    run(server, kernel_id, "1 / 0")
    server.shut_down_kernel(kernel_id)
    iopub.next(Disconnected)
    facts = iopub.heard()
    assert facts.bad_signatures >= 5
    assert (facts.ever, facts.state, facts.shutdowns) == (False, State.UNKNOWN, ())


@pytest.mark.parametrize(
    ("name", "failing"), [("xpython", "raise MemoryError()"), ("ir", "stop('x')")]
)
def test_other_kernels_are_heard(server: Server, iopub: Listening, name: str, failing: str) -> None:
    """Kernels in C++ and R, each with its own idea of a header."""
    if name not in KernelSpecManager().find_kernel_specs():
        pytest.skip(f"no kernel {name}")
    kernel_id = started(server, name)
    iopub.watch("k", connection_of(server, kernel_id))
    iopub.next(Connected)
    run(server, kernel_id, "1 + 1")
    assert iopub.next(StateChanged).state is State.BUSY
    assert iopub.next(StateChanged).state is State.IDLE
    run(server, kernel_id, failing)
    assert iopub.next(CellError).memory_error is (name == "xpython")
    server.restart_kernel(kernel_id)
    iopub.next(Disconnected)
    iopub.next(Connected)
    answered(server, kernel_id)
    run(server, kernel_id, "1 + 1")
    facts = iopub.heard_when(lambda f: f.state is State.IDLE)
    assert (facts.malformed, facts.bad_signatures) == (0, 0)
    assert facts.sessions == (0 if name == "ir" else 2)
    server.shut_down_kernel(kernel_id)


@pytest.mark.patient
def test_an_idle_kernel_stays_as_it_was(server: Server, iopub: Listening) -> None:
    """Neither its last activity moves nor its connections, when a line comes, stays and goes."""
    kernel_id = started(server)
    time.sleep(1)
    before = model_of(server, kernel_id)
    assert before["connections"] == 0
    for watched_seconds in (9, 1, 1):
        iopub.watch("k", connection_of(server, kernel_id))
        iopub.next(Connected)
        time.sleep(watched_seconds)
        assert model_of(server, kernel_id) == before
        iopub.forget("k")
    assert model_of(server, kernel_id) == before
    server.shut_down_kernel(kernel_id)


@pytest.mark.patient
def test_the_culler_culls_on_time(tmp_path: Path, iopub: Listening) -> None:
    """A kernel that is listened to is culled together with one that is not."""
    culling = (
        "--MappingKernelManager.cull_idle_timeout=3",
        "--MappingKernelManager.cull_interval=1",
    )
    with running_server(tmp_path, arguments=culling) as server:
        heard, alone = started(server), started(server)
        iopub.watch("k", connection_of(server, heard))
        iopub.next(Connected)
        ended: dict[str, float] = {}

        def both_are_gone() -> bool:
            for kernel_id in {heard, alone} - set(server.kernels()):
                ended.setdefault(kernel_id, time.monotonic())
            return len(ended) == 2

        begun = time.monotonic()
        wait_until(both_are_gone, "both are culled", within=20)
        assert not iopub.next(ShutdownAnnounced).restart
        assert ended[heard] - begun < 3 + 1 + 2
        # The culler looks once a second, and the kernels began within a second or two.
        assert abs(ended[heard] - ended[alone]) < 2.5


PRINTING = """
import sys, time
piece = "x" * 999_999 + chr(10)
begun = time.perf_counter()
for number in range(1, 21):
    for _ in range(10):
        sys.stdout.write(piece)
    sys.stdout.flush()
    time.sleep(max(0, begun + number / 10 - time.perf_counter()))
seconds = time.perf_counter() - begun
"""


def seconds_to_print(client: BlockingKernelClient) -> float:
    """How long a kernel takes for 200 MB at 100 MB a second, by its own clock."""
    client.execute(PRINTING, user_expressions={"seconds": "seconds"})
    reply = client.get_shell_msg(timeout=60)["content"]["user_expressions"]
    return float(reply["seconds"]["data"]["text/plain"])


def resident_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_100_mb_a_second(server: Server, iopub: Listening) -> None:
    """A kernel that prints as much is not slowed, and memory here does not grow."""
    kernel_id = started(server)
    client = BlockingKernelClient(connection_file=str(server.connection_file(kernel_id)))
    client.load_connection_file()
    client.start_channels(iopub=False, stdin=False, hb=False)
    times: dict[bool, list[float]] = {True: [], False: []}
    memory = []
    try:
        seconds_to_print(client)
        before = resident_bytes()
        for watched in (True, False, False, True, True, False):
            if watched:
                iopub.watch("k", connection_of(server, kernel_id))
                iopub.next(Connected)
            times[watched].append(seconds_to_print(client))
            memory.append(resident_bytes())
            if watched:
                assert iopub.heard().messages >= 20
                iopub.forget("k")
    finally:
        client.stop_channels()
        client.context.term()
    alone, heard = statistics.median(times[False]), statistics.median(times[True])
    # It prints for two seconds. A machine that lets it wait for more has others to serve as well.
    assert heard / alone < (1.05 if alone < 2.2 else 1.5)
    assert max(memory) - before < 20 << 20
    server.shut_down_kernel(kernel_id)
