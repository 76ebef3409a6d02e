"""``daemon``: a node that runs until SIGTERM or SIGINT."""

from __future__ import annotations

from functools import partial

from claude_tasks.cli.scheduler_mode import SWITCH, Mode, parse_mode, switch_line
from claude_tasks.cli.service_process import HANGUP, add_log_flags, run_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.cli.results import Result

DESCRIPTION = (
    "SIGTERM and SIGINT stop it at once; agents go on under their supervisors, and the next"
    " daemon adopts them. Several may run on one data folder: one leads, the others stand by. "
    + HANGUP
)
EXAMPLES = """
claude-tasks daemon
claude-tasks daemon --scheduler=false
claude-tasks daemon --log-format json --log-level debug 2> daemon.log
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument(
        "--scheduler", metavar="true|false", type=parse_mode(SWITCH), default=Mode.ON,
        help="stand for the lease, or only execute what this node is given (default: true)",
    )  # fmt: skip
    add_log_flags(parser)


def run(context: Context, arguments: Namespace) -> Result:
    """Serve until told to stop."""
    from claude_tasks.domain.node import Role

    line = partial(switch_line, "Daemon")
    return run_service(context, arguments, role=Role.DAEMON, line=line)
