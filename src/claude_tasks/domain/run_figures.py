"""Figures about all runs ever: sums and histograms, added run by run, stored as totals.

A run that ended is never rewritten, so it is added to the stored totals once, when its end is
announced. Runs that are not announced yet, or have not ended, are added at each read.

Ticks are counted as soon as it is settled what they became: when a node first takes the run (its
``claim`` never goes back), or when the row ends without that. Everything else counts at the end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from claude_tasks.domain.run import Reason, State, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claude_tasks.domain.store_records import RunFacts

RAN = "run"
"""The outcome of a tick that became a run; others are the reasons of skips."""

LATENESS_BOUNDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300, 600)
WAIT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
DURATION_BOUNDS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Seconds. Stored totals use these bounds: other bounds need a migration that counts again."""

_SUM = "sum_ms"
_PLAIN = ("cost_usd", "input_tokens", "output_tokens")


class Histogram:
    """How many durations fell under each bound (seconds), and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` rise; longer durations than the last bound are counted too."""
        self.bounds = tuple(bounds)
        self.sum_ms = 0
        self._limits = [round(bound * 1000) for bound in bounds]
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, milliseconds: int) -> None:
        """Count one duration; a negative one, from a clock that was set back, counts as 0."""
        duration = max(0, milliseconds)
        self._counts[bisect_left(self._limits, duration)] += 1
        self.sum_ms += duration

    def cumulative(self) -> list[int]:
        """How many were at most as long as each bound; the last entry counts them all."""
        total = 0
        return [total := total + count for count in self._counts]

    def cells(self) -> Iterator[tuple[str, float]]:
        """The values to store: label and amount."""
        yield from ((str(place), count) for place, count in enumerate(self._counts) if count)
        if self.sum_ms:
            yield _SUM, self.sum_ms

    def add(self, label: str, amount: float) -> None:
        """Add a stored value."""
        if label == _SUM:
            self.sum_ms += int(amount)
        else:
            self._counts[int(label)] += int(amount)


class RunFigures:
    """Sums over runs. For one thread at a time."""

    def __init__(self, kept: Iterable[tuple[str, str, float]] = ()) -> None:
        """Begin with the stored values: figure, label, amount."""
        self.ticks: Counter[str] = Counter()
        self.runs: Counter[tuple[Trigger, State, Reason | None]] = Counter()
        self.open: Counter[State] = Counter()
        self.histograms = {
            "lateness": Histogram(LATENESS_BOUNDS),
            "wait": Histogram(WAIT_BOUNDS),
            "duration": Histogram(DURATION_BOUNDS),
        }
        self.sums: dict[str, float] = dict.fromkeys(_PLAIN, 0)
        for figure, label, amount in kept:
            self._add(figure, label, amount)

    def enter(self, facts: RunFacts) -> None:
        """Add one run."""
        if facts.trigger.is_tick and (facts.claim or facts.state.is_terminal):
            self._enter_tick(facts)
        if facts.state.is_terminal:
            self._enter_end(facts)
        else:
            self.open[facts.state] += 1

    def cells(self) -> Iterator[tuple[str, str, float]]:
        """The values to store: figure, label, amount; without runs that have not ended."""
        yield from (("ticks", outcome, count) for outcome, count in self.ticks.items())
        for (trigger, state, reason), count in self.runs.items():
            yield "runs", f"{trigger} {state} {reason or ''}", count
        for figure, histogram in self.histograms.items():
            yield from ((figure, label, amount) for label, amount in histogram.cells())
        yield from ((figure, "", amount) for figure, amount in self.sums.items() if amount)

    def _add(self, figure: str, label: str, amount: float) -> None:
        if figure in self.histograms:
            self.histograms[figure].add(label, amount)
        elif figure == "ticks":
            self.ticks[label] += int(amount)
        elif figure == "runs":
            trigger, state, reason = label.split(" ")
            key = Trigger(trigger), State(state), Reason(reason) if reason else None
            self.runs[key] += int(amount)
        else:
            self.sums[figure] += amount

    def _enter_tick(self, facts: RunFacts) -> None:
        if facts.claim == 0 and facts.state is State.SKIPPED:
            # A skip with a count stands for that many ticks, one without for one.
            self.ticks[str(facts.reason)] += facts.skipped_count or 1
            return
        self.ticks[RAN] += 1
        if facts.scheduled_for is not None:
            self.histograms["lateness"].observe(facts.queued_at - facts.scheduled_for)

    def _enter_end(self, facts: RunFacts) -> None:
        self.runs[facts.trigger, facts.state, facts.reason] += 1
        self.sums["cost_usd"] += facts.cost_usd or 0.0
        self.sums["input_tokens"] += facts.input_tokens or 0
        self.sums["output_tokens"] += facts.output_tokens or 0
        if facts.started_at is None:
            return
        if facts.attempt == 1:  # else the row has the start of the last attempt only
            self.histograms["wait"].observe(facts.started_at - facts.queued_at)
        if facts.ended_at is not None:
            self.histograms["duration"].observe(facts.ended_at - facts.started_at)
