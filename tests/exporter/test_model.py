"""The nouns."""

from jupyter_kernel_exporter.model import MemoryLimit, Sample, Scope
from support.snapshots import full_snapshot


def test_a_sample_with_other_limits() -> None:
    """All else stays, whatever fields there are."""
    for live in full_snapshot().kernels:
        for limits in ((), (MemoryLimit(Scope.HOST, 2, 1),)):
            changed = live.sample.with_limits(limits)
            assert type(changed) is Sample
            assert changed == live.sample._replace(limits=limits)
