"""Memory on NVIDIA GPUs by process, from the driver's management library (NVML).

Needs the extra ``[gpu]`` (package nvidia-ml-py) and a driver. The pids are those of the pid
namespace that the driver was loaded in: the host's.
"""

import os
from typing import Any


def has_driver(root: str) -> bool:
    """Whether NVIDIA's driver is loaded in the linux whose /proc is mounted at ``root``."""
    return os.path.exists(f"{root}/driver/nvidia/version")


class Gpus:
    """The GPUs of the machine. :meth:`open` gives ``None`` where there is nothing to read."""

    def __init__(self, nvml: Any, handles: list[Any]) -> None:
        self._nvml = nvml
        self._handles = handles

    @classmethod
    def open(cls) -> "Gpus | None":
        """Start the library; ``None`` if it, the driver or a GPU is missing."""
        try:
            import pynvml  # noqa: PLC0415  # an optional extra
        except ModuleNotFoundError:
            return None
        try:
            pynvml.nvmlInit()
            handles = [
                pynvml.nvmlDeviceGetHandleByIndex(index)
                for index in range(pynvml.nvmlDeviceGetCount())
            ]
        except pynvml.NVMLError:  # no driver, or one of another version than its library
            return None
        return cls(pynvml, handles) if handles else None

    def read(self) -> dict[int, dict[str, int]]:
        """Bytes held by each pid on each GPU, by index; where the driver tells.

        Raises NVMLError when the driver fails.
        """
        held: dict[int, dict[str, int]] = {}
        for index, handle in enumerate(self._handles):
            for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.usedGpuMemory is not None:
                    held.setdefault(process.pid, {})[str(index)] = process.usedGpuMemory
        return held
