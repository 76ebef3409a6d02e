"""Tasks, as people own them: added, read, edited column by column."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.clock_step import AHEAD_MS
from claude_tasks.domain.errors import DELETED_TASK, IllegibleError, NotFoundError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.revision import TaskRevision, changes_between
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.store_records import ArmedSpec, TaskEdit, TaskSummary
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.storage.named_sql import fragment, load
from claude_tasks.storage.records import (
    SPEC_COLUMNS,
    TASK_COLUMNS,
    column_values,
    document,
    legible,
    sound,
    task_from_row,
    told_apart,
)
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.given_again import horizon
from claude_tasks.storage.tables.planned_rows import insert_tick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claude_tasks.domain.revision import Actor
    from claude_tasks.domain.task import Task

_SPEC_NAMES = ", ".join(SPEC_COLUMNS)
_SPEC_VALUES = ", ".join(f":{name}" for name in SPEC_COLUMNS)
_ADDRESSES = fragment("tasks", "addresses").replace("{task_id}", "t.id")
_DELETED_AT = TASK_COLUMNS.index("deleted_at")
_COLUMNS = ", ".join([*(f"t.{name}" for name in TASK_COLUMNS[:-1]), _ADDRESSES])


def select(sql: str) -> str:
    """A statement with the task's columns filled in."""
    return sql.replace("{task_columns}", _COLUMNS)


class TaskTable(Tables):
    """The store's part about tasks."""

    def add_tasks(self, armed: Sequence[ArmedSpec], *, actor: Actor, at: int) -> list[int]:
        """Insert all or none."""
        sql = load("tasks")["insert_task"]
        sql = sql.replace("{names}", _SPEC_NAMES).replace("{values}", _SPEC_VALUES)
        ids: list[int] = []
        with self._connection.write():
            for entry in armed:
                parameters = column_values(entry.spec._asdict())
                parameters.update(entry._asdict(), at=at)
                del parameters["spec"]
                task_id = self._connection.execute(sql, parameters).lastrowid
                assert task_id is not None  # an insert has a row id
                self._write_addresses(task_id, entry.spec._asdict())
                self._record_revision(task_id, 1, {}, actor=actor, at=at)
                ids.append(task_id)
            for task_id in ids:
                self._note("task", task_id, at)
        return ids

    def get_task(self, task_id: int, *, include_deleted: bool = False) -> Task:
        """One task."""
        rows = self._connection.rows(select(load("tasks")["get_task"]), {"task_id": task_id})
        if not rows:
            raise _no_task(task_id)
        deleted = rows[0][_DELETED_AT] is not None
        if deleted and not include_deleted:
            raise _no_task(task_id)
        return sound(DELETED_TASK if deleted else "task", rows[0], task_from_row)

    def find_tasks(self, name: str) -> list[Task]:
        """Live tasks of exactly this name.

        An unreadable row raises its error: it must not be missed.
        """
        rows = self._connection.rows(select(load("tasks")["find_tasks"]), {"name": name})
        tasks, illegible = told_apart("task", rows, task_from_row)
        if illegible and not tasks:
            raise illegible[0]
        return tasks

    def list_tasks(
        self, *, include_deleted: bool = False, limit: int | None = None
    ) -> list[TaskSummary]:
        """All tasks with what they last ran; see also `illegible_tasks`."""
        rows = self._connection.rows(
            select(load("tasks")["list_tasks"]),
            {"include_deleted": int(include_deleted), "limit": -1 if limit is None else limit},
        )
        summaries = []
        for row in rows:
            with contextlib.suppress(IllegibleError):
                summaries.append(_summary(sound("task", row, task_from_row), row))
        return summaries

    def illegible_tasks(self) -> list[IllegibleError]:
        """The errors of live tasks whose rows cannot be read."""
        rows = self._connection.rows(
            select(load("tasks")["list_tasks"]), {"include_deleted": 0, "limit": -1}
        )
        return told_apart("task", rows, task_from_row)[1]

    def count_tasks(self) -> tuple[int, int]:
        """How many tasks are enabled, and how many are not."""
        [(enabled, disabled)] = self._connection.rows(load("tasks")["count_tasks"])
        return enabled, disabled

    def tick_is_taken(self, task_id: int, scheduled_for: int) -> bool:
        """Whether a tick already has its row."""
        parameters = {"task_id": task_id, "scheduled_for": scheduled_for}
        return self._connection.value(load("tasks")["tick_is_taken"], parameters) is not None

    def edit_task(self, edit: TaskEdit, *, actor: Actor, at: int) -> bool:
        """Write an edit if the task was not changed since it was read."""
        with self._connection.write():
            if not edit.columns and not self._has_queued(edit.task_id):
                return True  # nothing to change
            before = self.get_task(edit.task_id, include_deleted=True)
            if not self._assign(edit, at=at):
                return False
            task = self.get_task(edit.task_id, include_deleted=True)
            changes = _changes_of(before, task)
            self._record_revision(task.id, task.revision, changes, actor=actor, at=at)
            self._withdraw(task, edit, at=at)
            if not task.is_one_off:  # a one-off's cursor always lies before its time
                self._record_step(task, edit, at=at)
            if edit.drop_queued is not None:
                self._drop_queued(edit.task_id, *edit.drop_queued, at=at)
            if "on_usage_limit" in edit.columns:
                parameters = {"task_id": edit.task_id, "at": at}
                for (run_id,) in self._connection.rows(
                    load("runs")["reconsider_deferred"], parameters
                ):
                    self._note("run", run_id, at)
            self._note("task", edit.task_id, at)
        return True

    def remove_illegible(self, task_id: int, *, actor: Actor, at: int) -> bool:
        """Delete a task whose row cannot be read."""
        parameters = {"task_id": task_id, "at": at}
        with self._connection.write():
            rows = self._connection.rows(load("tasks")["remove_illegible"], parameters)
            for (revision,) in rows:
                changes = {"deleted": (False, True)}
                self._record_revision(task_id, revision, changes, actor=actor, at=at)
                self._drop_queued(task_id, State.SKIPPED, Reason.DELETED, at=at)
                self._note("task", task_id, at)
        return bool(rows)

    def _withdraw(self, task: Task, edit: TaskEdit, *, at: int) -> None:
        """The skips for ticks that were due under the schedule that the edit takes away."""
        furthest = horizon(self._connection)
        for row in edit.withdrawn:
            run_id = insert_tick(self._connection, task, row, furthest, epoch=None, at=at)
            if run_id is not None:
                self._note("run", run_id, at)

    def _record_step(self, task: Task, edit: TaskEdit, *, at: int) -> None:
        """Record the clock step with which this edit sets the cursor back."""
        back_ms = edit.expected_cursor_at - task.cursor_at
        if back_ms > AHEAD_MS:
            parameters = {"at": at, "back_ms": back_ms}
            self._connection.execute(load("clock")["record_step_of_edit"], parameters)

    def _assign(self, edit: TaskEdit, *, at: int) -> bool:
        # Column names come from this program's own records, never from input.
        columns = {name: it for name, it in edit.columns.items() if name not in ADDRESS_FIELDS}
        assignments = "".join(f"{name} = :{name}, " for name in columns)
        parameters = column_values(columns)
        parameters.update(
            task_id=edit.task_id,
            expected_revision=edit.expected_revision,
            expected_cursor_at=edit.expected_cursor_at,
            expected_next_run_at=edit.expected_next_run_at,
            at=at,
        )
        sql = load("tasks")["edit_task"].replace("{assignments}", assignments)
        if self._connection.execute(sql, parameters).rowcount != 1:
            return False
        self._write_addresses(edit.task_id, edit.columns)
        return True

    def _write_addresses(self, task_id: int, fields: Mapping[str, object]) -> None:
        """Write the addresses in ``fields``; delete those that are unset."""
        for name, channel in ADDRESS_FIELDS.items():
            if name not in fields:
                continue
            statement = "set_address" if fields[name] else "clear_address"
            parameters = {"task_id": task_id, "channel": channel, "address": fields[name]}
            self._connection.execute(load("tasks")[statement], parameters)

    def task_revisions(self, task_id: int, *, limit: int) -> list[TaskRevision]:
        """Who changed a task, newest first."""
        parameters = {"task_id": task_id, "limit": limit}
        rows = self._connection.rows(load("tasks")["task_revisions"], parameters)
        return legible("revision", rows, _revision)

    def _record_revision(
        self, task_id: int, revision: int, changes: Mapping[str, Any], *, actor: Actor, at: int
    ) -> None:
        parameters = {
            "task_id": task_id,
            "revision": revision,
            "at": at,
            "actor": str(actor),
            "changes": json.dumps(changes, ensure_ascii=False),
        }
        self._connection.execute(load("tasks")["record_revision"], parameters)

    def _has_queued(self, task_id: int) -> bool:
        sql = load("tasks")["has_queued"]
        return self._connection.value(sql, {"task_id": task_id}) is not None

    def _drop_queued(self, task_id: int, state: State, reason: Reason, *, at: int) -> None:
        dropped = self._connection.rows(
            load("tasks")["drop_queued"],
            {
                "task_id": task_id,
                "state": state,
                "reason": reason,
                "error": f"the task was {reason} before this run began",
                "at": at,
            },
        )
        for (run_id,) in dropped:
            self._note("run", run_id, at)


def _changes_of(before: Task, after: Task) -> dict[str, tuple[Any, Any]]:
    changes = changes_between(before.spec, after.spec)
    gone = before.deleted_at is not None, after.deleted_at is not None
    return changes if gone[0] is gone[1] else {**changes, "deleted": gone}


def _pairs(changes: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, Any]]:
    return {name: (old, new) for name, (old, new) in changes.items()}


def _revision(row: Sequence[Any]) -> TaskRevision:
    revision, changed_at, actor, changes = row
    return TaskRevision(revision, changed_at, actor, _pairs(document(changes)))


def _no_task(task_id: int) -> NotFoundError:
    hint = Hint(f"there is no task {task_id}: ", Command("list"))
    return NotFoundError("Task not found", hint=hint)


def _summary(task: Task, row: Sequence[Any]) -> TaskSummary:
    """The summary, without its last run where that cannot be read."""
    began, state, reason, deferred = row[len(TASK_COLUMNS) :]
    try:
        last = None if state is None else State(state), None if reason is None else Reason(reason)
    except ValueError:
        return TaskSummary(task, None, None, None, None)
    began, deferred = (at if isinstance(at, int) else None for at in (began, deferred))
    return TaskSummary(task, began, *last, deferred)
