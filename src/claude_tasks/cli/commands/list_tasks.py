"""``list``: every task on a line. The lightest command that opens the database."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.hint import Command, Hint, Placeholder
from claude_tasks.text.blocks import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.text.blocks import Block

DESCRIPTION = ""
EXAMPLES = """
claude-tasks list
claude-tasks list --tag nightly
claude-tasks list --all --json | jq '.tasks[].name'
"""
_EMPTY = Hint(
    "No tasks yet. Begin with: ", Command("add", "NAME", Placeholder('"PROMPT"'), "--every", "1h")
)
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
    from claude_tasks.text.run_text import allow_notes

    runs = [context.operations.runs.get(run_id) for run_id in ids[:_MOST_NOTES] if run_id]
    return allow_notes(context.operations, runs)


def _data(found: Sequence[TaskSummary]) -> dict[str, object]:
    from claude_tasks.operations.views import task_view

    return {"tasks": [task_view(summary) for summary in found], "total": len(found)}


def _text(
    context: Context, found: Sequence[TaskSummary], left: Sequence[LeftTask], *, empty: str
) -> list[Block]:
    if not found:
        return [Table((), (), empty=empty)]
    from claude_tasks.text.task_table import task_table

    return [task_table(found, left, context.zone, now=context.now())]
