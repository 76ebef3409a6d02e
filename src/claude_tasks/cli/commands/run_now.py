"""``run``: by the living scheduler, or by this process where none lives."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.text.blocks import Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run
    from claude_tasks.text.blocks import Block

DESCRIPTION = (
    "A living scheduler gets it into its queue; without one it runs here, in the foreground, and"
    " Ctrl-C cancels it; a second one, or SIGTERM, leaves it behind. The task's overlap rule holds."
)
EXAMPLES = """
claude-tasks run nightly
claude-tasks run nightly --wait > report.txt
claude-tasks run 7 --wait --json | jq .cost_usd
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name")
    parser.add_argument("--wait", action="store_true", help="exit 0 only if it completed")


def run(context: Context, arguments: Namespace) -> Result:
    """Run it."""
    task = context.find_task(arguments.task)
    context.settle()
    lives = context.operations.status.scheduler_lives()
    if not lives or arguments.wait:
        from claude_tasks.cli.foreground import run_elsewhere, run_here

        run_it = run_elsewhere if lives else run_here
        return ended_result(context, run_it(context, task))
    started = context.operations.runs.start(task.id)
    if started.state.is_terminal:  # skipped: overlap
        return ended_result(context, started)
    return _queued(started)


def ended_result(context: Context, run: Run) -> Result:
    """The agent's output on standard output, how the run ended on standard error."""
    from claude_tasks.domain.run import State
    from claude_tasks.text.run_text import allow_notes, ending

    good = run.state is State.COMPLETED
    notes = [ending(run), *allow_notes(context.operations, [run])]
    if run.state is State.FAILED:
        notes.append(Hint("Look closer with: ", Command("logs", run.id)))
    if run.state is State.SKIPPED:
        notes.append(Hint("What stands in the way: ", Command("why", run.task_id)))
    return Result(
        data=lambda: _view(run), text=lambda: _output(run), notes=notes, exit_code=0 if good else 1
    )


def _queued(run: Run) -> Result:
    return Result(
        data=lambda: _view(run),
        text=lambda: [f'Queued run {run.id} of task {run.task_id} "{run.task_name}".'],
        notes=[Hint("Follow it with: ", Command("logs", "-f", run.id))],
    )


def _output(run: Run) -> list[Block]:
    return [Raw(run.output)] if run.output else []


def _view(run: Run) -> dict[str, object]:
    from claude_tasks.operations.views import run_view

    return run_view(run)
