"""The ticker: turns due ticks into rows, all of a pass in one transaction.

The agenda is an index of the database (``tasks_agenda``), not a heap in memory: there is nothing
to load when leadership is gained, nothing to drop when it is lost, and an edit made anywhere moves
the timer by itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.planned import PlannedRow, TickPlan
from claude_tasks.domain.run import AT_ONCE, Reason
from claude_tasks.domain.tick import plan_ticks

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Clock, TickStore
    from claude_tasks.domain.task import Task

log = logging.getLogger(__name__)

TASKS_A_PASS = 500
"""Enough for any herd; a bounded transaction keeps other writers waiting for milliseconds only."""

PLANNING_SECONDS = 0.2


class Ticker:
    """Takes what is due."""

    def __init__(self, store: TickStore, clock: Clock) -> None:
        """Work on the engine's store; the clock only limits how long a pass plans."""
        self._store = store
        self._clock = clock

    def take_due(self, term: Term, *, at: int) -> bool:
        """Take the due ticks of up to `TASKS_A_PASS` tasks; whether there may be more.

        Planning happens before the transaction: a write lock is held for writes only. A task
        edited in between is left for the next pass. Errors: `LeadershipLostError`.
        """
        tasks = self._store.due_tasks(at=at, limit=TASKS_A_PASS)
        if not tasks:
            return self._park_illegible(term, at=at)
        plans = self._plan_for_a_while(tasks, at=at)
        outcome = self._store.record_ticks(term, plans, at=at)
        log.debug("took ticks of %d tasks: %s", len(plans), outcome)
        return len(plans) < len(tasks) or len(tasks) == TASKS_A_PASS or outcome.edited_meanwhile > 0

    def _plan_for_a_while(self, tasks: list[Task], *, at: int) -> list[TickPlan]:
        """The plans of as many tasks as the pass has time for, at least one.

        Counting the ticks missed in a long gap takes its time, and nothing starts meanwhile.
        """
        until = self._clock.monotonic() + PLANNING_SECONDS
        plans = []
        for task in tasks:
            plans.append(_plan(task, at=at))
            if self._clock.monotonic() >= until:
                break
        return plans

    def _park_illegible(self, term: Term, *, at: int) -> bool:
        """Where something is due and nothing can be read: the timer must not stand there."""
        next_at = self._store.next_tick_at()
        if next_at is None or next_at > at:
            return False
        for error in self._store.park_illegible(term, at=at, limit=TASKS_A_PASS):
            log.error("%s: it fires no more", error)
        return True

    def next_at(self) -> int | None:
        """When the next tick is due."""
        return self._store.next_tick_at()


def _plan(task: Task, *, at: int) -> TickPlan:
    """The plan of one task. A schedule that went bad stops its own task, visibly, and no other."""
    try:
        return plan_ticks(task, at=at)
    except Exception as error:
        log.exception("task %d: its schedule cannot be computed", task.id)
        tick = task.next_run_at
        assert tick is not None  # it was due
        why = error.message if isinstance(error, ClaudeTasksError) else repr(error)
        row = PlannedRow(tick, AT_ONCE, Reason.INVALID_SCHEDULE, why)
        return TickPlan(task, (row,), tick, None)
