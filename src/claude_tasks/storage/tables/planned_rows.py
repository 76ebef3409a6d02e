"""Checks and writes inside the tick transaction: the term, the overlap rule, the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import LeadershipLostError
from claude_tasks.domain.queueing import settle_overlap
from claude_tasks.domain.run import State, Trigger
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.tables.given_again import standing_of

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.planned import PlannedRow
    from claude_tasks.domain.task import Task
    from claude_tasks.storage.tables.base import Connection
    from claude_tasks.storage.tables.given_again import Horizon


def require_term(connection: Connection, term: Term) -> None:
    """Raise `LeadershipLostError` unless the lease row still has this term."""
    if connection.value(load("ticks")["term_stands"], term._asdict()) is None:
        raise LeadershipLostError(f"the lease left epoch {term.epoch}")


def settled(connection: Connection, task: Task, row: PlannedRow) -> PlannedRow:
    """The row after the overlap rule, given the queued and running runs of its task."""
    if row.reason is not None:
        return row
    active = connection.value(load("ticks")["count_active"], {"task_id": task.id})
    return settle_overlap(row, task.spec, active=active)


def make_way(connection: Connection, task_id: int, *, keep: int, at: int) -> None:
    """`cancel_other`: cancel the task's earlier runs in favour of the run ``keep``."""
    sql = load("ticks")
    parameters = {"task_id": task_id, "keep": keep, "at": at}
    connection.execute(sql["cancel_running_for_next"], parameters)
    connection.rows(sql["cancel_queued_for_next"], parameters)


def insert_tick(
    connection: Connection,
    task: Task,
    row: PlannedRow,
    horizon: Horizon,
    *,
    epoch: int | None,
    at: int,
) -> int | None:
    """Insert the row of a tick; its id, or None when the tick is already decided.

    A tick that comes again after the clock was set back cannot have the unique key: a collapsed row
    has or counts it.
    """
    trigger = standing_of(connection, task.id, row, horizon)
    if trigger is None:
        return None
    covers = row.scheduled_for if trigger is Trigger.CLOCK_SET else None
    return insert_planned(connection, task, row, epoch=epoch, at=at, trigger=trigger, covers=covers)


def insert_planned(
    connection: Connection,
    task: Task,
    row: PlannedRow,
    *,
    epoch: int | None,
    at: int,
    trigger: Trigger = Trigger.SCHEDULE,
    assigned_to: str | None = None,
    covers: int | None = None,
) -> int | None:
    """Insert one row; its id, or None when the tick already had one."""
    skipped = row.reason is not None
    inserted: int | None = connection.value(
        load("ticks")["insert_run"],
        {
            "task_id": task.id,
            "trigger": trigger,
            "scheduled_for": row.scheduled_for if trigger is Trigger.SCHEDULE else None,
            "state": State.SKIPPED if skipped else State.QUEUED,
            "reason": row.reason,
            "error": row.error,
            "epoch": epoch,
            "assigned_to": assigned_to,
            "not_before": row.not_before,
            "at": at,
            "ended_at": at if skipped else None,
            "skipped_count": row.skipped_count,
            "skipped_until": row.skipped_until,
            "covers": covers,
        },
    )
    return inserted
