"""``show``: all about one task."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.text.blocks import Pairs, Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task
    from claude_tasks.text.blocks import Block

DESCRIPTION = ""
EXAMPLES = """
claude-tasks show nightly
claude-tasks show 7 --json | jq .next_run_at
claude-tasks show nightly --history
"""
_RUNS = 5
_REVISIONS = 1000


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name")
    parser.add_argument("--history", action="store_true", help="who changed it, when and what")


def run(context: Context, arguments: Namespace) -> Result:
    """Show it."""
    from claude_tasks.domain.store_records import RunFilter
    from claude_tasks.operations.preview import preview_task, preview_view
    from claude_tasks.operations.views import run_view, task_view
    from claude_tasks.text.run_text import allow_notes

    context.settle()
    operations = context.operations
    task = operations.tasks.get(arguments.task, include_deleted=True)
    if arguments.history:
        return _history(context, task)
    runs = operations.runs.list(RunFilter(task_id=task.id, limit=_RUNS))
    now = context.now()

    def data() -> dict[str, object]:
        view = task_view(operations.runs.summary(task))
        view["schedule"] = preview_view(preview_task(task, count=_RUNS))
        view["runs"] = [run_view(run) for run in runs]
        return view

    return Result(
        data=data,
        text=lambda: _text(context, operations.runs.summary(task), runs, now=now),
        notes=allow_notes(context.operations, runs),
    )


def _history(context: Context, task: Task) -> Result:
    from claude_tasks.operations.views import revision_view
    from claude_tasks.text.task_text import revision_table

    revisions = context.operations.tasks.revisions(task, limit=_REVISIONS)
    table = revision_table(revisions, task.spec.timezone, now=context.now())
    return Result(
        data=lambda: {"revisions": [revision_view(each) for each in revisions]},
        text=lambda: [Toned(f'Task {task.id} "{task.name}"', "bold"), table],
    )


def _text(context: Context, summary: TaskSummary, runs: list[Run], *, now: int) -> list[Block]:
    from claude_tasks.operations.preview import preview_task
    from claude_tasks.text.run_text import run_table
    from claude_tasks.text.task_text import (
        ECHOED_TICKS,
        changed_times,
        next_ticks_text,
        settings_of,
    )
    from claude_tasks.text.task_words import switch_word
    from claude_tasks.wiring.channels import channels_of

    task, deferred_until = summary.task, summary.deferred_until
    preview = preview_task(task, count=ECHOED_TICKS)
    expression = f"{task.spec.cron_expr}   " if task.spec.cron_expr else ""
    skipped = context.tasks.is_skipped_ahead(summary, at=now)
    switch = switch_word(task, waits=deferred_until is not None, skipped=skipped)
    channels = channels_of(context.settings, task)
    facts = [
        ("state", switch),
        ("deferred", _deferred(deferred_until, task.spec.timezone, now)),
        ("schedule", f"{expression}{preview.description}"),
        ("next", next_ticks_text(preview, switch, now=now)),
        ("works in", task.spec.working_dir),
        *settings_of(task),
        ("tells", ", ".join(f"{each.channel} {each.address}" for each in channels)),
        ("added", changed_times(task, now=now)),
        ("prompt", task.spec.prompt.strip()),
    ]
    table = run_table(runs, task.spec.timezone, now=now, empty="  no runs yet")
    return [Toned(f'Task {task.id} "{task.name}"', "bold"), Pairs(facts), "", "Last runs", table]


def _deferred(until: int | None, zone: str, now: int) -> str:
    from claude_tasks.text.times import when

    return "" if until is None else Toned(f"a run waits until {when(until, zone, now=now)}", "warn")
