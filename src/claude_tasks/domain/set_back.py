"""Computes a task's cursor after a clock that was ahead was set right. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.clock_step import Counted, SetBack
from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.task_schedule import schedule_of

if TYPE_CHECKING:
    from claude_tasks.domain.task import Task


def set_back(task: Task, counted: Counted | None, *, at: int) -> SetBack:
    """The task with its cursor at the true now.

    One that was made or rescheduled while the clock was ahead counts from now. The catch-up rule
    decides on ticks that passed meanwhile and were only counted.
    """
    if task.anchor_at > at:
        anchor_at = cursor_at = at
        decided_until = None
    else:
        anchor_at = task.anchor_at
        passed = None if counted is None else counted.first_passed
        cursor_at = at if passed is None else max(anchor_at, min(at, passed - 1))
        decided_until = None if counted is None else counted.decided_until
    return SetBack(task, anchor_at, cursor_at, _next(task, anchor_at, cursor_at), decided_until)


def _next(task: Task, anchor_at: int, cursor_at: int) -> int | None:
    try:
        return schedule_of(task._replace(anchor_at=anchor_at)).next_after(cursor_at)
    except ClaudeTasksError:
        return cursor_at + 1  # the ticker records it on a row, once
