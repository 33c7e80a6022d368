"""Swap. On made-up files, after the man page and kernel documents: the machines of these tests
have none, and to give them some would change what all other tests see."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kept import Descriptors
from jupyter_kernel_exporter.linux.swap import NO_SWAP, Swap, parse_swaps, read_swap, swaps

HEAD = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


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
