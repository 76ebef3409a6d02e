"""``tui``: the terminal UI, on a node of this process.

    one line with the mode ─▶ alternate screen: a frame of the command line's own table
        ─▶ node started ─▶ Textual imported, takes over the same screen ─▶ the person leaves
        ─▶ one line with mode and leadership, and what runs on

A frame is there before Textual is imported, which takes ten times as long as the rest. Keys typed
before that are not echoed; one that comes in the moment when Textual takes over may be lost.
"""

from __future__ import annotations

from claude_tasks.cli.left_running import left_running
from claude_tasks.cli.results import Result
from claude_tasks.cli.scheduler_mode import CHOICE, Mode, mode_line, parse_mode
from claude_tasks.domain.errors import InvalidInputError, StorageError
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.node import Node
    from claude_tasks.scheduling.node import RunningNode

DESCRIPTION = (
    "Every task, live: when it runs next, how it last went; a, e, r, d and ? for all keys."
    " It schedules too unless a daemon or server does; leaving it ends no run."
    " claude-tasks alone, or with --scheduler=MODE, is short for it."
)
EXAMPLES = """
claude-tasks tui
claude-tasks --scheduler=off
"""
_LOG = "tui.log"
_LARGEST_LOG = 4 * 1024 * 1024


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument(
        "--scheduler", metavar="auto|off|on", type=parse_mode(CHOICE), default=Mode.AUTO,
        help="auto: schedule unless a living daemon or server does (default)",
    )  # fmt: skip


def run(context: Context, arguments: Namespace) -> Result:
    """Stay until the person leaves."""
    from claude_tasks.cli.alternate_screen import alternate_screen, draw_first_frame

    _require_terminal(context)
    mode: Mode = arguments.scheduler
    context.printer.line(f"TUI scheduler mode: {mode.value}")
    with alternate_screen():
        draw_first_frame(context)
        _log_to_a_file(context)
        node = _new_node(context, mode)
        try:
            node.start()
            _interact(context, node, mode)
            last = mode_line("TUI", mode, leads=node.term is not None, leader=_leader(context))
        finally:
            node.stop()
    context.printer.line(last)
    return Result(
        data=lambda: None, text=list, notes=left_running(context, node.node.id), streamed=True
    )


def _require_terminal(context: Context) -> None:
    """Before anything is started or led. Errors: `InvalidInputError`."""
    import sys

    is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if context.printer.as_json or not is_terminal:
        what = "has no JSON" if context.printer.as_json else "needs a terminal"
        raise InvalidInputError(
            f"the terminal UI {what}",
            hint=Hint(Command("daemon"), " schedules without one; ", Command("status"), " looks"),
            code="usage",
        )


def _log_to_a_file(context: Context) -> None:
    """Nothing is ever logged into the screen. A log that grew large is begun anew."""
    import os

    from claude_tasks.cli.log_output import start_logging

    settings = context.settings
    path = os.path.join(settings.data, _LOG)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_size > _LARGEST_LOG:
        os.ftruncate(descriptor, 0)
    stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", buffering=1)
    start_logging(stream, level=settings.log_level, log_format="text")


def _new_node(context: Context, mode: Mode) -> RunningNode:
    from claude_tasks.domain.node import Role
    from claude_tasks.wiring.node import build_node

    return build_node(
        context.settings, role=Role.TUI, schedules=mode.schedules, yields=mode is Mode.AUTO
    )


def _interact(context: Context, node: RunningNode, mode: Mode) -> None:
    """The UI, from its first key to its last. Errors: what ended it without being asked."""
    from claude_tasks.wiring.tui import build_backend

    backend = build_backend(
        context.settings, node, context.environment,
        mode=mode.value, zone=context.zone, call=context.printer.call,
    )  # fmt: skip
    try:
        from claude_tasks.tui.app import Interface

        interface = Interface(backend)
        interface.run()
    finally:
        backend.threads.close()
    if interface.failure is not None:
        raise interface.failure


def _leader(context: Context) -> Node | None:
    try:
        return context.operations.status.leader()
    except StorageError:  # who led is not worth an error
        return None
