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
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_fields import TaskSpec

DESCRIPTION = (
    'The document is {"tasks": [{"name": …, "prompt": …, "cron_expr": …}]}, with the fields of the'
    " API's TaskRequest. Tasks that name no timezone fire by this machine's clocks. One bad task,"
    " and none is added."
)
EXAMPLES = """
claude-tasks import tasks.json --dry-run
claude-tasks import tasks.json --skip-existing
claude-tasks export --data ~/old | claude-tasks import -
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("file", metavar="FILE", help="- reads stdin")
    parser.add_argument("--dry-run", action="store_true", help="check all, add nothing")
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave out those whose name a task has already"
    )


def run(context: Context, arguments: Namespace) -> Result:
    """Add them."""
    from claude_tasks.operations.exchange import parse_tasks

    given = parse_tasks(_document(context, arguments.file), local_zone=lambda: context.zone)
    tasks = context.operations.tasks
    existing = [summary.task for summary in tasks.list()]
    tasks.check_all(given)
    names = {task.name for task in existing} if arguments.skip_existing else set()
    specs = [spec for spec in given if spec.name.strip() not in names]
    skipped = len(given) - len(specs)
    ids = [] if arguments.dry_run or not specs else tasks.add_all(specs)
    return Result(
        data=lambda: {
            "imported": len(ids), "valid": len(given), "skipped": skipped, "ids": ids
        },
        text=lambda: [_said(len(specs), ids, dry_run=arguments.dry_run)],
        notes=[
            *_skipped(skipped),
            *_duplicates(specs, existing),
            *_late(specs, context.now()),
            *_folders(specs),
        ],
    )  # fmt: skip


def _skipped(amount: int) -> list[str]:
    if not amount:
        return []
    tasks = "1 task was" if amount == 1 else f"{amount} tasks were"
    return [f"{tasks} left out: the name exists already (--skip-existing)."]


def _duplicates(specs: list[TaskSpec], existing: list[Task]) -> list[str]:
    """Notes about tasks that exist already: importing a file twice would double every run."""
    known = {(task.name, task.spec.cron_expr, task.spec.scheduled_at) for task in existing}
    amount = sum(
        (spec.name.strip(), spec.cron_expr.strip(), spec.scheduled_at) in known for spec in specs
    )
    if not amount:
        return []
    looks = "1 looks like a duplicate" if amount == 1 else f"{amount} look like duplicates"
    return [f"Note: {looks} of a task with the same name and schedule; see --skip-existing."]


def _late(specs: list[TaskSpec], now: int) -> list[str]:
    """Notes about one-offs whose time has passed: they are due at once, or missed."""
    past = [
        spec.name
        for spec in specs
        if not spec.cron_expr.strip() and spec.enabled and (spec.scheduled_at or now) < now
    ]
    if not past:
        return []
    more = f" and {len(past) - 1} more" if len(past) > 1 else ""
    passed = f"Note: the time of {past[0]!r}{more} has passed"
    return [f"{passed}: it runs at once where its catchup rule allows that, else it is missed."]


def _folders(specs: list[TaskSpec]) -> list[str]:
    """Notes about folders that do not exist: a document may name those of another machine."""
    from claude_tasks.operations.folders import folder_obstacles

    obstacles = folder_obstacles(
        spec.working_dir for spec in specs if spec.working_dir.startswith(("/", "~"))
    )
    return [f"Note: {folder} {obstacle}." for folder, obstacle in obstacles.items()]


def _said(total: int, ids: list[int], *, dry_run: bool) -> str:
    amount = f"{total} task{'' if total == 1 else 's'}"
    if dry_run:
        return f"{amount} could be imported; nothing was added (--dry-run)."
    span = f", {ids[0]} to {ids[-1]}" if len(ids) > 1 else f" as {ids[0]}" if ids else ""
    return f"Imported {amount}{span}."


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name, value in pairs:
        if name in said:
            raise InvalidInputError(f"{name!r} stands twice in one object")
        said[name] = value
    return said


def _document(context: Context, path: str) -> Any:
    import json

    from claude_tasks.cli.task_flags import read_text

    text = context.read_stdin() if path == "-" else read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_said_once)
    except (ValueError, RecursionError) as error:
        place = "standard input" if path == "-" else path
        raise InvalidInputError(f"{place}: not JSON: {error}") from error
