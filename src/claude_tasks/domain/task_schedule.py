"""The schedule of a stored task, which may have been damaged since it was validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import InvalidInputError, UnknownZoneError
from claude_tasks.domain.hint import Command, Placeholder
from claude_tasks.domain.schedule import Schedule, parse_schedule

if TYPE_CHECKING:
    from claude_tasks.domain.task import Task


class ScheduleProblem(NamedTuple):
    """What is wrong with a schedule, and the flag of ``edit`` that fixes it, with a placeholder."""

    text: str
    flag: tuple[str, str]

    def mend(self, task: Task) -> Command:
        """The command that helps."""
        return Command("edit", task.id, *self.flag)


def schedule_of(task: Task) -> Schedule:
    """The schedule a stored task was validated with. Errors: `InvalidInputError`."""
    return parse_schedule(
        task.spec.cron_expr,
        timezone=task.spec.timezone,
        scheduled_at=task.spec.scheduled_at,
        anchor_at=task.anchor_at,
    )


def schedule_problem(task: Task) -> ScheduleProblem | None:
    """Why its schedule is invalid; None for a valid one."""
    try:
        schedule_of(task)
    except InvalidInputError as error:
        return ScheduleProblem(error.message, _flag(task, error))
    return None


def _flag(task: Task, error: InvalidInputError) -> tuple[str, str]:
    """The flag to fix: a zone within the expression wins over the task's own."""
    if isinstance(error, UnknownZoneError) and "TZ=" not in task.spec.cron_expr:
        return "--tz", Placeholder("<ZONE>")
    return (
        ("--at", Placeholder("<TIME>"))
        if task.is_one_off
        else ("--cron", Placeholder("<EXPRESSION>"))
    )
