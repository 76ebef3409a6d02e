"""The tick transaction: epoch check, rows and cursors, all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import IllegibleError
from claude_tasks.domain.store_records import NextTick, TickOutcome
from claude_tasks.domain.task_fields import Overlap
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import TASK_COLUMNS, legible, sound, task_from_row
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.given_again import Horizon, horizon
from claude_tasks.storage.tables.planned_rows import (
    insert_tick,
    make_way,
    require_term,
    settled,
)
from claude_tasks.storage.tables.tasks import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.planned import PlannedRow, TickPlan
    from claude_tasks.domain.task import Task


_NEXT_RUN_AT = TASK_COLUMNS.index("next_run_at")


class TickTable(Tables):
    """The store's part about ticks."""

    def due_tasks(self, *, at: int, limit: int) -> list[Task]:
        """Tasks with a tick at or before ``at``."""
        sql = select(load("ticks")["due_tasks"])
        rows = self._connection.rows(sql, {"at": at, "limit": limit})
        return legible("task", rows, task_from_row)

    def park_illegible(self, term: Term, *, at: int, limit: int) -> list[str]:
        """Park the due tasks whose rows cannot be read: they fire no more."""
        rows = self._connection.rows(select(load("ticks")["due_tasks"]), {"at": at, "limit": limit})
        errors = []
        with self._connection.write():
            require_term(self._connection, term)
            for row in rows:
                try:
                    sound("task", row, task_from_row)
                except IllegibleError as error:
                    errors.append(error.message)
                    self._park(row[0], row[_NEXT_RUN_AT], error.message, term=term, at=at)
        return errors

    def park_task(self, term: Term, task: Task, why: str, *, at: int) -> None:
        """Park one task: it fires no more."""
        assert task.next_run_at is not None  # it was due
        with self._connection.write():
            require_term(self._connection, term)
            self._park(task.id, task.next_run_at, why, term=term, at=at)

    def parked_tasks(self, *, after: int, limit: int) -> tuple[list[Task], int]:
        """Readable tasks that are enabled and have no next tick; the id to go on after."""
        parameters = {"after": after, "limit": limit}
        rows = self._connection.rows(select(load("ticks")["parked_tasks"]), parameters)
        last = rows[-1][0] if len(rows) == limit else 0
        return legible("task", rows, task_from_row), last

    def resume_task(self, term: Term, task: Task, next_run_at: int, *, at: int) -> None:
        """Let one parked task fire again."""
        parameters = {
            "task_id": task.id,
            "revision": task.revision,
            "next_run_at": next_run_at,
            "at": at,
        }
        with self._connection.write():
            require_term(self._connection, term)
            self._connection.execute(load("ticks")["resume_task"], parameters)
            self._note("task", task.id, at)

    def _park(self, task_id: int, tick: int, error: str, *, term: Term, at: int) -> None:
        sql = load("ticks")
        parameters = {
            "task_id": task_id,
            "tick": tick,
            "error": error,
            "epoch": term.epoch,
            "at": at,
        }
        self._connection.execute(sql["skip_illegible"], parameters)
        self._connection.execute(sql["park_illegible"], parameters)
        self._note("task", task_id, at)

    def next_tick_at(self) -> int | None:
        """The earliest tick of all tasks."""
        tick: int | None = self._connection.value(load("ticks")["next_tick_at"])
        return tick

    def next_ticks(self, *, limit: int) -> list[NextTick]:
        """The next tick of each task, earliest first."""
        rows = self._connection.rows(load("ticks")["next_ticks"], {"limit": limit})
        return [NextTick._make(row) for row in rows]

    def record_ticks(self, term: Term, plans: Sequence[TickPlan], *, at: int) -> TickOutcome:
        """Write every plan, or nothing when the term is over."""
        queued = skipped = edited = 0
        with self._connection.write():
            require_term(self._connection, term)
            furthest = horizon(self._connection)
            for plan in plans:
                if not self._advance(plan):
                    edited += 1
                    continue
                for row in plan.rows:
                    if self._record(plan.task, row, furthest, term=term, at=at):
                        queued += 1
                    else:
                        skipped += 1
                self._note("task", plan.task.id, at)
        return TickOutcome(queued, skipped, edited)

    def _advance(self, plan: TickPlan) -> bool:
        cursor = self._connection.execute(
            load("ticks")["advance_cursor"],
            {
                "task_id": plan.task.id,
                "revision": plan.task.revision,
                "due_at": plan.task.next_run_at,
                "cursor_at": plan.cursor_at,
                "next_run_at": plan.next_run_at,
            },
        )
        return cursor.rowcount == 1

    def _record(
        self, task: Task, row: PlannedRow, furthest: Horizon, *, term: Term, at: int
    ) -> bool:
        """Write one row; True when it is a run to start."""
        row = settled(self._connection, task, row)
        run_id = insert_tick(self._connection, task, row, furthest, epoch=term.epoch, at=at)
        if run_id is None:
            return False  # this tick already had its row
        if row.reason is None and task.spec.overlap is Overlap.CANCEL_OTHER:
            make_way(self._connection, task.id, keep=run_id, at=at)
        self._note("run", run_id, at)
        return row.reason is None
