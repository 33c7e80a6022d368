"""Deaths and counters as they stand, and what of them is not on disk yet. Pure.

A counter is what the disk holds plus what was gained since. So whatever happens to the disk, what
is shown never goes down, and what was gained is written once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_kernel_exporter.publish.deathrow import CounterKey, DeathRow, Identity
from jupyter_kernel_exporter.publish.store import (
    DEATHS_KEPT,
    Batch,
    Loaded,
    parse_row,
    row_values,
)

Gain = tuple[CounterKey, float]


class Ledger:
    """Everything that is known. Not for several threads at once."""

    def __init__(self) -> None:
        self._saved: dict[CounterKey, float] = {}
        self._gained: dict[CounterKey, float] = {}
        self._rows: dict[Identity, tuple[tuple[Any, ...], tuple[Gain, ...]]] = {}
        """Deaths not on disk yet, oldest first, with what each adds to the counters."""
        self._pairs: set[tuple[str, str]] = set()
        self._new_pairs: set[tuple[str, str]] = set()
        self._known: dict[Identity, None] = {}
        """Deaths that were counted, oldest first: none of them is counted again."""
        self._alive: dict[Identity, str] = {}
        """Who is alive, as the next daemon is to know it."""
        self._alive_changes: dict[Identity, str | None] = {}
        """What of that is not on disk yet; ``None``: not alive any more."""
        self._alive_told = False
        """Whether this daemon has said who is alive, so that what a file says is old."""
        self._sequence = 0
        """Number of the last transaction that was tried."""

    @property
    def unsaved(self) -> bool:
        """Whether anything is not on disk yet."""
        return bool(self._rows or self._gained or self._new_pairs or self._alive_changes)

    @property
    def unsaved_deaths(self) -> list[DeathRow]:
        """Deaths that are not on disk yet, oldest first; 10,000 at most."""
        return [parse_row(values) for values, _ in self._rows.values()]

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """All usernames with their kernel names that were ever seen."""
        return frozenset(self._pairs)

    @property
    def alive(self) -> dict[Identity, str]:
        """Who is alive; before this daemon has said so, whoever was when the last one did."""
        return dict(self._alive)

    def counters(self) -> dict[CounterKey, float]:
        """All counters as they stand."""
        return {
            key: self._saved.get(key, 0.0) + self._gained.get(key, 0.0)
            for key in self._saved | self._gained
        }

    def record(self, row: DeathRow, gains: Iterable[Gain]) -> bool:
        """Count a death; ``False`` if it was counted before."""
        if row.process in self._known:
            return False
        entry = (row_values(row), tuple(gains))
        self._remember(row.process)
        if self._alive.pop(row.process, None) is not None:
            self._alive_changes[row.process] = None
        self._rows[row.process] = entry
        for key, n in entry[1]:
            self.gain(key, n)
        if len(self._rows) > DEATHS_KEPT:
            del self._rows[next(iter(self._rows))]
        return True

    def gain(self, key: CounterKey, n: float) -> None:
        """Let a counter go up; by 0 it begins to exist."""
        if n < 0:
            raise ValueError(f"a counter cannot go down: {key.name} by {n}")
        if n or key not in self._saved:
            self._gained[key] = self._gained.get(key, 0.0) + n

    def see(self, username: str, kernel_name: str) -> None:
        """Remember a pair."""
        pair = (username, kernel_name)
        if pair not in self._pairs:
            self._pairs.add(pair)
            self._new_pairs.add(pair)

    def remember(self, alive: Mapping[Identity, str]) -> None:
        """These are alive, and nobody else is."""
        self._alive_told = True
        self._change(self._alive, alive)
        self._alive = dict(alive)

    def _change(self, before: Mapping[Identity, str], after: Mapping[Identity, str]) -> None:
        for identity in before.keys() - after.keys():
            self._alive_changes[identity] = None
        for identity, facts in after.items():
            if before.get(identity) != facts:
                self._alive_changes[identity] = facts

    def batch(self) -> Batch:
        """What is to be written now, in one transaction."""
        self._sequence += 1
        rows = [values for values, _ in self._rows.values()]
        changes = self._alive_changes
        return Batch(
            self._sequence,
            rows,
            dict(self._gained),
            list(self._new_pairs),
            {identity: facts for identity, facts in changes.items() if facts is not None},
            [identity for identity, facts in changes.items() if facts is None],
        )

    def saved(self) -> None:
        """The last batch is on disk, and nothing was recorded since."""
        self._saved = self.counters()
        self._gained.clear()
        self._rows.clear()
        self._new_pairs.clear()
        self._alive_changes.clear()

    def merge(self, loaded: Loaded) -> None:
        """Take in what a file holds that was just opened, for the first time or again."""
        if self._sequence and loaded.sequence == self._sequence:
            self.saved()  # the transaction that seemed to fail did not
        for identity in [i for i in loaded.identities if i in self._rows]:
            # Found again after it had been counted: the file was not there to say so.
            _, gains = self._rows.pop(identity)
            for key, n in gains:
                self._gained[key] -= n
        for key in self._saved.keys() | loaded.counters.keys():
            lost = self._saved.get(key, 0.0) - loaded.counters.get(key, 0.0)
            if lost > 0:  # the file is not the one it was
                self._gained[key] = self._gained.get(key, 0.0) + lost
        self._saved = dict(loaded.counters)
        self._new_pairs |= self._pairs - loaded.pairs
        self._new_pairs -= loaded.pairs
        self._pairs |= loaded.pairs
        later, self._known = self._known, {}
        for identity in (*loaded.identities, *later):
            self._remember(identity)
        self._alive_changes.clear()
        if not self._alive_told:
            self._alive = {i: facts for i, facts in loaded.alive.items() if i not in self._known}
        self._change(loaded.alive, self._alive)
        self._sequence = max(self._sequence, loaded.sequence)

    def _remember(self, identity: Identity) -> None:
        self._known[identity] = None
        if len(self._known) > 2 * DEATHS_KEPT:
            del self._known[next(iter(self._known))]
