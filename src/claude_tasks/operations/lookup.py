"""Finding tasks. Apart from changing them, so that a light command need not load schedules."""

from __future__ import annotations

from claude_tasks.domain.errors import ConflictError, NotFoundError
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from claude_tasks.domain.clock_ports import ClockStore
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.errors import IllegibleError
    from claude_tasks.domain.ports import TaskStore
    from claude_tasks.domain.revision import TaskRevision
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task


if TYPE_CHECKING:

    class OwnedStore(TaskStore, ClockStore, Protocol):
        """Tasks, and what a clock that was ahead left of them."""


_MOST_DIGITS = 18
_NOBODYS = 10**_MOST_DIGITS


def as_id(digits: str) -> int:
    """The id that they name; for more digits than any id has one that nothing has."""
    return int(digits) if len(digits) <= _MOST_DIGITS else _NOBODYS


class TaskLookup:
    """Looks, and changes nothing."""

    def __init__(self, store: OwnedStore) -> None:
        """Work on this store."""
        self._store = store

    def get(self, reference: str | int, *, include_deleted: bool = False) -> Task:
        """A task by its id, or by a name that only one task has.

        With ``include_deleted`` a name that no live task has may be a deleted one's. Errors:
        `NotFoundError`; `ConflictError` for a name that several have.
        """
        text = str(reference).strip()
        if text.isdecimal():
            return self._store.get_task(as_id(text), include_deleted=include_deleted)
        named = self._store.find_tasks(text)
        if not named and include_deleted:
            everything = self._store.list_tasks(include_deleted=True)
            named = [entry.task for entry in everything if entry.task.name == text]
        if len(named) == 1:
            return named[0]
        if not named:
            raise NotFoundError(
                "Task not found", hint=Hint(f"no task is named {text!r}: ", Command("list"))
            )
        ids = ", ".join(str(task.id) for task in named)
        raise ConflictError(f"{len(named)} tasks are named {text!r}", hint=f"use an id: {ids}")

    def revisions(self, task: Task, *, limit: int) -> Sequence[TaskRevision]:
        """Who changed it, when and what, newest first."""
        return self._store.task_revisions(task.id, limit=limit)

    def list(self, *, include_deleted: bool = False, limit: int | None = None) -> list[TaskSummary]:
        """All tasks, or at most ``limit``, newest first."""
        return self._store.list_tasks(include_deleted=include_deleted, limit=limit)

    def left_out(self, found: Sequence[TaskSummary]) -> Sequence[IllegibleError]:
        """Live tasks that a list of all leaves out, for their rows make none."""
        live = sum(task.deleted_at is None for task, *_ in found)
        return self._store.illegible_tasks() if sum(self.count()) > live else []

    def left_by_clock(self, found: Sequence[TaskSummary], *, at: int) -> Sequence[LeftTask]:
        """Which of these wait for a false future or were used up in it. Asks only on suspicion."""
        from claude_tasks.domain.clock_step import is_ahead  # noqa: PLC0415 (apart from `get`)

        furthest = max((max(task.cursor_at, task.anchor_at) for task, *_ in found), default=None)
        return self._store.left_by_clock(at=at) if is_ahead(furthest, at=at) else []

    def is_skipped_ahead(self, summary: TaskSummary, *, at: int) -> bool:
        """Whether a clock that was ahead skipped this one-off, and its time is to come."""
        left = self.left_by_clock([summary], at=at)
        return any(each.task_id == summary.task.id and each.was_skipped for each in left)

    def count(self) -> tuple[int, int]:
        """How many are enabled, and how many are not."""
        return self._store.count_tasks()
