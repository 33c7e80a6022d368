"""Memory on GPUs. The driver's library is a fake here: machines with a GPU are rare."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from jupyter_kernel_exporter.linux.gpu import Gpus


class NVMLError(Exception):
    """What the library raises."""


def fake_nvml(gpus: list[list[tuple[int, int | None]]], broken: bool = False) -> ModuleType:
    """The few calls of the library that are used."""
    module = ModuleType("pynvml")

    def start() -> None:
        if broken:
            raise NVMLError("Driver Not Loaded")

    module.__dict__.update(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=lambda index: [
            SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in gpus[index]
        ],
    )
    return module


def test_memory_by_process_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may be on several GPUs; where the driver does not tell, there is no number."""
    module = fake_nvml([[(10, 1 << 30), (11, None)], [(10, 1 << 20)]])
    monkeypatch.setitem(sys.modules, "pynvml", module)
    gpus = Gpus.open()
    assert gpus is not None
    assert gpus.read() == {10: {"0": 1 << 30, "1": 1 << 20}}


@pytest.mark.parametrize(
    "module", [None, fake_nvml([], broken=True), fake_nvml([])], ids=["library", "driver", "gpu"]
)
def test_nothing_to_read(module: ModuleType | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without library, driver or GPU there is no such source."""
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert Gpus.open() is None
