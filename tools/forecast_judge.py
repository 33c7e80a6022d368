"""Looks at a trace as the alert rule would, and says when it fired and whether that was right."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from forecast_traces import Trace

SCRAPE_SECONDS = 5.0
FOR_SECONDS = 10.0
KEEP_SECONDS = 60.0
"""An alarm that comes back within a minute is the same alarm."""


class Forecaster(Protocol):
    """What is judged: our forecast or a baseline."""

    def observe(self, t_seconds: float, used_bytes: float) -> None:
        """Take note of a sample."""

    def seconds_to_exhaustion(self, limit_bytes: float) -> float:
        """Seconds until the limit is reached; infinite where nothing points there."""


class Span(NamedTuple):
    """A time in which the alarm was on, seconds."""

    start: float
    end: float


class Verdict(NamedTuple):
    """How an alarm did on one trace."""

    trace: Trace
    lead: float
    """Seconds from the start of the alarm that was on at the end; 0 if none was."""
    alarm_seconds: float
    """How long it was on since the onset."""
    alarms: int
    """How often it went on since the onset."""

    @property
    def caught(self) -> bool:
        """Whether it was told in time."""
        return self.lead >= self.trace.lead_wanted


def forecasts(trace: Trace, forecaster: Forecaster) -> list[float]:
    """What was forecast at each sample."""
    told = []
    for t, used in zip(trace.times, trace.used, strict=True):
        forecaster.observe(t, used)
        told.append(forecaster.seconds_to_exhaustion(trace.limit))
    return told


def seen(trace: Trace, told: Sequence[float], threshold: float) -> Verdict:
    """The forecast itself, as a page shows it at once."""
    return judge(trace, spans(zip(trace.times, told, strict=True), trace.ends, threshold, 0.0))


def held(
    trace: Trace, told: Sequence[float], threshold: float, hold: float = FOR_SECONDS
) -> Verdict:
    """The rule ``forecast < threshold`` with ``for`` that many seconds, at scrapes of 5 s."""
    return judge(trace, spans(scraped(trace, told), trace.ends, threshold, hold))


def scraped(trace: Trace, told: Sequence[float]) -> Iterator[tuple[float, float]]:
    """What Prometheus gets to see."""
    at, newest = SCRAPE_SECONDS, -1
    while at < trace.ends:
        while newest + 1 < len(told) and trace.times[newest + 1] <= at:
            newest += 1
        if newest >= 0:
            yield at, told[newest]
        at += SCRAPE_SECONDS


def spans(
    values: Iterable[tuple[float, float]], ends: float, threshold: float, hold: float
) -> Iterator[Span]:
    """When the alarm is on: from ``hold`` after a value fell below the threshold until it rises."""
    since = fired = None
    for t, value in values:
        if value < threshold:
            since = t if since is None else since
            if fired is None and t - since >= hold:
                fired = t
            continue
        if fired is not None:
            yield Span(fired, t)
        since = fired = None
    if fired is not None:
        yield Span(fired, ends)


def judge(trace: Trace, alarms: Iterable[Span]) -> Verdict:
    """Lead and duration of what happened since the onset."""
    alarm_seconds = 0.0
    count = 0
    last: Span | None = None
    for span in alarms:
        start = max(span.start, trace.onset)
        if span.end <= trace.onset:
            continue
        alarm_seconds += span.end - start
        count += 1
        joined = last is not None and start - last.end <= KEEP_SECONDS
        last = Span(last.start if last is not None and joined else start, span.end)
    at_end = last is not None and trace.ends - last.end <= KEEP_SECONDS
    lead = trace.ends - last.start if last is not None and at_end else 0.0
    return Verdict(trace, lead, alarm_seconds, count)
