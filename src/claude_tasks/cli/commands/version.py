"""``version``: also answered in `__main__`, before anything is imported."""

from __future__ import annotations

from claude_tasks import __version__
from claude_tasks.cli.results import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = ""
EXAMPLES = """
claude-tasks version
claude-tasks version --json
"""


def configure(_parser: Parser) -> None:
    """No flags of its own."""


def run(_context: Context, _arguments: Namespace) -> Result:
    """The version."""
    return Result(
        data=lambda: {"version": __version__}, text=lambda: [f"claude-tasks {__version__}"]
    )
