"""``cancel``: end a run, queued or running."""

from __future__ import annotations

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.results import Result
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run

DESCRIPTION = "The agent and all it started get TERM, then KILL."
EXAMPLES = """
claude-tasks cancel 128
claude-tasks cancel 128 --wait
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("run", metavar="RUN", type=typed("RUN", int), help="a run's id")
    parser.add_argument("--wait", action="store_true", help="until it has ended")


def run(context: Context, arguments: Namespace) -> Result:
    """Cancel it."""
    from claude_tasks.operations.views import run_view

    context.settle()
    asked = context.operations.runs.cancel(arguments.run)
    if arguments.wait and not asked.state.is_terminal:
        from claude_tasks.cli.follow import follow

        asked = follow(context, asked.id)
    return Result(
        data=lambda: run_view(asked), text=lambda: [_said(asked)], notes=_notes(context, asked)
    )


def _said(run: Run) -> str:
    if run.state.is_terminal:
        return f"Run {run.id} {run.state}."
    return f"Run {run.id} was asked to end."


def _notes(context: Context, run: Run) -> list[str]:
    if run.state.is_terminal:
        return []
    from claude_tasks.cli.follow import is_alone

    if not is_alone(context, run):
        return []
    told = "Its supervisor was told; no daemon to record it."
    return [Hint(f"{told} See how it went: ", Command("logs", run.id))]
