"""``enable``, ``disable``, ``rm``, ``restore``: one word, one task, one change."""

from __future__ import annotations

from claude_tasks.cli.context import Context
from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import ConflictError, IllegibleError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.operations.lookup import as_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.domain.task import Task

DESCRIPTION = ""
DESCRIPTIONS = {
    "enable": "Ticks that passed while it was off are not made up for.",
    "disable": "What waits in the queue is skipped; what runs goes on.",
    "rm": "What waits in the queue is skipped; what runs goes on.",
    "restore": "Ticks that passed meanwhile are not made up for.",
}
EXAMPLES = ""
EXAMPLES_OF = {
    command: f"claude-tasks {command} nightly\nclaude-tasks {command} 7" for command in DESCRIPTIONS
}
_DONE = {"enable": "Enabled", "disable": "Disabled", "restore": "Restored"}


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name")


def run(context: Context, arguments: Namespace) -> Result:
    """Make the change."""
    tasks = context.operations.tasks
    command = arguments.command
    if command == "rm":
        task_id = _id_of(context, arguments.task)
        return _removed(task_id, tasks.remove(task_id))
    task = (_deleted if command == "restore" else Context.find_task)(context, arguments.task)
    change = {"enable": tasks.enable, "disable": tasks.disable, "restore": tasks.restore}[command]
    changed = change(task.id)
    done = _DONE[command] if changed.revision != task.revision else f"{_DONE[command]} already:"
    return _changed(context, done, changed)


def _id_of(context: Context, reference: str) -> int:
    """The id of a task, also of one whose row cannot be read, which can only be removed."""
    try:
        return context.find_task(reference).id
    except IllegibleError as illegible:
        return as_id(str(illegible.number))


def _deleted(context: Context, reference: str) -> Task:
    """The deleted task with this name, even if a live one now has the name too."""
    found = context.operations.tasks.list(include_deleted=True)
    name = reference.strip()
    named = [s.task for s in found if s.task.name == name and s.task.deleted_at is not None]
    if name.isdecimal() or not named:
        return context.operations.tasks.get(reference, include_deleted=True)
    if len(named) > 1:
        ids = ", ".join(str(task.id) for task in named)
        raise ConflictError(
            f"{len(named)} deleted tasks are named {name!r}", hint=f"use an id: {ids}"
        )
    return named[0]


def _changed(context: Context, done: str, task: Task) -> Result:
    from claude_tasks.operations.views import task_view
    from claude_tasks.text.task_text import confirmation, scheduler_notes

    summary = context.operations.runs.summary(task)
    return Result(
        data=lambda: task_view(summary),
        text=lambda: confirmation(done, task, now=context.now()),
        notes=scheduler_notes(context.operations, task),
    )


def _removed(task_id: int, task: Task | None) -> Result:
    """``task`` is None where its row cannot be read."""
    name = "" if task is None else f' "{task.name}"'
    return Result(
        data=lambda: {"success": True, "message": "Task deleted", "id": task_id},
        text=lambda: [f"Deleted task {task_id}{name}. Its runs stay."],
        notes=[] if task is None else [Hint("Bring it back with: ", Command("restore", task_id))],
    )
