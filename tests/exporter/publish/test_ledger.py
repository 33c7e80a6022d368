"""Counters and deaths between memory and disk, without a disk."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_kernel_exporter.publish.deathrow import CounterKey, Identity, counter_key
from jupyter_kernel_exporter.publish.ledger import Ledger
from jupyter_kernel_exporter.publish.store import DEATHS_KEPT, Batch, Loaded
from support.deathrows import death

DEATHS = counter_key("deaths_total", {"reason": "segfault", "username": "eva"})
OTHER = counter_key("other_total", {})
NOTHING = Loaded(0, {}, frozenset(), ())


def loaded(loaded_before: Loaded, batch: Batch) -> Loaded:
    """What a file holds after a batch, by other means than the file's."""
    identities = list(loaded_before.identities)
    identities += [i for i in (Identity(*row[:3]) for row in batch.rows) if i not in identities]
    counters = dict(loaded_before.counters)
    for key, n in batch.gained.items():
        counters[key] = counters.get(key, 0.0) + n
    pairs = loaded_before.pairs | frozenset(batch.pairs)
    alive = {i: facts for i, facts in loaded_before.alive.items() if i not in set(batch.gone)}
    return Loaded(batch.sequence, counters, pairs, tuple(identities), {**alive, **batch.alive})


def test_a_death_counts_once() -> None:
    """However often it is recorded, before and after it is saved."""
    ledger = Ledger()
    assert ledger.record(death(1), [(DEATHS, 1)])
    assert not ledger.record(death(1, reason="killed"), [(DEATHS, 1)])
    assert ledger.unsaved
    assert len(ledger.batch().rows) == 1
    ledger.saved()
    assert not ledger.unsaved
    assert not ledger.record(death(1), [(DEATHS, 1)])
    assert ledger.counters() == {DEATHS: 1}
    assert ledger.record(death(1, process=Identity("boot-2", 1001, 1)), [(DEATHS, 1)])


def test_a_file_found_late_is_added() -> None:
    """The disk was not there at the start: what it holds comes on top of what was gained."""
    ledger = Ledger()
    ledger.record(death(1), [(DEATHS, 1)])
    ledger.record(death(2), [(DEATHS, 1), (OTHER, 1)])
    ledger.see("eva", "python3")
    held = Loaded(7, {DEATHS: 40.0}, frozenset({("bob", "ir")}), (death(2).process,))
    ledger.merge(held)
    # The second one was on disk, counted by the daemon before this one.
    assert ledger.counters() == {DEATHS: 41, OTHER: 0}
    assert [row[1] for row in ledger.batch().rows] == [1001]
    assert ledger.pairs == {("bob", "ir"), ("eva", "python3")}
    assert ledger.batch().pairs == [("eva", "python3")]
    assert ledger.batch().sequence > 7
    assert not ledger.record(death(2), [(DEATHS, 1)])


def test_a_commit_that_only_seemed_to_fail() -> None:
    """The number of the transaction tells that it is on disk."""
    ledger = Ledger()
    ledger.record(death(1), [(DEATHS, 1)])
    ledger.gain(OTHER, 5)
    ledger.merge(loaded(NOTHING, ledger.batch()))
    assert not ledger.unsaved
    assert ledger.counters() == {DEATHS: 1, OTHER: 5}


def test_a_file_that_lost_its_counters() -> None:
    """A new file in place of a damaged one gets what the old one held."""
    ledger = Ledger()
    ledger.gain(DEATHS, 9)
    ledger.see("eva", "python3")
    ledger.batch()
    ledger.saved()
    ledger.gain(DEATHS, 1)
    ledger.merge(NOTHING)
    assert ledger.counters() == {DEATHS: 10}
    assert ledger.batch().gained == {DEATHS: 10}
    assert ledger.batch().pairs == [("eva", "python3")]


def test_deaths_in_memory_are_bounded() -> None:
    """The oldest go, but stay counted; and they stay known for a while."""
    ledger = Ledger()
    for number in range(DEATHS_KEPT + 5):
        ledger.record(death(number), [(DEATHS, 1)])
    assert len(ledger.unsaved_deaths) == DEATHS_KEPT
    assert ledger.unsaved_deaths[0].kernel_id == "k-5"
    assert ledger.counters() == {DEATHS: DEATHS_KEPT + 5}
    assert not ledger.record(death(0), [(DEATHS, 1)])


def test_who_is_alive_is_written_when_it_changes() -> None:
    """And whose death is recorded leaves with the same transaction."""
    ledger = Ledger()
    one, two = death(1).process, death(2).process
    ledger.merge(replace(NOTHING, alive={one: "old", two: "old"}, identities=(two,)))
    # The second one's death was recorded: somebody else has changed the file.
    assert ledger.alive == {one: "old"}
    assert ledger.batch().gone == [two]
    ledger.saved()
    ledger.remember({one: "old"})
    assert not ledger.unsaved
    ledger.remember({one: "new", death(3).process: "x"})
    assert ledger.batch().alive == {one: "new", death(3).process: "x"}
    ledger.saved()
    ledger.record(death(1), [(DEATHS, 1)])
    batch = ledger.batch()
    assert (batch.alive, batch.gone, len(batch.rows)) == ({}, [one], 1)


def test_a_counter_at_zero_exists() -> None:
    """So that its first increase is one."""
    ledger = Ledger()
    ledger.gain(DEATHS, 0)
    assert ledger.counters() == {DEATHS: 0}
    assert ledger.batch().gained == {DEATHS: 0}
    ledger.saved()
    ledger.gain(DEATHS, 0)
    assert not ledger.unsaved


def test_a_counter_does_not_go_down() -> None:
    """It is a counter."""
    with pytest.raises(ValueError, match="cannot go down"):
        Ledger().gain(DEATHS, -1)


def test_evidence_that_cannot_be_stored_changes_nothing() -> None:
    """It is told at once, not when it is written."""
    ledger = Ledger()
    with pytest.raises(TypeError):
        ledger.record(death(1, evidence={"a": object()}), [(DEATHS, 1)])
    assert not ledger.unsaved
    assert ledger.record(death(1), [(DEATHS, 1)])


class Storm(RuleBasedStateMachine):
    """Deaths, and a disk that works, fails, lies, vanishes and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.disk = NOTHING
        self.recorded: set[int] = set()
        self.expected = 0.0
        self.alive: dict[Identity, str] = {}

    @rule(number=st.integers(0, 12))
    def record(self, number: int) -> None:
        """A death, maybe one again."""
        new = self.ledger.record(death(number), [(DEATHS, 1)])
        assert new is (number not in self.recorded)
        self.recorded.add(number)
        self.expected += new
        self.alive.pop(death(number).process, None)

    @rule(numbers=st.dictionaries(st.integers(0, 12), st.sampled_from(["a", "b"]), max_size=4))
    def remember(self, numbers: dict[int, str]) -> None:
        """Who is alive; nobody who has died."""
        self.alive = {
            death(n).process: facts for n, facts in numbers.items() if n not in self.recorded
        }
        self.ledger.remember(self.alive)

    @rule()
    def write(self) -> None:
        """The disk works."""
        if self.ledger.unsaved:
            self.disk = loaded(self.disk, self.ledger.batch())
            self.ledger.saved()
        assert self.disk.alive == self.alive

    @rule()
    def write_fails(self) -> None:
        """The disk does not work, and is opened again."""
        self.ledger.batch()
        self.ledger.merge(self.disk)

    @rule()
    def write_seems_to_fail(self) -> None:
        """The disk works, and says that it did not."""
        self.disk = loaded(self.disk, self.ledger.batch())
        self.ledger.merge(self.disk)

    @rule()
    def another_disk(self) -> None:
        """The file is lost."""
        self.disk = replace(NOTHING, sequence=0)
        # Before anybody has said who is alive, a lost file takes that with it.
        self.ledger.remember(self.alive)
        self.ledger.merge(self.disk)

    @rule()
    def killed(self) -> None:
        """The daemon starts again with what the disk holds."""
        self.ledger = Ledger()
        self.ledger.merge(self.disk)
        self.recorded = {identity.start_ticks for identity in self.disk.identities}
        self.expected = self.disk.counters.get(DEATHS, 0.0)
        self.alive = dict(self.disk.alive)

    @invariant()
    def every_death_counts_once(self) -> None:
        """Whatever the disk does."""
        assert self.ledger.counters().get(DEATHS, 0.0) == self.expected

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Who is alive is known, and who died is not among them."""
        assert self.ledger.alive == self.alive


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_keys_do_not_depend_on_the_order_of_labels() -> None:
    """One series has one key, and it can be stored whatever its bytes were."""
    key = counter_key("n", {"b": "2", "a": "caf\udce9"})
    assert key == CounterKey("n", (("a", "caf\\udce9"), ("b", "2")))
    assert key == counter_key("n", {"a": "caf\udce9", "b": "2"})
