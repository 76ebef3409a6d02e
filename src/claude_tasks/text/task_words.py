"""How a task stands, in a word or two. Light: ``list`` shows it."""

from __future__ import annotations

from claude_tasks.text.times import table_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.domain.task import Task


def switch_word(task: Task, *, waits: bool = False, skipped: bool = False) -> str:
    """Whether the task fires at all: ``on``, ``off``, ``done`` (a spent one-off), ``deleted``.

    A one-off whose tick was taken is not done while its run ``waits``, nor where a clock that was
    ahead ``skipped`` it.
    """
    if task.deleted_at is not None:
        return "deleted"
    if (
        task.is_one_off
        and task.next_run_at is None
        and task.cursor_at >= (task.spec.scheduled_at or 0)
    ):
        return "waits" if waits else "skipped" if skipped else "done"
    return "on" if task.spec.enabled else "off"


def schedule_word(task: Task, zone: str, *, now: int) -> str:
    """The schedule, short enough for a table whose times are in ``zone``."""
    if not task.is_one_off:
        return task.spec.cron_expr
    if task.spec.scheduled_at is None:
        return "once"
    return f"once, {table_time(task.spec.scheduled_at, zone, now=now)}"
