"""``next``: when a task or an expression fires, in its own zone, with what the clocks do to it."""

from __future__ import annotations

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError, NotFoundError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.text.blocks import Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.preview import Preview
    from claude_tasks.text.blocks import Block

DESCRIPTION = ""
EXAMPLES = """
claude-tasks next nightly
claude-tasks next --cron "30 2 * * *" --tz America/New_York -n 400
claude-tasks next --cron "@every 90s"
"""
_COUNT = 10
_COUNTS = range(1, 10_001)
_FIELDS = (5, 6)
"""Of a cron expression, without and with seconds."""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", nargs="?", help="id or name")
    parser.add_argument("--cron", metavar="EXPR", help="an expression instead of a task")
    parser.add_argument("--tz", metavar="ZONE", help="for --cron (default: this machine's)")
    parser.add_argument(
        "-n", "--limit", metavar="N", type=typed("--limit", int), default=_COUNT, help="how many"
    )


def run(context: Context, arguments: Namespace) -> Result:
    """Look ahead."""
    from claude_tasks.operations.preview import preview_view

    if arguments.limit not in _COUNTS:
        raise InvalidInputError(f"--limit must be between 1 and {_COUNTS[-1]}")
    if (arguments.task is None) == (arguments.cron is None):
        raise InvalidInputError("next of what?", hint="name a task, or give --cron EXPR")
    if arguments.tz is not None and arguments.cron is None:
        raise InvalidInputError("--tz goes with --cron: a task has its own zone", code="usage")
    now = context.now()
    preview, why_none = _of_task(context, arguments, now)
    return Result(
        data=lambda: preview_view(preview), text=lambda: _text(preview, why_none, now=now)
    )


def _of_task(context: Context, arguments: Namespace, now: int) -> tuple[Preview, str]:
    from claude_tasks.operations.preview import (
        preview_expression,
        preview_task,
    )
    from claude_tasks.text.task_words import switch_word

    if arguments.task is None:
        zone = arguments.tz or context.zone
        cron = arguments.cron
        return preview_expression(cron, timezone=zone, at=now, count=arguments.limit), "never"
    task = _found(context, arguments.task)
    skipped = context.tasks.is_skipped_ahead(context.operations.runs.summary(task), at=now)
    why_none = f"no next tick: the task is {switch_word(task, skipped=skipped)}"
    return preview_task(task, count=arguments.limit), why_none


def _found(context: Context, reference: str) -> Task:
    """A task. Errors: `NotFoundError`, with a hint where an expression was meant."""
    try:
        return context.find_task(reference)
    except NotFoundError as error:
        if len(reference.split()) not in _FIELDS:
            raise
        hint = Hint("for an expression: ", Command("next", "--cron", reference))
        raise NotFoundError(error.message, hint=hint) from None


def _text(preview: Preview, why_none: str, *, now: int) -> list[Block]:
    from claude_tasks.text.task_text import ticks_text

    ticks = ticks_text(preview, now=now) if preview.ticks else Toned(why_none, "warn")
    return [preview.description, *(f"  {line}" for line in ticks.splitlines())]
