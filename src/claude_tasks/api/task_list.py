"""The list of all tasks as bytes: what did not change since the last time is not encoded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from claude_tasks.domain.task_fields import DEFAULT_PERMISSION_MODE, SECRET_FIELDS
from claude_tasks.operations.views import task_view

if TYPE_CHECKING:
    from claude_tasks.domain.store_records import TaskSummary


class TaskListEncoder:
    """Used on the database thread alone."""

    def __init__(self) -> None:
        """Nothing is encoded yet."""
        self._encoded: dict[tuple[int, bool], tuple[tuple[Any, ...], msgspec.Raw]] = {}

    def encode(self, summaries: list[TaskSummary], *, secrets: bool) -> bytes:
        """``{"tasks": […], "total": n}``; without ``secrets`` as a read-only token may see it."""
        before, self._encoded = (
            self._encoded,
            {key: kept for key, kept in self._encoded.items() if key[1] is not secrets},
        )
        tasks = []
        for summary in summaries:
            key = (summary.task.id, secrets)
            state = _state(summary)
            kept = before.get(key)
            if kept is None or kept[0] != state:
                kept = (state, msgspec.Raw(msgspec.json.encode(shown(summary, secrets=secrets))))
            self._encoded[key] = kept
            tasks.append(kept[1])
        return msgspec.json.encode({"tasks": tasks, "total": len(tasks)})


def shown(summary: TaskSummary, *, secrets: bool) -> dict[str, Any]:
    """A task as JSON values, as its reader may see it and a client of API v1 understands it.

    Such a client takes a missing permission mode for one that needs no approval, and writes that
    back. A time that was only set when the task was made would open its form on a date in the past.
    """
    view = task_view(summary)
    view.setdefault("permission_mode", DEFAULT_PERMISSION_MODE)
    if summary.task.runs_at_once:
        del view["scheduled_at"]
    if not secrets:
        # An address is a secret: it is shown only to clients that may change it.
        for name in SECRET_FIELDS:
            view.pop(name, None)
    return view


def _state(summary: TaskSummary) -> tuple[Any, ...]:
    """All that can change of what a task shows: edits bump the revision, the rest is named."""
    task = summary.task
    return (
        task.revision,
        task.spec.enabled,
        task.next_run_at,
        summary.last_run_at,
        summary.last_run_state,
        summary.last_run_reason,
        summary.deferred_until,
    )
