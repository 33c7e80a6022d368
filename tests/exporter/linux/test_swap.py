"""Swap. On made-up files, after the man page and kernel documents: the machines of these tests
have none, and to give them some would change what all other tests see."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.swap import (
    NO_SWAP,
    CgroupSwap,
    Swap,
    parse_swaps,
    read_swap,
    swaps,
)

HEAD = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
MACHINE = Swap(8000, 5000)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (b"", NO_SWAP),
        (
            b"/swapfile                               file\t\t2048\t\t1024\t\t-2\n",
            Swap(2 << 20, 1 << 20),
        ),
        (
            b"/dev/sda2 partition 4 1 -2\n/swap\\040file\\040(deleted) file 8 2 -3\n",
            Swap(12 << 10, 9 << 10),
        ),
        (b"/dev/zram0 partition 4096 0 100\n/dev/sda2 partition 4 1 -2\n", Swap(4 << 10, 3 << 10)),
    ],
)
def test_swap_of_the_machine(rows: bytes, expected: Swap) -> None:
    """Files and partitions; not what is compressed into memory itself."""
    assert parse_swaps(HEAD + rows) == expected


def test_linux_without_swap_has_no_file(tmp_path: Path) -> None:
    """That is no failure."""
    assert read_swap(swaps(str(tmp_path), Descriptors(0))) == NO_SWAP


def write(path: Path, **files: int | str) -> str:
    """Files of a cgroup, two underscores for a dot; the cgroup's path."""
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        (path / f"memory.{name.replace('__', '.')}").write_text(f"{content}\n")
    return str(path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, MACHINE),
        ({"swap__max": "max", "swap__current": 9}, MACHINE),
        ({"swap__max": 0, "swap__current": 0}, NO_SWAP),
        ({"swap__max": 1000, "swap__current": 100}, Swap(1000, 900)),
        ({"swap__max": 1000, "swap__current": 1200}, Swap(1000, 0)),
        ({"swap__max": 1 << 40, "swap__current": 0}, MACHINE),
        # Version 1: the sum of both has a limit, and so both have.
        ({"swappiness": 60, "limit_in_bytes": 1 << 62, "memsw__limit_in_bytes": 1 << 62}, MACHINE),
        ({"swappiness": 0}, NO_SWAP),
        (
            {
                "swappiness": 60,
                "limit_in_bytes": 1000,
                "memsw__limit_in_bytes": 3000,
                "usage_in_bytes": 900,
                "memsw__usage_in_bytes": 1400,
            },
            Swap(2000, 1500),
        ),
        (
            {
                "limit_in_bytes": 1000,
                "memsw__limit_in_bytes": 1000,
                "usage_in_bytes": 900,
                "memsw__usage_in_bytes": 890,
            },
            NO_SWAP,
        ),
    ],
)
def test_what_a_cgroup_may_use(tmp_path: Path, files: dict[str, int | str], expected: Swap) -> None:
    """Never more than the machine has."""
    assert CgroupSwap().within(write(tmp_path / "a", **files), 0.0, MACHINE) == expected


def test_limits_are_read_now_and_then_and_use_each_tick(tmp_path: Path) -> None:
    """As those of memory are."""
    path = write(tmp_path / "a", swap__max=1000, swap__current=100)
    group = CgroupSwap()
    assert group.within(path, 0.0, MACHINE) == Swap(1000, 900)
    write(tmp_path / "a", swap__max=2000, swap__current=200)
    assert group.within(path, 0.0, MACHINE) == Swap(1000, 900)
    assert group.within(path, 1.0, MACHINE) == Swap(1000, 800)
    assert group.within(path, 10.0, MACHINE) == Swap(2000, 1800)
    group.forget(before=20.0)
    write(tmp_path / "a", swap__max=3000)
    assert group.within(path, 11.0, MACHINE) == Swap(3000, 2800)
