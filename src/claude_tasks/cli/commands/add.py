"""``add``: a new task, its schedule echoed with the ticks it leads to."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.cli.task_flags import (
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

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_fields import TaskSpec

DESCRIPTION = "Words after -- go to the agent as they are."
EXAMPLES = """
claude-tasks add lint "Run npm test" --cron "0 2 * * *" --allow-tool "Bash(npm test)"
claude-tasks add nightly "Mend the docs" --cron "0 3 * * *" --permission-mode acceptEdits
claude-tasks add watch "Look at error.log, say what is new" --every 90s --max-budget 0.50
claude-tasks add report --prompt-file report.md --at "tomorrow 9am" --dir ~/project
git diff | claude-tasks add review - --now --model sonnet -- --add-dir ../lib
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("prompt_word", metavar="PROMPT", nargs="?", help="- reads stdin")
    parser.add_argument("--disabled", action="store_true", help="keep it, but do not fire yet")
    add_task_flags(parser)
    parser.takes_extra = True


def run(context: Context, arguments: Namespace) -> Result:
    """Add the task."""
    from claude_tasks.operations.views import task_view
    from claude_tasks.text.task_text import (
        confirmation,
        folder_notes,
        permission_notes,
        scheduler_notes,
    )

    spec = _spec(context, arguments)
    task = naming_flags(lambda: context.operations.tasks.add(spec))
    summary = context.operations.runs.summary(task)
    return Result(
        data=lambda: task_view(summary),
        text=lambda: confirmation("Added", task, now=context.now()),
        notes=[
            *_namesakes(context, task),
            *folder_notes(task),
            *permission_notes(task),
            *scheduler_notes(context.operations, task),
        ],
    )


def _spec(context: Context, arguments: Namespace) -> TaskSpec:
    from claude_tasks.domain.task_fields import TaskSpec

    fields = named_fields(arguments)
    timezone = fields.get("timezone")
    if timezone is None:  # asked for only then: it may have to complain of TZ
        timezone = fields["timezone"] = context.zone
    schedule = given_schedule(context, arguments, timezone)
    if not schedule:
        raise InvalidInputError(
            "when should it run?",
            hint="give one of: --cron '0 9 * * *', --every 90s, --at 'tomorrow 9am', --now",
            code="usage",
        )
    fields.update(schedule)
    fields.update(given_dir(context, arguments.dir or "."))
    prompt = given_prompt(context, arguments, arguments.prompt_word)
    if prompt is None:
        raise InvalidInputError(
            "what should it do?",
            hint="give the prompt as a word after the name, with --prompt-file, or - for stdin",
            code="usage",
        )
    return TaskSpec(name=arguments.name, prompt=prompt, enabled=not arguments.disabled, **fields)


def _namesakes(context: Context, task: Task) -> list[str]:
    """Notes where the name does not find the task. Not looked up by name: digits are an id."""
    if task.name.isdecimal():
        return [f"Note: a number means an id; refer to this one as {task.id}."]
    if sum(entry.task.name == task.name for entry in context.operations.tasks.list()) > 1:
        return [f"Note: other tasks have this name too; refer to this one as {task.id}."]
    return []
