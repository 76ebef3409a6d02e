"""Figures about all runs there ever were, without reading all of them at every look.

A run that ended is never rewritten, so it is counted once and for all. The ledger keeps how far it
has read, the runs that had not ended then, and sums. A look reads the runs after that point and
reads the open ones again: each run is counted exactly once, whatever the order in which they end,
and a look that fails halfway is made good by the next.

Ticks are counted as soon as what they became is settled: when a node first takes the run (its
``claim`` never goes back), or when the row ends without that. Everything else counts at the end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.run import State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from claude_tasks.domain.run import Reason, Trigger
    from claude_tasks.domain.store_records import RunFacts

RAN = "run"
"""The outcome of a tick that became a run; others are the reasons of skips."""

CHUNK = 2000
"""Runs read by one statement: a few milliseconds of the database's time."""

LATENESS_BOUNDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300, 600)
WAIT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
DURATION_BOUNDS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)


class FactSource(Protocol):
    """Where facts of runs come from: `claude_tasks.domain.ports.RunStore` is one."""

    def run_facts(self, *, after_id: int, limit: int) -> Sequence[RunFacts]:
        """Facts of the runs after one, by id, which become visible in order."""
        ...

    def run_facts_of(self, ids: Collection[int]) -> Sequence[RunFacts]:
        """Facts of these runs as they stand."""
        ...


class Histogram:
    """How many durations fell under each bound (seconds), and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` rise; what lies above the last one is kept as well."""
        self.bounds = tuple(bounds)
        self.sum_ms = 0
        self._limits = [round(bound * 1000) for bound in bounds]
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, milliseconds: int) -> None:
        """One more. A clock that was set back makes no negative durations."""
        duration = max(0, milliseconds)
        self._counts[bisect_left(self._limits, duration)] += 1
        self.sum_ms += duration

    def cumulative(self) -> list[int]:
        """How many were at most as long as each bound; the last entry counts them all."""
        total = 0
        return [total := total + count for count in self._counts]


class RunLedger:
    """Sums over all runs. For one thread at a time."""

    def __init__(self) -> None:
        """Nothing is counted yet: the first `catch_up` reads all there is."""
        self.ticks: Counter[str] = Counter()
        self.runs: Counter[tuple[Trigger, State, Reason | None]] = Counter()
        self.lateness = Histogram(LATENESS_BOUNDS)
        self.wait = Histogram(WAIT_BOUNDS)
        self.duration = Histogram(DURATION_BOUNDS)
        self.cost_usd = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self._last_id = 0
        self._open: dict[int, State] = {}
        self._settled_ticks: set[int] = set()

    def catch_up(self, source: FactSource) -> None:
        """Count what happened since the last call. Errors: those of the source; call again."""
        self.look_again(source)
        while self.read_on(source):
            pass

    def look_again(self, source: FactSource) -> None:
        """Read the open runs again, and count those that ended."""
        if not self._open:
            return
        found = source.run_facts_of(tuple(self._open))
        # Rows are not deleted today; one that went all the same must not be asked for for ever.
        for run_id in self._open.keys() - {facts.id for facts in found}:
            self._forget(run_id)
        for facts in found:
            self._enter(facts)

    def read_on(self, source: FactSource) -> bool:
        """Read one chunk of runs not seen yet; whether there may be more.

        A long history can so be read between other work of the thread that has the database.
        """
        found = source.run_facts(after_id=self._last_id, limit=CHUNK)
        for facts in found:
            self._enter(facts)
            self._last_id = facts.id
        return len(found) == CHUNK

    def open_runs(self, state: State) -> int:
        """How many runs were in this state, queued or running, when last looked at."""
        return sum(1 for current in self._open.values() if current is state)

    def _enter(self, facts: RunFacts) -> None:
        """Take in a run as it stands: one seen for the first time, or one that was open."""
        if facts.trigger.is_tick and facts.id not in self._settled_ticks:
            self._enter_tick(facts)
        if facts.state.is_terminal:
            self._enter_end(facts)
            self._forget(facts.id)
        else:
            self._open[facts.id] = facts.state

    def _enter_tick(self, facts: RunFacts) -> None:
        if facts.claim == 0 and not facts.state.is_terminal:
            return  # still to be taken, or taken away
        self._settled_ticks.add(facts.id)
        if facts.claim == 0 and facts.state is State.SKIPPED:
            # A skip with a count stands for so many ticks, one without for itself.
            self.ticks[str(facts.reason)] += facts.skipped_count or 1
            return
        self.ticks[RAN] += 1
        if facts.scheduled_for is not None:
            self.lateness.observe(facts.queued_at - facts.scheduled_for)

    def _enter_end(self, facts: RunFacts) -> None:
        self.runs[facts.trigger, facts.state, facts.reason] += 1
        self.cost_usd += facts.cost_usd or 0.0
        self.input_tokens += facts.input_tokens or 0
        self.output_tokens += facts.output_tokens or 0
        if facts.started_at is None:
            return
        if facts.attempt == 1:  # later on, the row tells when the last attempt began
            self.wait.observe(facts.started_at - facts.queued_at)
        if facts.ended_at is not None:
            self.duration.observe(facts.ended_at - facts.started_at)

    def _forget(self, run_id: int) -> None:
        self._open.pop(run_id, None)
        self._settled_ticks.discard(run_id)
