"""The ticker: turns due ticks into rows, all of a pass in one transaction.

The agenda is an index of the database (``tasks_agenda``), not a heap in memory: a new leader has
nothing to load, an old one nothing to drop, and an edit by any process changes the next wake-up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.clock_step import is_ahead
from claude_tasks.domain.errors import ClaudeTasksError, StorageValueError
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.planned import PlannedRow, TickPlan
from claude_tasks.domain.run import AT_ONCE, Reason
from claude_tasks.domain.set_back import set_back
from claude_tasks.domain.store_records import TickOutcome
from claude_tasks.domain.task_schedule import schedule_of
from claude_tasks.domain.tick import plan_ticks

if TYPE_CHECKING:
    from claude_tasks.domain.clock_ports import ClockStore
    from claude_tasks.domain.clock_step import Counted, SetBack
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Clock, TickStore
    from claude_tasks.domain.task import Task

    class AgendaStore(TickStore, ClockStore, Protocol):
        """The parts of the store that the ticker needs."""


log = logging.getLogger(__name__)

TASKS_A_PASS = 500
"""The limit keeps the transaction short: other writers wait for milliseconds only."""

PLANNING_SECONDS = 0.2
RESUME_SECONDS = 5.0
"""How often tasks whose schedule could not be read are tried again."""


class Ticker:
    """Takes what is due."""

    def __init__(self, store: AgendaStore, clock: Clock) -> None:
        """``store`` is the engine's; ``clock`` only limits how long a pass plans."""
        self._store = store
        self._clock = clock
        self._step: int | None = None
        """How far the clock went back, while tasks remain to be set back; None when all are."""
        self._refused: set[tuple[int, int]] = set()
        """Tasks, by id and revision, whose ticks the database refused."""
        self._resume_at = 0.0
        self._resumed_to = 0
        """The last parked task that was tried again."""

    def set_clock_back(self, term: Term, *, at: int) -> bool:
        """Undo what a clock that was ahead moved into the future; whether there may be more.

        Sets back up to `TASKS_A_PASS` tasks in one transaction, and all queued runs at once. Finds
        them by stored instants in the future, written by any process. Errors:
        `LeadershipLostError`.
        """
        furthest = self._store.furthest_instant()
        # ``at`` is old where the pass was suspended for long: so the clock is read.
        if not is_ahead(furthest, at=at) or not is_ahead(furthest, at=(at := self._clock.now())):
            return False
        ahead = self._store.tasks_ahead(at=at, limit=TASKS_A_PASS)
        planned = [_set_back(task, counted, at=at) for task, counted in ahead]
        tasks = [entry for entry in planned if entry is not None]
        first = bool(tasks) and self._step is None
        if first:
            self._step = max(task.cursor_at for task, _ in ahead) - at
        self._store.set_clock_back(term, tasks, back_ms=self._step if first else None, at=at)
        if first and self._step is not None:
            back = human_duration(self._step)
            log.warning("the clock was %s ahead: the ticks taken since then are set right", back)
        if len(ahead) < TASKS_A_PASS:
            self._step = None
            return False
        return True

    def take_due(self, term: Term, *, at: int) -> bool:
        """Take the due ticks of up to `TASKS_A_PASS` tasks; whether there may be more.

        Planning happens before the transaction: a write lock is held for writes only. A task
        edited in between is left for the next pass. Errors: `LeadershipLostError`.
        """
        tasks = self._store.due_tasks(at=at, limit=TASKS_A_PASS)
        if not tasks:
            return self._park_illegible(term, at=at)
        plans = self._plan_for_a_while(tasks, at=at)
        outcome = self._record(term, plans, at=at)
        log.debug("took ticks of %d tasks: %s", len(plans), outcome)
        return len(plans) < len(tasks) or len(tasks) == TASKS_A_PASS or outcome.edited_meanwhile > 0

    def _plan_for_a_while(self, tasks: list[Task], *, at: int) -> list[TickPlan]:
        """The plans of as many tasks as the pass has time for, at least one.

        Counting the ticks missed in a long gap takes time, in which no run starts.
        """
        until = self._clock.monotonic() + PLANNING_SECONDS
        plans = []
        for task in tasks:
            plans.append(_plan(task, at=at))
            if self._clock.monotonic() >= until:
                break
        return plans

    def _record(self, term: Term, plans: list[TickPlan], *, at: int) -> TickOutcome:
        """Write the plans; one that the database refuses stops only its own task."""
        try:
            return self._store.record_ticks(term, plans, at=at)
        except StorageValueError as error:
            if len(plans) == 1:
                return self._park(term, plans[0].task, error.message, at=at)
        half = len(plans) // 2
        halves = [self._record(term, part, at=at) for part in (plans[:half], plans[half:])]
        return TickOutcome(*map(sum, zip(*halves, strict=True)))

    def _park(self, term: Term, task: Task, why: str, *, at: int) -> TickOutcome:
        log.error("task %d: %s: it fires no more", task.id, why)
        self._refused.add((task.id, task.revision))
        self._store.park_task(term, task, why, at=at)
        return TickOutcome(queued=0, skipped=1, edited_meanwhile=0)

    def resume(self, term: Term, *, at: int) -> None:
        """Have parked tasks fire again whose schedule can be read again.

        The row was repaired, or the time zone is known again. Ticks in between are not made up for.
        """
        monotonic = self._clock.monotonic()
        if monotonic < self._resume_at:
            return
        self._resume_at = monotonic + RESUME_SECONDS
        parked, last = self._store.parked_tasks(after=self._resumed_to, limit=TASKS_A_PASS)
        for task in parked:
            self._resumed_to = task.id
            next_at = None if (task.id, task.revision) in self._refused else _next(task, at=at)
            if next_at is not None:
                log.warning("task %d makes sense again: it fires again", task.id)
                self._store.resume_task(term, task, next_at, at=at)
            if self._clock.monotonic() >= monotonic + PLANNING_SECONDS:
                return
        self._resumed_to = last

    def _park_illegible(self, term: Term, *, at: int) -> bool:
        """Park due tasks that cannot be read, so that the timer goes on to the next tick."""
        next_at = self._store.next_tick_at()
        if next_at is None or next_at > at:
            return False
        for error in self._store.park_illegible(term, at=at, limit=TASKS_A_PASS):
            log.error("%s: it fires no more", error)
        return True

    def next_at(self) -> int | None:
        """When the next tick is due."""
        return self._store.next_tick_at()


def _set_back(task: Task, counted: Counted, *, at: int) -> SetBack | None:
    """Set back one task; None where its schedule is invalid, which its next tick reports."""
    try:
        return set_back(task, counted, at=at)
    except Exception:
        log.exception("task %d: it cannot be set back", task.id)
        return None


def _next(task: Task, *, at: int) -> int | None:
    """The next tick of a parked task; None where its schedule still cannot be read."""
    try:
        return schedule_of(task).next_after(at)
    except Exception as error:  # noqa: BLE001 (logged when it was parked)
        log.debug("task %d still makes no sense: %s", task.id, error)
        return None


def _plan(task: Task, *, at: int) -> TickPlan:
    """The plan of one task. An invalid schedule stops only its own task and records why."""
    try:
        return plan_ticks(task, at=at)
    except ClaudeTasksError as error:
        why = error.message
        log.warning("task %d: its schedule cannot be computed: %s", task.id, why)
    except Exception as error:
        why = repr(error)
        log.exception("task %d: its schedule cannot be computed", task.id)
    tick = task.next_run_at
    assert tick is not None  # it was due
    row = PlannedRow(tick, AT_ONCE, Reason.INVALID_SCHEDULE, why)
    return TickPlan(task, (row,), tick, None)
