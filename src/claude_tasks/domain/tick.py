"""Plans what a task's due ticks become; the ticker writes the plan in one transaction.

Given a task and an instant, `plan_ticks` accounts for every tick since the task's cursor: which
ones become runs, which ones collapse into one skip with a reason, and the cursor and next tick
after them. Pure: without leadership or storage.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from claude_tasks.domain.planned import PlannedRow, TickPlan
from claude_tasks.domain.run import AT_ONCE, Reason
from claude_tasks.domain.schedule import missed_between
from claude_tasks.domain.task_fields import Catchup, Overlap
from claude_tasks.domain.task_schedule import schedule_of

if TYPE_CHECKING:
    from claude_tasks.domain.schedule import Schedule
    from claude_tasks.domain.task import Task

ON_TIME_MS = 60_000
"""With ``catchup = none`` a tick this late still runs: a restart must not lose it."""

CATCHUP_ALL_CAP = 100
"""The most missed ticks ``catchup = all`` runs; older ones collapse into one skip."""

COUNT_CAP = 10_000
"""Missed ticks are counted exactly up to here; beyond, the record says "at least"."""


def start_jitter_ms(task_id: int, jitter_seconds: int) -> int:
    """A delay in [0, jitter], the same at every boot: it must not drift past the next tick."""
    if jitter_seconds <= 0:
        return 0
    return zlib.crc32(str(task_id).encode()) % (jitter_seconds * 1000 + 1)


def plan_ticks(task: Task, *, at: int) -> TickPlan:
    """Account for every tick of ``task`` in (cursor, at], by its catch-up rule."""
    first = task.next_run_at
    if first is None or first > at:
        return TickPlan(task, (), task.cursor_at, first)
    if task.is_one_off:
        return TickPlan(task, (_one_off_row(task, first, at=at),), first, None)
    schedule = schedule_of(task)
    following = schedule.next_after(first)
    if following is not None and following <= at:
        return _plan_gap(schedule, task, at=at)
    if at - first <= _window_ms(task):  # the usual case: one tick, just due
        return TickPlan(task, (_run_row(task, first, yields=True),), first, following)
    missed = _skip_range(schedule, task, first, Reason.MISSED, _NOBODY)
    return TickPlan(task, missed, first, following)


def _plan_gap(schedule: Schedule, task: Task, *, at: int) -> TickPlan:
    """Several ticks are due: run those the catch-up rule lets run, collapse the rest."""
    due = _ticks_to_run(schedule, task, at=at)
    reached = schedule.latest_at_or_before(at, after=task.cursor_at)
    assert reached is not None  # at least two ticks are due
    skip_until = due[0] - 1 if due else reached
    last_skipped = schedule.latest_at_or_before(skip_until, after=task.cursor_at)
    rows = _skip_range(schedule, task, last_skipped, Reason.MISSED, _NOBODY)
    # `catchup = all` asks for every one of them: they wait for each other in the queue.
    rows += tuple(_run_row(task, tick, yields=task.spec.catchup is not Catchup.ALL) for tick in due)
    return TickPlan(task, rows, reached, schedule.next_after(reached))


def plan_withdrawal(task: Task, *, at: int, reason: Reason) -> tuple[PlannedRow, ...]:
    """Skips for ticks that were already due when an edit removes their schedule.

    Without them, a tick that was due but not yet taken would have no row.
    """
    if task.next_run_at is None or task.next_run_at > at:
        return ()
    if task.is_one_off:
        return (PlannedRow(task.next_run_at, AT_ONCE, reason, _WITHDRAWN[reason]),)
    schedule = schedule_of(task)
    last = schedule.latest_at_or_before(at, after=task.cursor_at)
    return _skip_range(schedule, task, last, reason, _WITHDRAWN[reason])


_WITHDRAWN = {
    Reason.DISABLED: "the task was disabled before this tick was taken",
    Reason.DELETED: "the task was deleted before this tick was taken",
    Reason.RESCHEDULED: "the task was rescheduled before this tick was taken",
}


_NOBODY = "nobody could schedule then"


def _window_ms(task: Task) -> int:
    """How late a tick may still run."""
    return (
        ON_TIME_MS if task.spec.catchup is Catchup.NONE else task.spec.catchup_window_seconds * 1000
    )


def _one_off_row(task: Task, tick: int, *, at: int) -> PlannedRow:
    """The row of a one-off: it runs however late, except with ``catchup = none``."""
    if task.spec.catchup is Catchup.NONE and at - tick > ON_TIME_MS:
        return PlannedRow(tick, AT_ONCE, Reason.MISSED, f"the tick was skipped: {_NOBODY}")
    return _run_row(task, tick, yields=False)


def _ticks_to_run(schedule: Schedule, task: Task, *, at: int) -> list[int]:
    """The due ticks that the catch-up rule lets run, oldest first."""
    after = max(task.cursor_at, at - _window_ms(task) - 1)
    wanted = CATCHUP_ALL_CAP if task.spec.catchup is Catchup.ALL else 1
    ticks: list[int] = []
    until = at
    while len(ticks) < wanted:
        tick = schedule.latest_at_or_before(until, after=after)
        if tick is None:
            break
        ticks.append(tick)
        until = tick - 1
    return ticks[::-1]


def _run_row(task: Task, tick: int, *, yields: bool) -> PlannedRow:
    """A run to queue. Jitter delays its start, but does not change its key."""
    jitter = start_jitter_ms(task.id, task.spec.jitter_seconds)
    return PlannedRow(
        scheduled_for=tick,
        not_before=tick + jitter if jitter else AT_ONCE,
        yields=yields and task.spec.overlap is Overlap.SKIP,
    )


def _skip_range(
    schedule: Schedule, task: Task, last: int | None, reason: Reason, why: str
) -> tuple[PlannedRow, ...]:
    """One skip for all ticks in (cursor, last]: a gap is one row, with its count and range."""
    if last is None:
        return ()
    after = max(task.cursor_at, task.decided_until or 0)
    counted, first, _ = missed_between(schedule, after, last, COUNT_CAP)
    if first is None:
        return ()  # the cursor was set back: all of them have their own rows
    amount = f"at least {counted}" if counted >= COUNT_CAP else str(counted)
    ticks = "tick" if counted == 1 else "ticks"
    return (
        PlannedRow(
            scheduled_for=first,
            not_before=AT_ONCE,
            reason=reason,
            error=f"{amount} {ticks} skipped: {why}",
            skipped_count=counted,
            skipped_until=last,
        ),
    )
