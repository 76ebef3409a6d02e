"""Preflight: whether usage allows runs to start now. It never waits for an answer.

The last known usage decides (`claude_tasks.domain.usage.judge`). Where that is too old, the usage
keeper is told to ask, and runs stay in the queue until it has an answer or a failure.

A deferred run is judged again every quarter of an hour, for usage may fall before the reset. Where
usage is unknown at the time of the reset, the run waits for one more hour: a failing request must
not end a run that waited for hours. While the network cannot be reached, as after a laptop woke up,
every run waits for it, up to a quarter of an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.store_records import UsageBlock
from claude_tasks.domain.usage import LONGEST_LOOK_MS, Judgement, decide, is_network_trouble
from claude_tasks.domain.usage_text import failure_text, over_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.usage_ports import UsageStore

_SHORTEST_LOOK_MS = 30_000
"""A run that waited for hours need not be judged every second."""

PATIENCE_MS = 60 * 60_000
"""How long after the reset a deferred run waits for an answer."""


class Preflight:
    """Judges for the dispatcher, on the engine's thread and connection."""

    def __init__(
        self,
        *,
        store: UsageStore,
        threshold: Callable[[], float],
        ask: Callable[[], None],
        defers: bool,
        billed_by: Callable[[], str | None],
    ) -> None:
        """``threshold`` is in percent, ``ask`` returns at once.

        ``defers`` applies to tasks without a rule. ``billed_by`` names what pays for this process's
        agents instead of a subscription.
        """
        self._store = store
        self._threshold = threshold
        self._ask = ask
        self._defers = defers
        self._billed_by = billed_by

    def applies(self) -> bool:
        """Whether usage windows limit the agents of this process at all."""
        return self._billed_by() is None

    def decide(self, *, at: int) -> Judgement:
        """Whether runs may start."""
        return decide(self._store.read_usage(), threshold=self._threshold(), at=at)

    def ask(self) -> None:
        """Have the usage keeper ask."""
        self._ask()

    def block(self, judgement: Judgement, *, at: int) -> UsageBlock:
        """What to record on the runs that a window keeps from starting."""
        blocking = judgement.blocking
        assert blocking is not None  # judged to be over
        return UsageBlock(
            text=over_text(judgement, threshold=self._threshold(), at=at),
            until=blocking.resets_at or at + LONGEST_LOOK_MS,
            look_at=min(blocking.resets_at or at + LONGEST_LOOK_MS, at + LONGEST_LOOK_MS),
            defers=self._defers,
        )

    @staticmethod
    def look_again_at(judgement: Judgement, *, at: int) -> int:
        """When to judge again after the sources failed to answer."""
        retry_at = at if judgement.failure is None else judgement.failure.retry_at
        return min(max(retry_at, at + _SHORTEST_LOOK_MS), at + LONGEST_LOOK_MS)

    @staticmethod
    def is_cut_off(judgement: Judgement) -> bool:
        """Whether no source answered because the network cannot be reached."""
        return judgement.failure is not None and is_network_trouble(judgement.failure.code)

    @staticmethod
    def refusal(judgement: Judgement, *, at: int) -> str:
        """Why runs fail their preflight."""
        return failure_text(judgement, at=at)
