"""Looking ahead: a schedule in words, and its next ticks with what the clocks do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.hint import Hint
from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.schedule import dst_note, parse_schedule, upcoming
from claude_tasks.domain.schedule.zones import in_zone
from claude_tasks.domain.task_schedule import schedule_of, schedule_problem

if TYPE_CHECKING:
    from claude_tasks.domain.schedule import Schedule
    from claude_tasks.domain.task import Task


class PreviewTick(NamedTuple):
    """One tick to come; ``note`` says what a change of the clocks did to it."""

    at: int
    note: str | None


class Preview(NamedTuple):
    """A schedule, seen from now; ``is_senseless``: ``description`` says what is wrong with it."""

    expression: str
    timezone: str
    description: str
    ticks: list[PreviewTick]
    is_senseless: bool = False


def preview_expression(cron_expr: str, *, timezone: str, at: int, count: int) -> Preview:
    """What an expression means. Errors: `InvalidInputError`."""
    schedule = parse_schedule(cron_expr, timezone=timezone, anchor_at=at)
    return _preview(schedule, upcoming(schedule, at, count))


def preview_task(task: Task, *, count: int) -> Preview:
    """The ticks a task will have; none while it is disabled, deleted, spent, or senseless."""
    problem = schedule_problem(task)
    if problem is not None:
        text = Hint(problem.text, "; ", problem.mend(task))
        return Preview(task.spec.cron_expr, task.spec.timezone, text, [], is_senseless=True)
    schedule = schedule_of(task)
    first = task.next_run_at
    if first is None:
        return _preview(schedule, [])
    following = upcoming(schedule, first, count - 1) if count > 1 else []
    return _preview(schedule, [first, *following])


def preview_view(preview: Preview) -> dict[str, Any]:
    """As JSON values. ``local`` is the tick by the clocks of ``timezone``."""
    return {
        "cron_expr": preview.expression,
        "timezone": preview.timezone,
        "description": preview.description,
        "next_runs": [
            {
                "at": to_rfc3339(tick.at),
                "local": in_zone(tick.at, preview.timezone),
                "note": tick.note,
            }
            for tick in preview.ticks
        ],
    }


def _preview(schedule: Schedule, ticks: list[int]) -> Preview:
    return Preview(
        expression=schedule.expression,
        timezone=schedule.timezone,
        description=schedule.describe(),
        ticks=[PreviewTick(tick, dst_note(schedule, tick)) for tick in ticks],
    )
