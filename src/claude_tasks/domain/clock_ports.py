"""The store's interface about a clock that was ahead. See `claude_tasks.domain.clock_step`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.clock_step import AheadTask, ClockStep, LeftTask, SetBack
    from claude_tasks.domain.lease import Term


class ClockStore(Protocol):
    """What a clock that was ahead left behind."""

    def furthest_instant(self) -> int:
        """The latest instant that any process wrote, ms; 0 in an empty database."""
        ...

    def tasks_ahead(self, *, at: int, limit: int) -> list[AheadTask]:
        """Recurring tasks whose cursor lies in the future, the furthest first."""
        ...

    def set_clock_back(
        self, term: Term, tasks: Sequence[SetBack], *, back_ms: int | None, at: int
    ) -> int:
        """Record the step, set these cursors back, let waiting runs wait from now.

        ``back_ms`` is how far the clock went back, None where that step is recorded already.
        Returns how many tasks were unchanged since they were read. Errors: `LeadershipLostError`,
        and then nothing was written.
        """
        ...

    def last_clock_step(self) -> ClockStep | None:
        """The newest step that was settled."""
        ...

    def left_by_clock(self, *, at: int, task_id: int | None = None) -> list[LeftTask]:
        """Tasks, or one, that wait for a false future or were used up by it, by id."""
        ...
