"""The parts of the benchmark that decide: what is read out of answers, and what is a miss."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

import bench
import bench_exporters
from bench_kernels import Fleet, connection_text, cpu_seconds, free_ports
from bench_table import Row, Verdict, fraction, growth, number, render

OURS = """\
# HELP jupyter_kernel_info Facts.
jupyter_kernel_info{container="",kernel_id="a-1",kernel_name="python3",username="ann"} 1.0
jupyter_kernel_info{container="",kernel_id="b-2",kernel_name="ir",username="bob"} 1.0
jupyter_kernel_threads{kernel_id="c-3",username="bob"} 5.0
jupyter_kernel_exporter_sample_duration_seconds 0.0125
"""
PEER = """\
namedprocess_namegroup_num_procs{groupname="a-1"} 1
namedprocess_namegroup_num_procs{groupname="b-2"} 2
namedprocess_namegroup_num_threads{groupname="b-2"} 9
"""


def test_finds_the_kernels_that_our_metrics_show() -> None:
    """Only info series count, whatever the order of the labels."""
    assert bench_exporters.kernels_of_ours(OURS) == {"a-1", "b-2"}


def test_finds_how_long_our_tick_took() -> None:
    """The daemon's own word, seconds."""
    assert bench_exporters.sample_seconds(OURS) == 0.0125


def test_counts_the_processes_that_process_exporter_shows() -> None:
    """All groups together."""
    assert bench_exporters.processes_of_process_exporter(PEER) == 3
    assert bench_exporters.processes_of_process_exporter("") == 0


def test_reads_memory_out_of_a_status() -> None:
    """Resident memory now and at its peak, in bytes."""
    status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  200 kB\nVmRSS:\t  100 kB\nRssAnon:\t 7 kB\n"
    assert bench_exporters.parse_memory(status) == (100 << 10, 200 << 10)


def test_process_exporter_is_told_to_look_at_the_kernels_alone() -> None:
    """A group for each connection file in the directory, which is given as an expression."""
    config = bench_exporters.PROCESS_EXPORTER_CONFIG.format(
        name=bench_exporters.GROUP_NAMES["kernel"], runtime_dir=r"/tmp/a\.b"
    )
    assert 'name: "{{.Matches.kernel}}"' in config
    assert r"'/tmp/a\.b/kernel-(?P<kernel>[0-9a-f-]+)\.json'" in config


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("s", "no promise", "ms", 1.0, 2.0), Verdict.NONE),
        (Row("s", "just kept", "ms", 1.0, 20.0, most_ratio=1 / 20), Verdict.PASS),
        (Row("s", "just missed", "ms", 1.01, 20.0, most_ratio=1 / 20), Verdict.MISS),
        (Row("s", "nothing to compare with", "ms", 1.0, None, most_ratio=1 / 20), Verdict.MISS),
        (Row("s", "memory kept", "MiB", 79 << 20, 9 << 20, most=80), Verdict.PASS),
        (Row("s", "memory missed", "MiB", 81 << 20, 900 << 20, most=80), Verdict.MISS),
        (Row("s", "a plain number", "", 1.6, most=1.5), Verdict.MISS),
    ],
    ids=lambda value: value.measure if isinstance(value, Row) else "",
)
def test_judges_a_row(row: Row, verdict: Verdict) -> None:
    """A promise is a share of the peer's, or a number in the row's unit, or not made."""
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([(100, 5.0), (300, 7.0), (1000, 14.0)], 1.0),
        ([(100, 1.0), (300, 9.0), (1000, 100.0)], 3.25),
    ],
    ids=["linear, with a fixed cost", "each with each"],
)
def test_growth_tells_a_line_from_a_square(costs: list[tuple[int, float]], expected: float) -> None:
    """Fixed costs fall out."""
    assert growth(costs) == pytest.approx(expected)


def test_numbers_are_written_for_people() -> None:
    """Units and shares."""
    assert number(0.00123, "ms") == "1.23 ms"
    assert number(64.04 * 2**20, "MiB") == "64.0 MiB"
    assert number(1.07, "") == "1.07"
    assert fraction(1 / 27.31) == "1/27.3"
    assert fraction(1.5) == "1.5"


def test_the_table_shows_figures_targets_and_verdicts() -> None:
    """One line a row, below a line of names and a rule."""
    rows = [
        Row("100 kernels", "scrape", "ms", 0.010, 0.300, most_ratio=1 / 20),
        Row("100 kernels", "memory", "MiB", 90 << 20, most=80),
    ]
    lines = render(rows).splitlines()
    assert lines[0].split() == ["shape", "measure", "ours", "process-exporter", "ratio", "target"]
    expected = "100 kernels scrape 10.0 ms 300.0 ms 1/30 <= 1/20 pass"
    assert " ".join(lines[2].split()) == expected
    assert " ".join(lines[3].split()) == "100 kernels memory 90.0 MiB <= 80 MiB MISS"


def test_connection_files_are_as_jupyter_writes_them() -> None:
    """All five channels, each with its port."""
    connection = json.loads(connection_text("abc", [1, 2, 3, 4, 5]))
    assert [v for k, v in connection.items() if k.endswith("_port")] == [1, 2, 3, 4, 5]
    assert connection["kernel_name"] == "python3"


def test_ports_are_given_out_once_and_only_if_free() -> None:
    """A port that somebody listens on is passed over."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = free_ports(port)
        first, second = next(ports), next(ports)
    assert port < first < second


def test_cpu_time_of_a_process_is_the_clock_of_its_pid() -> None:
    """It agrees with what times(2) says of ourselves, to its resolution."""
    times = os.times()
    assert cpu_seconds(os.getpid()) == pytest.approx(times.user + times.system, abs=0.1)


def test_arguments_are_few() -> None:
    """Without any, all of it is run and judged."""
    arguments = bench.parse_arguments([])
    assert (arguments.quick, arguments.shape, arguments.groups) == (False, None, "kernel")
    with pytest.raises(SystemExit):
        bench.parse_arguments(["--shape=round"])


@pytest.mark.real
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_stand_ins_look_like_kernels_and_are_ended(tmp_path: Path) -> None:
    """Each leads its session, names its file, listens on its ports, and is gone in the end."""
    fleet = Fleet(tmp_path)
    try:
        fleet.start_standins(2)
        (pid, other), (kernel_id, _) = fleet.pids, fleet.kernel_ids
        assert os.getsid(pid) == pid
        arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        file = Path(arguments[-2])
        assert file.parent == fleet.runtime_dir
        for channel in ("shell", "hb"):
            port = json.loads(file.read_text(encoding="utf-8"))[f"{channel}_port"]
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert kernel_id in {path.stem.removeprefix("kernel-") for path in file.parent.iterdir()}
        fleet.settle()
    finally:
        fleet.end()
    for ended in (pid, other):
        assert not Path(f"/proc/{ended}").exists()
