"""``tui``: the node of the terminal UI, and its scheduler's mode."""

from __future__ import annotations

from functools import partial

from claude_tasks.cli.scheduler_mode import CHOICE, Mode, mode_line, parse_mode
from claude_tasks.cli.service_process import add_log_flags, run_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.cli.results import Result

DESCRIPTION = (
    "It draws none yet: the process schedules and executes its part, says when leadership changes,"
    " and ends with Ctrl-C. claude-tasks --scheduler=MODE is short for it."
)
EXAMPLES = """
claude-tasks tui
claude-tasks --scheduler=off
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument(
        "--scheduler", metavar="auto|off|on", type=parse_mode(CHOICE), default=Mode.AUTO,
        help="auto: schedule unless a living daemon or server does (default)",
    )  # fmt: skip
    add_log_flags(parser)


def run(context: Context, arguments: Namespace) -> Result:
    """Stay until told to stop."""
    from claude_tasks.domain.node import Role

    line = partial(mode_line, "TUI")
    return run_service(context, arguments, role=Role.TUI, line=line)
