"""The machine as a whole."""

import time
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.host import (
    boot_time,
    meminfo,
    parse_meminfo,
    read_delay_accounting,
    read_host_memory,
)
from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.swap import swaps


def test_memory_of_this_machine() -> None:
    """What /proc/meminfo says, in bytes."""
    nothing = Descriptors(0)
    memory = read_host_memory(meminfo("/proc", nothing), swaps("/proc", nothing))
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert memory.total == int(lines["MemTotal"].split()[0]) * 1024
    assert 0 < memory.available < memory.total
    assert memory.swap.total <= int(lines["SwapTotal"].split()[0]) * 1024


@pytest.mark.parametrize("raw", [b"", b"MemTotal: 4 kB\n", b"MemTotal: x kB\nMemAvailable: 2 kB\n"])
def test_memory_that_is_not_told(raw: bytes) -> None:
    """No number is made up."""
    with pytest.raises(ValueError, match=r"not found|invalid literal"):
        parse_meminfo(raw)


def test_boot_time_of_this_machine() -> None:
    """What /proc/stat rounds to a second."""
    lines = dict(line.partition(" ")[::2] for line in Path("/proc/stat").read_text().splitlines())
    assert abs(boot_time() - int(lines["btime"])) < 1.5


def test_boot_time_after_a_step_of_the_clock() -> None:
    """It moves as the clock does."""
    assert abs(boot_time(lambda: time.time() + 3600) - boot_time() - 3600) < 0.1


def test_delay_accounting(tmp_path: Path) -> None:
    """A linux without the switch always accounts."""
    assert read_delay_accounting(str(tmp_path))
    (tmp_path / "sys/kernel").mkdir(parents=True)
    for written, expected in (("0\n", False), ("1\n", True)):
        (tmp_path / "sys/kernel/task_delayacct").write_text(written)
        assert read_delay_accounting(str(tmp_path)) is expected
