"""Preflight: may runs start now, as far as usage goes? It never waits for an answer.

What is known decides (`claude_tasks.domain.usage.judge`); where nothing fresh is known the usage
keeper is told to ask, and runs stay in the queue until it has an answer or a reason why not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.store_records import UsageBlock
from claude_tasks.domain.usage import Judgement, judge
from claude_tasks.domain.usage_text import failure_text, over_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.usage_ports import UsageStore

_UNKNOWN_RESET_MS = 15 * 60_000
"""A window that is full and does not say until when is looked at again after this."""


class Preflight:
    """Judges for the dispatcher, on the engine's thread and connection."""

    def __init__(
        self,
        *,
        store: UsageStore,
        threshold: Callable[[], float],
        ask: Callable[[], None],
        defers: bool,
    ) -> None:
        """``threshold`` is in percent, ``ask`` returns at once, ``defers`` is the general rule."""
        self._store = store
        self._threshold = threshold
        self._ask = ask
        self._defers = defers

    def judge(self, *, at: int) -> Judgement:
        """Whether runs may start."""
        return judge(self._store.read_usage(), threshold=self._threshold(), at=at)

    def ask(self) -> None:
        """Have somebody find out."""
        self._ask()

    def block(self, judgement: Judgement, *, at: int) -> UsageBlock:
        """What to tell the runs that a window is in the way of."""
        blocking = judgement.blocking
        assert blocking is not None  # judged to be over
        return UsageBlock(
            text=over_text(judgement, threshold=self._threshold(), at=at),
            until=blocking.resets_at or at + _UNKNOWN_RESET_MS,
            defers=self._defers,
        )

    @staticmethod
    def refusal(judgement: Judgement, *, at: int) -> str:
        """Why runs fail their preflight."""
        return failure_text(judgement, at=at)
