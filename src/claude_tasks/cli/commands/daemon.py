"""``daemon``: a node that stays, until SIGTERM or SIGINT."""

from __future__ import annotations

import signal

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.node_failure import raise_failure
from claude_tasks.cli.results import Result
from claude_tasks.cli.scheduler_mode import mode_line, parse_scheduler_mode
from claude_tasks.domain.errors import InvalidInputError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from claude_tasks.cli.context import Context
    from claude_tasks.cli.signals import SignalPipe
    from claude_tasks.scheduling.node import RunningNode

DESCRIPTION = (
    "SIGTERM and SIGINT stop it at once; agents go on under their supervisors, and the next"
    " daemon adopts them. Several may run on one data folder: one leads, the others stand by."
)
EXAMPLES = """
claude-tasks daemon
claude-tasks daemon --scheduler=false
claude-tasks daemon --log-format json --log-level debug 2> daemon.log
"""
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("text", "json")
_LOOK_SECONDS = 0.1
_ELECTION_MS = 500
"""A free lease is taken within this: not before it has passed is a node called a follower."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument(
        "--scheduler", metavar="true|false", type=parse_scheduler_mode, default=True,
        help="stand for the lease, or only execute what this node is given (default: true)",
    )  # fmt: skip
    parser.add_argument(
        "--log-format", metavar="text|json", type=_choice("--log-format", _FORMATS), default="text"
    )
    parser.add_argument(
        "--log-level", metavar="LEVEL", type=_choice("--log-level", _LEVELS),
        help=" | ".join(_LEVELS),
    )  # fmt: skip


def run(context: Context, arguments: Namespace) -> Result:
    """Serve until told to stop."""
    from claude_tasks.cli.log_output import start_logging  # noqa: PLC0415 (not for --help)
    from claude_tasks.cli.signals import SignalPipe  # noqa: PLC0415 (the same)
    from claude_tasks.domain.node import Role  # noqa: PLC0415 (the same)

    schedules: bool = arguments.scheduler
    _say(context, schedules=schedules, leader=None)
    level = arguments.log_level or context.settings.log_level
    start_logging(context.printer.stderr, level=level, log_format=arguments.log_format)
    _log_start(context)
    pipe = SignalPipe(_SIGNALS)
    node = context.build_node(Role.DAEMON, schedules=schedules)
    try:
        node.start()
        _serve(context, node, pipe, schedules=schedules)
    finally:
        node.stop()
        pipe.close()
    return Result(data=lambda: None, text=list, notes=_left_running(context, node), streamed=True)


def _log_start(context: Context) -> None:
    """What a look into the log needs first; and the missing agent before the first run fails."""
    import logging  # noqa: PLC0415 (loaded by now)

    from claude_tasks import __version__  # noqa: PLC0415 (loaded by now)

    log = logging.getLogger(__name__)
    status = context.operations.status.status()
    log.info(
        "claude-tasks %s, data folder %s, agent %s, at most %d runs at once",
        __version__,
        context.settings.data,
        status.agent or "none",
        context.settings.max_concurrent_runs,
    )
    if status.agent_problem is not None:
        log.warning("no agent, every run will fail: %s", status.agent_problem)


def _serve(context: Context, node: RunningNode, pipe: SignalPipe, *, schedules: bool) -> None:
    """Wait for a signal that ends it; say when leadership changes."""
    leader: bool | None = None
    known_after = context.now() + _ELECTION_MS
    while True:
        leads = node.term is not None
        known = leads or leader is not None or context.now() >= known_after
        if schedules and known and leads != leader:
            leader = leads
            _say(context, schedules=True, leader=leads)
        raise_failure(node)
        if any(_ends(context, number) for number in pipe.wait(_LOOK_SECONDS)):
            return


def _ends(context: Context, number: signal.Signals) -> bool:
    """A terminal that closes ends its daemon; elsewhere SIGHUP asks for nothing we have."""
    import logging  # noqa: PLC0415 (loaded by now)

    log = logging.getLogger(__name__)
    if number is signal.SIGHUP and not context.printer.stderr.isatty():
        log.info("SIGHUP ignored: settings are read at start; restart to read them again")
        return False
    log.info("%s: stopping", number.name)
    return True


def _say(context: Context, *, schedules: bool, leader: bool | None) -> None:
    if context.printer.as_json:
        context.printer.value({"scheduler": schedules, "leader": leader})
    else:
        context.printer.line(mode_line("daemon", schedules=schedules, leader=leader))


def _left_running(context: Context, node: RunningNode) -> list[str]:
    try:
        left = len(context.operations.runs.running_of(node.node.id))
    except StorageError as error:  # it has stopped well all the same
        return [f"What still runs could not be counted: {error.message}"]
    if not left:
        return []
    agents = "1 agent goes" if left == 1 else f"{left} agents go"
    return [f"{agents} on under supervision; the next daemon adopts what it finds."]


def _choice(flag: str, words: tuple[str, ...]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() not in words:
            raise InvalidInputError(f"{text!r}", hint=f"one of: {', '.join(words)}")
        return text.lower()

    return typed(flag, convert)
