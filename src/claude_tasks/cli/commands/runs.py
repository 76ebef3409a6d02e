"""``runs``: what ran, newest first."""

from __future__ import annotations

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.results import Result
from claude_tasks.cli.suggest import did_you_mean
from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import State
    from claude_tasks.domain.store_records import RunFilter

DESCRIPTION = "Skipped ticks are runs too, with the reason."
EXAMPLES = """
claude-tasks runs
claude-tasks runs nightly --state failed --limit 50
claude-tasks runs --before 1200
claude-tasks runs --json | jq '.runs[] | select(.reason == "timeout")'
"""
_LIMIT = 20
_LIMITS = range(1, 1001)


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("task", metavar="TASK", nargs="?", help="id or name; else all tasks")
    parser.add_argument(
        "--state", metavar="STATE", action="append", default=[], help="only these; repeatable"
    )
    parser.add_argument("-n", "--limit", metavar="N", type=typed("--limit", int), default=_LIMIT)
    parser.add_argument(
        "--before", metavar="RUN", type=typed("--before", int), help="only older than this run"
    )


def run(context: Context, arguments: Namespace) -> Result:
    """List them."""
    from claude_tasks.cli.follow import unwatched_notes
    from claude_tasks.domain.store_records import MOST_COUNTED
    from claude_tasks.operations.views import run_view
    from claude_tasks.text.run_text import allow_notes, run_table

    wanted = _filter(context, arguments)
    context.settle()
    runs = context.operations.runs.list(wanted)
    total = context.operations.runs.count(wanted, most=MOST_COUNTED)
    notes = []
    if len(runs) == wanted.limit and runs[-1].id > 1 and len(runs) < total:
        many = f"{total:,} or more" if total == MOST_COUNTED else str(total)
        notes = [f"{len(runs)} of {many}; older ones: add --before {runs[-1].id}"]
    return Result(
        data=lambda: {"runs": [run_view(run) for run in runs], "total": total},
        text=lambda: [run_table(runs, context.zone, now=context.now(), empty="No runs.")],
        notes=[*notes, *allow_notes(context.operations, runs), *unwatched_notes(context, runs)],
    )


def _filter(context: Context, arguments: Namespace) -> RunFilter:
    from claude_tasks.domain.store_records import RunFilter

    if arguments.limit not in _LIMITS:
        raise InvalidInputError(f"--limit must be between 1 and {_LIMITS[-1]}")
    task_id = None
    if arguments.task is not None:
        task_id = context.operations.tasks.get(arguments.task, include_deleted=True).id
    states = tuple(_state(word) for word in arguments.state)
    return RunFilter(task_id, states, arguments.before, arguments.limit)


def _state(word: str) -> State:
    from claude_tasks.domain.run import State

    try:
        return State(word.lower())
    except ValueError:
        near = did_you_mean(word, State)
        known = f"one of: {', '.join(State)}"
        raise InvalidInputError(
            f"--state: {word!r}", hint=f"{near} {known}" if near else known
        ) from None
