"""``import``: tasks from a JSON document, all or none."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = (
    'The document is {"tasks": [{"name": …, "prompt": …, "cron_expr": …}]}, with the fields of the'
    " API's TaskRequest. One bad task, and none is added."
)
EXAMPLES = """
claude-tasks import tasks.json --dry-run
claude-tasks import tasks.json
claude-tasks export --data ~/old | claude-tasks import -
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("file", metavar="FILE", help="- reads stdin")
    parser.add_argument("--dry-run", action="store_true", help="check all, add nothing")


def run(context: Context, arguments: Namespace) -> Result:
    """Add them."""
    from claude_tasks.operations.exchange import parse_tasks  # noqa: PLC0415 (not for --help)

    specs = parse_tasks(_document(context, arguments.file))
    ids: list[int] = []
    if arguments.dry_run:
        context.operations.tasks.check_all(specs)
    else:
        ids = context.operations.tasks.add_all(specs)
    return Result(
        data=lambda: {"imported": len(ids), "valid": len(specs), "ids": ids},
        text=lambda: [_said(len(specs), ids, dry_run=arguments.dry_run)],
    )


def _said(total: int, ids: list[int], *, dry_run: bool) -> str:
    amount = f"{total} task{'' if total == 1 else 's'}"
    if dry_run:
        return f"{amount} could be imported; nothing was added (--dry-run)."
    span = f", {ids[0]} to {ids[-1]}" if len(ids) > 1 else f" as {ids[0]}" if ids else ""
    return f"Imported {amount}{span}."


def _document(context: Context, path: str) -> Any:
    import json  # noqa: PLC0415 (not for --help)

    from claude_tasks.cli.task_flags import read_text  # noqa: PLC0415 (the same)

    text = context.stdin.read() if path == "-" else read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = "standard input" if path == "-" else path
        raise InvalidInputError(f"{place}: not JSON: {error}") from error
