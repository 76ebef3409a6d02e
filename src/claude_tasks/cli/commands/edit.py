"""``edit``: only what is named changes."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.cli.task_flags import (
    add_task_flags,
    given_dir,
    given_prompt,
    given_schedule,
    named_fields,
)
from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task

DESCRIPTION = "Flags are those of add; a list that is named replaces the old one."
EXAMPLES = """
claude-tasks edit nightly --cron "0 3 * * *"
claude-tasks edit 7 --prompt "Only the unit tests" --timeout 1h
claude-tasks edit 7 --clear model --clear max-turns
claude-tasks edit report --at "friday 17:30"
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name")
    parser.add_argument("prompt_word", metavar="PROMPT", nargs="?", help="- reads stdin")
    parser.add_argument("--name", metavar="NAME", help="a new name")
    parser.add_argument("--enabled", action="store_const", const=True, dest="enabled")
    parser.add_argument("--disabled", action="store_const", const=False, dest="enabled")
    parser.add_argument(
        "--clear", metavar="FIELD", action="append", default=[], help="back to the default"
    )
    parser.add_argument(
        "--revision", metavar="N", type=int, help="refuse unless the task is at this revision"
    )
    add_task_flags(parser)
    parser.takes_extra = True


def run(context: Context, arguments: Namespace) -> Result:
    """Change the task."""
    from claude_tasks.cli.task_text import (  # noqa: PLC0415 (after the flags were understood)
        confirmation,
        folder_notes,
        scheduler_notes,
    )
    from claude_tasks.operations.views import task_view  # noqa: PLC0415 (the same)

    tasks = context.operations.tasks
    before = tasks.get(arguments.task)
    changes = _changes(context, arguments, before)
    if not changes:
        raise InvalidInputError(
            "nothing to change", hint="name what changes, such as --cron or --prompt", code="usage"
        )
    task = tasks.edit(before.id, changes, expected_revision=arguments.revision)
    done = "Changed" if task.revision != before.revision else "Nothing to change in"
    summary = context.operations.runs.summary(task)
    return Result(
        data=lambda: task_view(summary),
        text=lambda: confirmation(done, task, now=context.now()),
        notes=[*folder_notes(task), *scheduler_notes(context, task)],
    )


def _changes(context: Context, arguments: Namespace, before: Task) -> dict[str, Any]:
    from claude_tasks.operations.clearing import cleared  # noqa: PLC0415 (not for --help)

    changes = cleared(arguments.clear) | named_fields(arguments)
    timezone = changes.get("timezone", before.timezone)
    changes.update(given_schedule(context, arguments, timezone))
    changes.update(given_dir(context, arguments.dir))
    given = {
        "name": arguments.name,
        "enabled": arguments.enabled,
        "prompt": given_prompt(context, arguments, arguments.prompt_word),
    }
    changes.update({name: value for name, value in given.items() if value is not None})
    return changes
