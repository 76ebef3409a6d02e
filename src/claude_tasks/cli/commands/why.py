"""``why``: what decides whether a task runs, and how its last ticks went."""

from __future__ import annotations

from claude_tasks.cli.results import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = "What stands in the way is marked with !."
EXAMPLES = """
claude-tasks why nightly
claude-tasks why 7 --json | jq '.findings[] | select(.stands_in_the_way)'
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", help="id or name; a deleted one too")


def run(context: Context, arguments: Namespace) -> Result:
    """Explain it."""
    from claude_tasks.operations.folders import with_folder
    from claude_tasks.operations.status_views import explanation_view
    from claude_tasks.text.why_text import why_text

    task = context.operations.tasks.get(arguments.task, include_deleted=True)
    context.settle()
    found = with_folder(context.operations.status.why(task.id))
    return Result(
        data=lambda: explanation_view(found), text=lambda: why_text(found, now=context.now())
    )
