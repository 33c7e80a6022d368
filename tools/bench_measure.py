"""How the exporters are measured: in turn, so that what else the machine does hits both."""

import contextlib
import os
import random
import resource
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench_exporters import PLAIN, Exporter, sample_seconds

WORK_SECONDS = 15.0
"""The span that our work is counted for: Prometheus' usual scrape interval."""


class Latency(NamedTuple):
    """Medians over all rounds, seconds."""

    ours: float
    ours_plain: float
    ours_page: float
    """An answer that reads nothing: what HTTP itself costs here."""
    ours_tick: float
    """How long our own tick takes, as it says itself."""
    peer: float
    peer_plain: float
    peer_cpu: float
    """CPU seconds of one scrape, on average: the peer does nothing between scrapes."""


def measure_latency(ours: Exporter, peer: Exporter, rounds: int) -> Latency:
    """Scrape both in turn, gzipped as Prometheus asks for it and plain."""
    # Scrapes must not march in step with our ticks; each waits for a new one, for a second scrape
    # of the same sample could be answered from memory.
    pause = random.Random(1)
    took: list[tuple[float, ...]] = []
    for exporter in (ours, peer):  # first answers pay for what is loaded late
        exporter.scrape()
        exporter.scrape(PLAIN)
    peer_before = peer.cpu_seconds()
    for _ in range(rounds):
        time.sleep(pause.uniform(1.05, 1.6))
        gzipped, peer_gzipped = ours.scrape(), peer.scrape()
        time.sleep(pause.uniform(1.05, 1.6))
        plain, peer_plain = ours.scrape(PLAIN), peer.scrape(PLAIN)
        page = ours.get("/-/healthy")
        tick = sample_seconds(plain.body)
        scrapes = (gzipped, plain, page, peer_gzipped, peer_plain)
        took.append((*(scrape.seconds for scrape in scrapes), tick))
    peer_cpu = (peer.cpu_seconds() - peer_before) / (2 * rounds)
    gzipped_s, plain_s, page_s, peer_s, peer_plain_s, tick_s = map(
        statistics.median, zip(*took, strict=True)
    )
    return Latency(gzipped_s, plain_s, page_s, tick_s, peer_s, peer_plain_s, peer_cpu)


def measure_work(ours: Exporter, seconds: float) -> float:
    """CPU seconds of our daemon in 15 s of its work, one scrape included."""
    spans = max(1, round(seconds / WORK_SECONDS))
    started, before = time.monotonic(), ours.cpu_seconds()
    for span in range(spans):
        # In the middle of each span, so that every span has exactly one.
        _sleep_until(started + (span + 0.5) * WORK_SECONDS)
        ours.scrape()
    _sleep_until(started + spans * WORK_SECONDS)
    spent, elapsed = ours.cpu_seconds() - before, time.monotonic() - started
    return spent * WORK_SECONDS / elapsed


def measure_tick(ours: Exporter, seconds: float) -> float:
    """CPU seconds of our daemon in one second of its work, without any scrape."""
    started, before = time.monotonic(), ours.cpu_seconds()
    time.sleep(seconds)
    return (ours.cpu_seconds() - before) / (time.monotonic() - started)


class Floor(NamedTuple):
    """What the least possible look at the same processes costs, seconds."""

    look: float
    """Median of one look."""
    work_cpu: float
    """CPU of fifteen looks."""


def measure_floor(pids: Sequence[int], rounds: int) -> Floor:
    """Read ``/proc/PID/stat`` of each process from kept-open descriptors, and nothing more."""
    pread = os.pread
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        files = [
            stack.enter_context(open(f"/proc/{pid}/stat", "rb", buffering=0)).fileno()
            for pid in pids
        ]
        took, spent = [], time.process_time()
        for _ in range(rounds):
            started = time.perf_counter()
            for file in files:
                pread(file, 1024, 0)
            took.append(time.perf_counter() - started)
            time.sleep(0.05)  # a daemon finds cold caches as well
        spent = time.process_time() - spent
    return Floor(statistics.median(took), spent * WORK_SECONDS / rounds)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
