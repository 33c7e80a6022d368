"""What the samples of one tick have in common: the machine, its GPUs, every kernel's PSS."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jupyter_kernel_exporter.linux.gpu import Gpus
from jupyter_kernel_exporter.linux.host import meminfo, read_delay_accounting, read_host_memory
from jupyter_kernel_exporter.linux.kept import Descriptors, KeptFile
from jupyter_kernel_exporter.linux.swap import swaps
from jupyter_kernel_exporter.model import Kernel, ProcessId
from jupyter_kernel_exporter.sample import Around
from jupyter_kernel_exporter.sample.pss import PSS_INTERVAL_SECONDS, read_every_pss
from jupyter_kernel_exporter.sources import Sources

GPU_SECONDS = 1.0
"""How long a GPU's driver is waited for."""
DELAY_ACCOUNTING_TICKS = 10
"""A setting that people change, rarely."""
DELAY_ACCOUNTING_SENTENCE = "linux does not account for delays: set sysctl kernel.task_delayacct=1"


@dataclass(slots=True)
class Surroundings:
    """Looks around once per tick. Not thread-safe."""

    procfs: str
    descriptors: Descriptors
    sources: Sources
    gpus: Gpus | None
    interval_seconds: float
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    _meminfo: KeptFile = field(init=False)
    _swaps: KeptFile = field(init=False)
    _tick: int = field(init=False, default=0)
    _pss: Mapping[ProcessId, int] = field(init=False, default_factory=dict)
    _pss_due: float = field(init=False, default=-math.inf)
    _delay_accounting: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._meminfo = meminfo(self.procfs, self.descriptors)
        self._swaps = swaps(self.procfs, self.descriptors)

    def look(self, kernels: Sequence[Kernel]) -> Around:
        """How things stand now."""
        now = self.monotonic()
        host = gpu = None
        if self.sources.enabled("host"):
            host = self.sources.run("host", read_host_memory, self._meminfo, self._swaps)
        if self.gpus is not None and self.sources.enabled("nvml"):
            gpu = self.sources.run_within(GPU_SECONDS, "nvml", self.gpus.read)
        if self.sources.enabled("delayacct") and self._tick % DELAY_ACCOUNTING_TICKS == 0:
            self._look_for_delay_accounting()
        if self.sources.enabled("pss") and now >= self._pss_due:
            self._pss_due = now + PSS_INTERVAL_SECONDS
            pss = self.sources.run_within(
                self.interval_seconds, "pss", read_every_pss, self.procfs, kernels
            )
            self._pss = pss or {}
        self._tick += 1
        return Around(
            now=self.clock(),
            monotonic=now,
            tick=self._tick,
            host=host,
            pss=self._pss,
            gpu=gpu or {},
            delay_accounting=self._delay_accounting,
        )

    def _look_for_delay_accounting(self) -> None:
        self._delay_accounting = bool(
            self.sources.run("delayacct", read_delay_accounting, self.procfs)
        )
        if not self._delay_accounting:
            self.sources.report("delayacct", DELAY_ACCOUNTING_SENTENCE)
