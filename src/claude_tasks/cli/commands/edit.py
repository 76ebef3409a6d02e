"""``edit``: only what is named changes."""

from __future__ import annotations

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.results import Result
from claude_tasks.cli.task_flags import (
    FIELD_OF,
    FLAG_OF,
    add_task_flags,
    given_dir,
    given_prompt,
    given_schedule,
    named_fields,
    naming_flags,
)
from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task

DESCRIPTION = "Flags are those of add; a list that is named replaces the old one."
EXAMPLES = """
claude-tasks edit nightly --cron "0 3 * * *"
claude-tasks edit 7 --prompt "Only the unit tests" --timeout 1h
claude-tasks edit 7 --permission-mode acceptEdits --allow-tool "Bash(npm test)"
claude-tasks edit 7 --clear model --clear timeout
claude-tasks edit report --at "friday 17:30"
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name")
    parser.add_argument("prompt_word", metavar="PROMPT", nargs="?", help="- reads stdin")
    parser.add_argument("--name", metavar="NAME", help="a new name")
    parser.add_argument("--enabled", action="store_true", help="as enable does")
    parser.add_argument("--disabled", action="store_true", help="as disable does")
    parser.add_argument(
        "--clear", metavar="FLAG", action="append", default=[],
        help=f"back to the default; repeatable: {', '.join(FIELD_OF)}",
    )  # fmt: skip
    parser.add_argument(
        "--revision", metavar="N", type=typed("--revision", int),
        help="refuse unless the task is at this revision",
    )  # fmt: skip
    add_task_flags(parser)
    parser.takes_extra = True


def run(context: Context, arguments: Namespace) -> Result:
    """Change the task."""
    from claude_tasks.operations.views import task_view
    from claude_tasks.text.task_text import (
        confirmation,
        folder_notes,
        permission_notes,
        scheduler_notes,
    )

    tasks = context.operations.tasks
    before = context.find_task(arguments.task)
    changes = _changes(context, arguments, before)
    if not changes:
        raise InvalidInputError(
            "nothing to change", hint="name what changes, such as --cron or --prompt", code="usage"
        )
    revision = arguments.revision
    task = naming_flags(lambda: tasks.edit(before.id, changes, expected_revision=revision))
    done = "Changed" if task.revision != before.revision else "Nothing to change in"
    summary = context.operations.runs.summary(task)
    return Result(
        data=lambda: task_view(summary),
        text=lambda: confirmation(done, task, now=context.now()),
        notes=[
            *folder_notes(task),
            *permission_notes(task),
            *scheduler_notes(context.operations, task),
        ],
    )


def _changes(context: Context, arguments: Namespace, before: Task) -> dict[str, Any]:
    cleared = _cleared(arguments.clear)
    changes = named_fields(arguments)
    timezone = changes.get("timezone") or cleared.get("timezone") or before.spec.timezone
    changes.update(given_schedule(context, arguments, timezone))
    changes.update(given_dir(context, arguments.dir))
    given = {
        "name": arguments.name,
        "enabled": _switch(arguments),
        "prompt": given_prompt(context, arguments, arguments.prompt_word),
    }
    changes.update({name: value for name, value in given.items() if value is not None})
    both = sorted(set(changes) & set(cleared))
    if both:
        name = FLAG_OF.get(both[0], both[0])
        raise InvalidInputError(f"{name} is set and cleared at once", code="usage")
    return cleared | changes


def _switch(arguments: Namespace) -> bool | None:
    if arguments.enabled and arguments.disabled:
        raise InvalidInputError("--enabled and --disabled: give one of them", code="usage")
    return arguments.enabled if arguments.enabled or arguments.disabled else None


def _cleared(names: list[str]) -> dict[str, Any]:
    """The changes that clear these, named as flags or as fields."""
    from claude_tasks.operations.clearing import cleared

    words = [name.removeprefix("--") for name in names]
    fields = [FIELD_OF.get(word.replace("_", "-"), word) for word in words]
    hint = f"one of: {', '.join(FIELD_OF)}"
    if any(field.replace("-", "_") in ("dir", "working_dir") for field in fields):
        raise InvalidInputError("--clear: a task always works somewhere", hint="name it with --dir")
    try:
        return cleared(fields)
    except InvalidInputError as error:
        raise InvalidInputError(f"--clear: {error.message}", hint=hint, code="usage") from error
