"""``list``: every task on a line. The lightest command that opens the database."""

from __future__ import annotations

from claude_tasks.cli.results import Column, Result, Table, Toned
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.cli.results import Block
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.store_records import TaskSummary

DESCRIPTION = ""
EXAMPLES = """
claude-tasks list
claude-tasks list --tag nightly
claude-tasks list --all --json | jq '.tasks[].name'
"""
_EMPTY = Hint("No tasks yet. Begin with: ", Command("add", "NAME", '"PROMPT"', "--every", "1h"))
_MOST_NOTES = 3
_NONE_TAGGED = "No task has that tag."
_NONE_LEGIBLE = "No task that can be read."


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("--all", action="store_true", help="deleted ones too")
    parser.add_argument("--tag", metavar="TAG", help="only tasks with this tag")


def run(context: Context, arguments: Namespace) -> Result:
    """List them."""
    found = context.tasks.list(include_deleted=arguments.all)
    left_out = context.tasks.left_out(found)
    if arguments.tag is not None:
        found = [summary for summary in found if arguments.tag in summary.task.spec.tags]
    empty: str = _EMPTY if arguments.tag is None else _NONE_TAGGED
    if left_out and arguments.tag is None:
        empty = _NONE_LEGIBLE
    left = context.tasks.left_by_clock(found, at=context.now())
    return Result(
        data=lambda: _data(found),
        text=lambda: _text(context, found, left, empty=empty),
        notes=[
            *_notes([Hint(error.message, "; ", error.hint or "") for error in left_out]),
            *_notes(_clock_problems(context, found, left)),
            *_denied(context, found),
        ],
    )


def _notes(lines: Sequence[str]) -> list[str]:
    more = [f"Note: and {len(lines) - _MOST_NOTES} more"] if len(lines) > _MOST_NOTES else []
    return [*(Hint("Note: ", line) for line in lines[:_MOST_NOTES]), *more]


def _clock_problems(
    context: Context, found: list[TaskSummary], left: Sequence[LeftTask]
) -> list[str]:
    """What a clock that was ahead left, with the command that helps."""
    if not left:
        return []
    from claude_tasks.operations.clock_text import trouble

    led = context.operations.status.leader() is not None
    shown = {summary.task.id for summary in found}
    return [trouble(each, led=led, at=context.now()).line for each in left if each.task_id in shown]


def _denied(context: Context, found: Sequence[TaskSummary]) -> list[str]:
    """What helps where the last run of a task was denied something."""
    ids = [each.task.last_run_id for each in found if each.last_run_reason == "denied"]
    if not ids:
        return []
    from claude_tasks.cli.run_text import allow_notes

    runs = [context.operations.runs.get(run_id) for run_id in ids[:_MOST_NOTES] if run_id]
    return allow_notes(context, runs)


def _data(found: Sequence[TaskSummary]) -> dict[str, object]:
    from claude_tasks.operations.views import task_view

    return {"tasks": [task_view(summary) for summary in found], "total": len(found)}


def _text(
    context: Context, found: Sequence[TaskSummary], left: Sequence[LeftTask], *, empty: str
) -> list[Block]:
    if not found:
        return [Table((), (), empty=empty)]
    now, zone = context.now(), context.zone
    skipped = {each.task_id for each in left if each.was_skipped}
    rows = [_row(each, zone, now, skipped=each.task.id in skipped) for each in found]
    return [Table(_columns(zone, now), rows)]


def _columns(zone: str, now: int) -> tuple[Column, ...]:
    from claude_tasks.cli.times import zone_titles

    title, short = zone_titles("NEXT RUN", zone, now=now)
    return (
        Column("ID", right=True),
        Column("NAME", flexible=4),
        Column("SCHEDULE", flexible=2),
        Column("ON"),
        Column(title, short=short, flexible=1),
        Column("LAST RUN", flexible=3, droppable=True),
    )


def _row(summary: TaskSummary, zone: str, now: int, *, skipped: bool) -> tuple[str, ...]:
    from claude_tasks.cli.task_words import schedule_word, switch_word

    task = summary.task
    switch = switch_word(task, waits=summary.deferred_until is not None, skipped=skipped)
    return (
        str(task.id),
        Toned(task.name, "bold"),
        schedule_word(task, zone, now=now),
        switch if switch == "on" else Toned(switch, "dim"),
        _next(summary, zone, now),
        _last(summary, now),
    )


def _next(summary: TaskSummary, zone: str, now: int) -> str:
    from claude_tasks.cli.times import relative, table_time

    task, deferred_until = summary.task, summary.deferred_until
    if deferred_until is not None:
        shown = f"deferred, {table_time(deferred_until, zone, now=now)}"
        return Toned(f"{shown} ({relative(deferred_until, now=now)})", "warn", short=shown)
    if task.next_run_at is None:
        return "-"
    if task.next_run_at <= now:
        return Toned(f"due {relative(task.next_run_at, now=now)}", "warn", short="due")
    shown = table_time(task.next_run_at, zone, now=now)
    return Toned(f"{shown} ({relative(task.next_run_at, now=now)})", short=shown)


def _last(summary: TaskSummary, now: int) -> str:
    from claude_tasks.cli.run_words import outcome_word
    from claude_tasks.cli.times import relative

    state = summary.last_run_state
    if state is None:
        return "-"
    word = outcome_word(state, summary.last_run_reason)
    began = "" if summary.last_run_at is None else f", {relative(summary.last_run_at, now=now)}"
    return Toned(f"{word}{began}", word.tone, short=str(word))
