"""``serve``: a daemon that also answers over HTTP."""

from __future__ import annotations

from functools import partial

from claude_tasks.cli.arguments import Parser, typed
from claude_tasks.cli.results import Result
from claude_tasks.cli.scheduler_mode import SWITCH, Mode, parse_mode, switch_line
from claude_tasks.cli.service_process import HANGUP, ServiceProcess, add_log_flags
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from argparse import Namespace

    from claude_tasks.cli.context import Context
    from claude_tasks.tokens import Tokens

DESCRIPTION = (
    "Whoever may add a task can run code as you. So it listens on 127.0.0.1 unless told otherwise,"
    " and beyond that only with a token. GET /schema describes the API. " + HANGUP
)
EXAMPLES = """
claude-tasks serve
claude-tasks token new && claude-tasks serve --host 0.0.0.0
claude-tasks serve --port 0 --scheduler=false
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument(
        "--host", metavar="ADDRESS", type=str,  # an empty one is every address
        help="to listen on (CLAUDE_TASKS_HOST; default: 127.0.0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--port", metavar="N", type=typed("--port", int),
        help="0 takes any free one (CLAUDE_TASKS_PORT; default: 8080)",
    )  # fmt: skip
    parser.add_argument(
        "--scheduler", metavar="true|false", type=parse_mode(SWITCH), default=Mode.ON,
        help="stand for the lease, or only execute what is asked for here (default: true)",
    )  # fmt: skip
    parser.add_argument(
        "--insecure-no-auth", action="store_true",
        help="listen beyond this machine without a token",
    )  # fmt: skip
    add_log_flags(parser)


def run(context: Context, arguments: Namespace) -> Result:
    """Serve until told to stop."""
    from claude_tasks.api.listening import address_of
    from claude_tasks.domain.node import Role

    context.use_flags(host=arguments.host, port=arguments.port)
    context.settings.folder.create()
    tokens = _checked_tokens(context, insecure=arguments.insecure_no_auth)
    bound = _bind(context)
    try:
        line = partial(switch_line, "Serve")
        api = (address_of(bound), not any(tokens))
        process = ServiceProcess(context, arguments, role=Role.SERVE, line=line, api=api)
        try:
            _serve(context, process, bound, tokens)
        finally:
            process.stop()
    finally:
        bound.close()
    return Result(data=lambda: None, text=list, notes=process.left_running(), streamed=True)


def _serve(context: Context, process: ServiceProcess, bound: socket.socket, tokens: Tokens) -> None:
    from claude_tasks.wiring.api import build_api

    process.start()
    api = build_api(context.settings, bound, tokens=tokens, node=process.node)
    try:
        api.start()
        _warn(context, tokens)
        _say_where(context, bound, tokens)
        process.stay(lambda: api.failure)
        api.interrupt()
        # The lease first: another node takes over while the last answers are sent.
        process.stop_node()
    finally:
        api.stop()


def _checked_tokens(context: Context, *, insecure: bool) -> Tokens:
    """The API's tokens. Errors in its settings are reported before anything starts."""
    from claude_tasks.api.authorization import refuse_open_exposure
    from claude_tasks.api.request_filter import build_policy
    from claude_tasks.tokens import load_tokens

    tokens = load_tokens(context.settings)
    refuse_open_exposure(context.settings.host, tokens, insecure=insecure)
    build_policy(context.settings, tokens, hostname="")
    return tokens


def _warn(context: Context, tokens: Tokens) -> None:
    from claude_tasks.api.authorization import is_loopback

    host = context.settings.host
    if not any(tokens) and not is_loopback(host):
        context.printer.note(
            f"WARNING: {host} is open to everyone who can reach this machine, without a token "
            "(--insecure-no-auth). Whoever can add a task can run code as you."
        )
    if tokens.full is None and tokens.read is not None:
        alone = "There is a read-only token alone: nobody can change anything here. "
        context.printer.note(Hint(alone, Command("token", "new"), " makes one that may."))


def _bind(context: Context) -> socket.socket:
    from claude_tasks.api.listening import listen

    return listen(context.settings.host, context.settings.port)


def _say_where(context: Context, bound: socket.socket, tokens: Tokens) -> None:
    from claude_tasks.api.listening import address_of

    address = address_of(bound)
    if context.printer.as_json:
        context.printer.value({"address": address, "token_required": any(tokens)})
    else:
        token = "a token is required" if any(tokens) else "no token is required"
        context.printer.line(f"Listening on {address}/api/v1 ({token}; docs: {address}/schema)")
