"""Wait statuses, taken apart and named."""

import pytest

from jupyter_kernel_exporter.linux.waitstatus import WaitStatus, signal_name


@pytest.mark.parametrize(
    ("raw", "status", "shown"),
    [
        pytest.param(0, WaitStatus(0, None), "exit 0", id="exit 0"),
        pytest.param(3 << 8, WaitStatus(3, None), "exit 3", id="exit 3"),
        pytest.param(137 << 8, WaitStatus(137, None), "exit 137", id="exit 137 is no SIGKILL"),
        pytest.param(0xFF00, WaitStatus(255, None), "exit 255", id="largest exit code"),
        pytest.param(9, WaitStatus(None, 9), "SIGKILL", id="SIGKILL"),
        pytest.param(11, WaitStatus(None, 11), "SIGSEGV", id="SIGSEGV"),
        pytest.param(139, WaitStatus(None, 11, core=True), "SIGSEGV", id="SIGSEGV with a core"),
        pytest.param(6, WaitStatus(None, 6), "SIGABRT", id="not by its other name, SIGIOT"),
        pytest.param(34, WaitStatus(None, 34), "SIGRTMIN", id="first real-time signal"),
        pytest.param(37, WaitStatus(None, 37), "SIGRTMIN+3", id="a real-time signal"),
        pytest.param(64, WaitStatus(None, 64), "SIGRTMAX", id="last real-time signal"),
        pytest.param(32, WaitStatus(None, 32), "signal 32", id="a signal without a name"),
    ],
)
def test_a_status_is_taken_apart(raw: int, status: WaitStatus, shown: str) -> None:
    """A status is either an exit code or a signal, and shows as the label has it."""
    assert WaitStatus.from_raw(raw) == status
    assert str(status) == shown


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(0x137F, id="stopped by SIGSTOP"),
        pytest.param(0xFFFF, id="continued"),
        pytest.param(0x0309, id="both an exit code and a signal"),
        pytest.param(0x0080, id="a core without a signal"),
        pytest.param(-1, id="negative"),
        pytest.param(0x10000, id="more than two bytes"),
    ],
)
def test_what_is_no_end_is_refused(raw: int) -> None:
    """Statuses of processes that live, and numbers that are none, raise."""
    with pytest.raises(ValueError, match="no wait status"):
        WaitStatus.from_raw(raw)


def test_a_number_out_of_range_has_a_name_all_the_same() -> None:
    """A name is always had, so that a label never fails."""
    assert signal_name(99) == "signal 99"
