"""How well the end of memory is forecast, beside the two usual alert rules.

    python tools/bench_forecast.py                  40 traces a family, some minutes
    python tools/bench_forecast.py --traces 5       quick
    python tools/bench_forecast.py --threshold 300 --hold 5     the alert that is shipped

Judged is ``forecast < threshold`` in two ways: *seen* at once, as on the page, and *held*, as an
alert rule with ``for`` (10 s) at scrapes of 5 s fires. An exhausting trace is caught if the alarm
that is on at its end began early enough: 60 s before, or 40 % of the time from half full to full
where that is less. An alarm that pauses for up to a minute is one alarm. Exit status 1 if a
promise of docs/forecast.md is broken.
"""

import argparse
import math
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from forecast_growing import GROWING
from forecast_judge import FOR_SECONDS, Forecaster, Verdict, forecasts, held, seen
from forecast_steady import BENIGN, STATIONARY
from forecast_traces import Family, Label, Trace, draw, read_recorded
from jupyter_kernel_exporter.forecast import MemoryForecast

RECORDED = Path(__file__).parent.parent / "tests" / "fixtures" / "traces"
FIRST_SEED = 1_500_000
"""These seeds were kept apart while the forecast was made."""
CAUGHT_SHARE = 0.99
FALSE_MINUTES = 0.8
ALARMED_SHARE = 0.05
"""The promises: caught traces among all, minutes of false alarm in an hour of benign ones, and
stationary traces with any alarm."""


class PredictLinear:
    """``predict_linear`` of Prometheus: least squares over 10 minutes of 15 s samples."""

    def __init__(self) -> None:
        self._window: deque[tuple[float, float]] = deque(maxlen=40)
        self._now = -math.inf
        self._line = (0.0, 0.0)

    def observe(self, t_seconds: float, used_bytes: float) -> None:
        """Take a sample if one is due."""
        self._now = t_seconds
        if self._window and t_seconds - self._window[-1][0] < 14.5:
            return
        self._window.append((t_seconds, used_bytes))
        while t_seconds - self._window[0][0] > 600.0:
            self._window.popleft()
        times, values = zip(*self._window, strict=True)
        if len(times) > 1:
            slope, at_zero = statistics.linear_regression(times, values)
            self._line = (slope, at_zero)

    def seconds_to_exhaustion(self, limit_bytes: float) -> float:
        """Where the line meets the limit."""
        slope, at_zero = self._line
        if slope <= 0.0:
            return math.inf
        return max(0.0, (limit_bytes - at_zero) / slope - self._now)


class NearLimit:
    """An alert above 90 % of the limit."""

    def __init__(self) -> None:
        self._used = 0.0

    def observe(self, t_seconds: float, used_bytes: float) -> None:  # noqa: ARG002  # a protocol
        """Keep the newest."""
        self._used = used_bytes

    def seconds_to_exhaustion(self, limit_bytes: float) -> float:
        """Now or never."""
        return 0.0 if self._used > 0.9 * limit_bytes else math.inf


CANDIDATES: dict[str, Callable[[], Forecaster]] = {
    "forecast": MemoryForecast,
    "predict_linear": PredictLinear,
    "above 90 %": NearLimit,
}


class Score(NamedTuple):
    """How one candidate did on some traces."""

    traces: int
    caught: int
    lead: float
    """Median, seconds."""
    false_minutes: float
    """In an hour."""
    alarmed: int
    """Traces with any alarm."""

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "Score":
        """Sum up."""
        hours = sum(v.trace.ends - v.trace.onset for v in verdicts) / 3600.0
        return cls(
            len(verdicts),
            sum(v.caught for v in verdicts),
            statistics.median(v.lead for v in verdicts),
            sum(v.alarm_seconds for v in verdicts) / 60.0 / hours,
            sum(v.alarms > 0 for v in verdicts),
        )


def run(
    traces: Iterable[Trace], make: Callable[[], Forecaster], threshold: float, hold: float
) -> list[Verdict]:
    """Seen and held verdicts in turn."""
    verdicts = []
    for trace in traces:
        told = forecasts(trace, make())
        verdicts += [seen(trace, told, threshold), held(trace, told, threshold, hold)]
    return verdicts


def render(title: str, label: Label, scores: Sequence[Score]) -> str:
    """One line of the table: seen / held of each candidate."""
    cells = []
    for at_once, after_hold in zip(scores[::2], scores[1::2], strict=True):
        if label is Label.EXHAUSTING:
            caught = f"{at_once.caught}/{after_hold.caught} of {at_once.traces}"
            cells.append(f"{caught} {at_once.lead:5.0f} s")
        else:
            cells.append(
                f"{at_once.false_minutes:5.2f}/{after_hold.false_minutes:5.2f}"
                f" {at_once.alarmed:4}/{after_hold.alarmed:3}"
            )
    return f"{title:32}" + "".join(f"{cell:>25}" for cell in cells)


def main() -> int:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=int, default=40, help="of each family")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--threshold", type=float, default=600.0, help="seconds")
    parser.add_argument("--hold", type=float, default=FOR_SECONDS, help="seconds")
    parser.add_argument("--only", action="append", help="a family")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.traces)
    kept = True
    print(f"{'':32}" + "".join(f"{name:>25}" for name in CANDIDATES))
    families: list[tuple[Label, str, dict[str, Family]]] = [
        (Label.EXHAUSTING, "caught seen/held, lead", GROWING),
        (Label.BENIGN, "false min/h, traces", BENIGN),
        (Label.STATIONARY, "false min/h, traces", STATIONARY),
    ]
    recorded = [read_recorded(path) for path in sorted(RECORDED.glob("*.csv"))]
    for label, legend, drawn in families:
        print(f"{label} ({legend})")
        names = [name for name in drawn if seeds and (not options.only or name in options.only)]
        real = {f"real: {t.name}": t for t in recorded if t.label is label and not options.only}
        totals: list[list[Verdict]] = [[] for _ in range(2 * len(CANDIDATES))]
        for name in [*names, *real]:
            if name in real:
                traces = [real[name]]
            else:
                traces = [draw(name, label, drawn[name], seed) for seed in seeds]
            scores = []
            for k, make in enumerate(CANDIDATES.values()):
                verdicts = run(traces, make, options.threshold, options.hold)
                for hold in (0, 1):
                    scores.append(Score.of(verdicts[hold::2]))
                    totals[2 * k + hold] += verdicts[hold::2]
            print(render(f"  {name}", label, scores), flush=True)
        if not totals[0]:
            continue
        sums = [Score.of(verdicts) for verdicts in totals]
        print(render("  all", label, sums))
        if label is Label.EXHAUSTING:
            kept = kept and sums[0].caught >= CAUGHT_SHARE * sums[0].traces
        else:
            kept = kept and sums[0].false_minutes < FALSE_MINUTES
        if label is Label.STATIONARY:
            kept = kept and sums[0].alarmed <= ALARMED_SHARE * sums[0].traces
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
