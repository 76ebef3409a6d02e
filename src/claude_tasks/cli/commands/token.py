"""``token``: makes the secret that clients of the HTTP API send, and keeps it for ``serve``."""

from __future__ import annotations

import os

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.text.blocks import Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = (
    "Whoever has the full token can run code as you; the read-only one shows tasks, runs and their "
    "output. Printed once, alone, so that it can be piped."
)
EXAMPLES = """
claude-tasks token new
claude-tasks token new --read-only
claude-tasks token new --replace
"""
_ACTIONS = ("new",)
_SETTINGS = {"full": "auth_token", "read": "read_token"}


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("action", metavar="new", help="make one and store it")
    parser.add_argument("--read-only", action="store_true", help="one that can change nothing")
    parser.add_argument("--replace", action="store_true", help="in place of the one there is")


def run(context: Context, arguments: Namespace) -> Result:
    """Make a token."""
    if arguments.action not in _ACTIONS:
        asked = arguments.action
        raise InvalidInputError(
            f"token has no {asked}",
            hint=f"one of: {', '.join(_ACTIONS)}",
            code="usage",
        )
    return _new(context, "read" if arguments.read_only else "full", replace=arguments.replace)


def _new(context: Context, scope: str, *, replace: bool) -> Result:
    from claude_tasks.tokens import new_token, store_token

    folder = context.settings.folder
    folder.create()
    path = folder.read_token if scope == "read" else folder.auth_token
    token = new_token()
    store_token(path, token, replace=replace)
    return Result(
        data=lambda: {"token": token, "path": path, "scope": scope},
        text=lambda: [Raw(token)],
        notes=_notes(context, scope, path),
    )


def _notes(context: Context, scope: str, path: str) -> list[str]:
    notes = [
        f"kept in {path}; a serve that runs already knows it",
        "a client sends it as a header: Authorization: Bearer TOKEN",
    ]
    winner = _what_wins(context, _SETTINGS[scope])
    if winner:
        notes.append(f"{winner} is set and wins over this file: unset it to use the new token")
    if scope == "read" and not _has_full(context):
        alone = "there is no full token: with this one alone, nobody can change anything over the "
        notes.append(Hint(f"{alone}API (", Command("token", "new"), " makes one)"))
    return notes


def _what_wins(context: Context, setting: str) -> str | None:
    """Where a token is set that is used instead of the file."""
    from claude_tasks.tokens import variable_of

    variable = variable_of(setting)
    if context.environment.get(variable):
        return variable
    given = getattr(context.settings, setting)
    return None if given is None else f"{setting} in {context.settings.folder.config}"


def _has_full(context: Context) -> bool:
    given = context.settings.auth_token
    return given is not None or os.path.exists(context.settings.folder.auth_token)
