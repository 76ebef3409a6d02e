"""``usage``: how much of the agent's usage windows is spent, and what is in the way."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.text.blocks import Pairs, Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.operations.usage import UsageStatus
    from claude_tasks.text.blocks import Block

DESCRIPTION = "Asks where nothing is known that is younger than a minute; all processes share it."
EXAMPLES = """
claude-tasks usage
claude-tasks usage --json | jq .five_hour.utilization
"""


def configure(_parser: Parser) -> None:
    """No flags of its own."""


def run(context: Context, _arguments: Namespace) -> Result:
    """Look."""
    from claude_tasks.operations.usage import usage_view
    from claude_tasks.wiring.usage import refresh_usage

    if context.operations.usage.is_stale():
        refresh_usage(context.settings)
    status, at = context.operations.usage.usage_now()
    notes = [] if status.trouble is None else [status.trouble]
    return Result(data=lambda: usage_view(status, at), text=lambda: _text(status, at), notes=notes)


def _text(status: UsageStatus, at: int) -> list[Block]:
    from claude_tasks.domain.instant import human_duration
    from claude_tasks.domain.usage import BUCKETS
    from claude_tasks.domain.usage_text import spent_text, window_name
    from claude_tasks.operations.usage import NOT_CHECKED

    names = [*BUCKETS, *(w.name for w in status.reading.windows if w.name not in BUCKETS)]
    if status.reading.source == NOT_CHECKED:
        return ["Usage is not checked: CLAUDE_TASKS_DISABLE_USAGE_CHECK is set."]
    pairs = []
    for name in names:
        text = spent_text(status.reading.window(name), at=at)
        blocks = status.blocking is not None and status.blocking.name == name
        shown = Toned(f"{text}: no run starts", "bad") if blocks else text
        pairs.append((window_name(name), shown))
    pairs.append(("threshold", f"{status.threshold:g} %"))
    pairs.append(("known from", f"{status.reading.source}, {human_duration(status.age_ms)} ago"))
    return [Pairs(pairs)]
