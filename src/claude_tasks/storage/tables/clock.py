"""Finds what a clock that was ahead moved into the future, and sets it back: one transaction."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from claude_tasks.domain.clock_step import (
    AHEAD_MS,
    EARLIEST_PLAUSIBLE,
    AheadTask,
    ClockStep,
    Counted,
    Left,
    LeftTask,
)
from claude_tasks.domain.errors import IllegibleError
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import TASK_COLUMNS, sound, task_from_row
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.planned_rows import require_term
from claude_tasks.storage.tables.tasks import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.clock_step import SetBack
    from claude_tasks.domain.lease import Term


class ClockTable(Tables):
    """The store's part about clock steps."""

    def furthest_instant(self) -> int:
        """The latest instant in the database; the query takes microseconds."""
        return int(self._connection.value(load("clock")["furthest_instant"]))

    def tasks_ahead(self, *, at: int, limit: int) -> list[AheadTask]:
        """Recurring tasks whose cursor lies in the future, the furthest first."""
        sql = select(load("clock")["tasks_ahead"])
        rows = self._connection.rows(sql, {"at": at, "beyond": at + AHEAD_MS, "limit": limit})
        ahead = []
        for row in rows:
            with contextlib.suppress(IllegibleError):  # the ticker parks such a task
                task = sound("task", row, task_from_row)
                ahead.append(AheadTask(task, Counted(*row[len(TASK_COLUMNS) :])))
        return ahead

    def set_clock_back(
        self, term: Term, tasks: Sequence[SetBack], *, back_ms: int | None, at: int
    ) -> int:
        """Record the step, set cursors back, let waiting runs wait from now."""
        with self._connection.write():
            require_term(self._connection, term)
            if back_ms is not None:
                parameters = {**term._asdict(), "back_ms": back_ms, "at": at}
                self._connection.execute(load("clock")["record_step"], parameters)
            moved = sum(self._set_back(entry, at=at) for entry in tasks)
            self._free_one_offs(at=at)
            self._free_queue(at=at)
            for name in ("send_now", "correct_changes"):
                self._connection.execute(load("clock")[name], {"at": at, "beyond": at + AHEAD_MS})
        return moved

    def last_clock_step(self) -> ClockStep | None:
        """The newest step."""
        rows = self._connection.rows(load("clock")["last_step"])
        return ClockStep._make(rows[0]) if rows else None

    def left_by_clock(self, *, at: int, task_id: int | None = None) -> list[LeftTask]:
        """What was left by the clock and is not settled yet."""
        if at < EARLIEST_PLAUSIBLE:
            return []
        parameters = {"beyond": at + AHEAD_MS, "task_id": task_id}
        rows = self._connection.rows(load("clock")["left_by_clock"], parameters)
        return [LeftTask(row[0], row[1], Left(row[2]), row[3]) for row in rows]

    def _set_back(self, entry: SetBack, *, at: int) -> bool:
        """Set one task back; False where it changed since it was read."""
        parameters = {
            "task_id": entry.task.id,
            "revision": entry.task.revision,
            "expected_cursor_at": entry.task.cursor_at,
            "anchor_at": entry.anchor_at,
            "cursor_at": entry.cursor_at,
            "next_run_at": entry.next_run_at,
            "decided_until": entry.decided_until,
        }
        moved = self._connection.execute(load("clock")["set_back"], parameters).rowcount == 1
        if moved:
            self._note("task", entry.task.id, at)
        return moved

    def _free_one_offs(self, *, at: int) -> None:
        """Let one-offs that were to fire at once do so, by the true clock."""
        parameters = {"at": at, "beyond": at + AHEAD_MS}
        for name in ("fire_now", "rearm_now"):
            for (task_id,) in self._connection.rows(load("clock")[name], parameters):
                self._note("task", task_id, at)

    def _free_queue(self, *, at: int) -> None:
        """Let queued runs wait as long as they were to wait, but from now on.

        The feed tells when each run was written; where its entry was deleted, ``queued_at`` counts.
        """
        sql, beyond = load("clock"), {"beyond": at + AHEAD_MS}
        written = {
            int(ref): then for ref, then in self._connection.rows(sql["future_changes"], beyond)
        }
        for run_id, not_before, queued_at in self._connection.rows(sql["waiting_beyond"], beyond):
            then = written.get(run_id, queued_at)
            if then <= at + AHEAD_MS:
                continue  # written by a right clock: keep that wait
            start = min(not_before, at + max(0, not_before - then))
            parameters = {"run_id": run_id, "not_before": start, "at": at}
            self._connection.execute(sql["wait_from_now"], parameters)
            self._note("run", run_id, at)
