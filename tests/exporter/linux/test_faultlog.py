"""Faults of programs in linux' log: read from a real one, and made up."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.faultlog import Fault, parse_fault
from jupyter_kernel_exporter.linux.kmsg import Kmsg, Record, parse_record
from jupyter_kernel_exporter.sources import Unavailable

FIXTURE = Path(__file__).parents[2] / "fixtures" / "kmsg" / "linux-6.18-faults.txt"
DEADLINE_SECONDS = 10.0


def test_faults_of_a_real_log() -> None:
    """Kind, thread, name, place, and whether the stack was used up."""
    lines = FIXTURE.read_bytes().splitlines(keepends=True)
    faults = [fault for line in lines if (fault := parse_fault(parse_record(line)))]
    odd = "a [b] (c),\n;"
    assert [(f.tid, f.comm, f.what, f.mapping, f.stack_overflow) for f in faults] == [
        (9790, "python3", "segfault", "libc.so.6", False),
        (9873, "python3", "segfault", "libpython3.11.so.1.0", True),
        (9920, odd, "segfault", "f", True),
        (9922, odd, "trap invalid opcode", "f", False),
        (9923, odd, "general protection fault", "f", False),
        (9924, odd, "segfault", None, False),
    ]
    assert faults[1].address == faults[1].stack - 8 == 0x7FFF30753FF8
    assert faults[3].address is None
    assert faults[0].at == 1834.479358


@pytest.mark.parametrize(
    ("text", "tid", "comm", "mapping"),
    [
        pytest.param(
            "a[1]: segfault [77]: segfault at 0 ip 1 sp 2 error 4", 77, "a[1]: segfault ", None,
            id="a name like the rest",
        ),
        pytest.param(
            "x[77]: segfault at 0 ip 1 sp 2 error 4 in [9]: segfault at 0 ip 1 sp 2 error 4[0+1]",
            77, "x", "[9]: segfault at 0 ip 1 sp 2 error 4",
            id="a file like the rest",
        ),
        pytest.param("[77]: segfault at 0 ip 1 sp 2 error 4", 77, "", None, id="no name"),
        pytest.param(
            "x[77]: segfault at 0 ip 1 sp 2 error 4 in libc.so.6[7f00+15]", 77, "x", "libc.so.6",
            id="the mapping as before linux 6.8",
        ),
    ],
)  # fmt: skip
def test_names_cannot_lie(text: str, tid: int, comm: str, mapping: str | None) -> None:
    """Whatever a thread or a file is called, the id is what linux wrote."""
    fault = parse_fault(Record(6, 0, 1, 5.0, text))
    assert fault == Fault(tid, comm, "segfault", 0, 1, 2, mapping, 5.0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("Code: 00 00 <c7>", id="its second line"),
        pytest.param("x[77]: segfault at", id="cut"),
        pytest.param("x[y]: segfault at 0 ip 1 sp 2 error 4", id="no number"),
        pytest.param("eth0: link up", id="another line"),
    ],
)
def test_what_is_no_fault_is_none(text: str) -> None:
    """Nothing is made of other lines."""
    assert parse_fault(Record(6, 0, 1, 5.0, text)) is None


@pytest.mark.real
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the format is x86's")
def test_a_real_fault_in_another_thread() -> None:
    """A real segfault is found in the log under the thread's id, which is not the process'."""
    program = (
        "import ctypes, os, threading\n"
        "def crash():\n"
        "    os.write(1, b'%d' % threading.get_native_id())\n"
        "    os.close(1)\n"
        "    ctypes.string_at(8)\n"
        "threading.Thread(target=crash).start()\n"
    )
    try:
        kmsg = Kmsg()
    except Unavailable as why:
        pytest.skip(str(why))
    with closing(kmsg):
        command = [sys.executable, "-S", "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            out, _ = child.communicate()
        assert child.returncode == -signal.SIGSEGV
        deadline = time.monotonic() + DEADLINE_SECONDS
        faults: list[Fault] = []
        while not any(fault.tid == int(out) for fault in faults):
            left = deadline - time.monotonic()
            if left <= 0:
                pytest.skip("linux did not log the fault: too many of them, or switched off")
            select.select([kmsg], [], [], left)
            faults += [f for record in kmsg.drain().records if (f := parse_fault(record))]
    assert int(out) != child.pid
    assert faults[-1].address == 8
