"""The machine as a whole."""

import os
import time
from pathlib import Path

import psutil

from jupyter_kernel_exporter.linux.host import (
    read_boot_time,
    read_delay_accounting,
    read_host_memory,
)


def test_memory_of_this_machine() -> None:
    """What /proc/meminfo says, in bytes."""
    memory = read_host_memory("/proc")
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert memory.total == int(lines["MemTotal"].split()[0]) * 1024
    assert 0 < memory.available < memory.total


def test_another_proc_is_read_once(tmp_path: Path) -> None:
    """What is said of one /proc says nothing about the next; psutil knows but one."""
    sizes = {"MemTotal": 4, "MemFree": 1, "MemAvailable": 2}
    sizes |= dict.fromkeys(("Buffers", "Cached", "Shmem", "Active", "Inactive"), 0)
    lines = [f"{name}: {size} kB\n" for name, size in sizes.items()]
    (tmp_path / "meminfo").write_text("".join(lines))
    (tmp_path / "stat").write_text("btime 77\n")
    assert read_host_memory(str(tmp_path)) == (4096, 2048)
    assert read_boot_time(str(tmp_path)) == 77
    assert psutil.pid_exists(os.getpid())
    assert psutil.virtual_memory().total > 4096


def test_boot_time_of_this_machine() -> None:
    """The epoch less the time since boot."""
    expected = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(read_boot_time("/proc") - expected) < 2


def test_delay_accounting(tmp_path: Path) -> None:
    """A linux without the switch always accounts."""
    assert read_delay_accounting(str(tmp_path))
    (tmp_path / "sys/kernel").mkdir(parents=True)
    for written, expected in (("0\n", False), ("1\n", True)):
        (tmp_path / "sys/kernel/task_delayacct").write_text(written)
        assert read_delay_accounting(str(tmp_path)) is expected
