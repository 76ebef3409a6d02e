"""``why``: what decides whether a task runs, and how its last ticks went."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.text.blocks import Pairs, Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.operations.explanation import Explanation
    from claude_tasks.text.blocks import Block

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

    task = context.operations.tasks.get(arguments.task, include_deleted=True)
    context.settle()
    found = with_folder(context.operations.status.why(task.id))
    return Result(data=lambda: explanation_view(found), text=lambda: _text(context, found))


def _text(context: Context, found: Explanation) -> list[Block]:
    from claude_tasks.text.run_text import run_table

    task = found.task
    pairs = [
        (f"{'!' if finding.stands_in_the_way else ' '} {finding.topic}",
         Toned(finding.text, "warn" if finding.stands_in_the_way else ""))
        for finding in found.findings
    ]  # fmt: skip
    now = context.now()
    table = run_table(found.last_runs, task.spec.timezone, now=now, empty="  none yet")
    head = Toned(f'Task {task.id} "{task.name}"', "bold")
    return [head, Pairs(pairs), "", "Last ticks and runs", table]
