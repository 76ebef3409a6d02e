"""The API is open beyond this machine only with a token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.facts import Trouble, trouble_of
from claude_tasks.doctor.finding import (
    failed,
    passed,
    some,
    warned,
)
from claude_tasks.domain.errors import (
    ConfigurationError,
)
from claude_tasks.domain.hint import Command, Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.doctor.facts import (
        DatabaseFacts,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.node import Node
    from claude_tasks.settings import Settings
    from claude_tasks.tokens import TokenError


class ExposureFacts(NamedTuple):
    """Where the API would listen, and which tokens it would ask for, without the tokens themselves.

    ``fix`` is the command that replaces a token that cannot be used, None where none does.
    ``open_to`` are living nodes that listen beyond this machine and ask for no token, ``asking``
    those that listen and ask for one, ``stored`` whether it is a token's file that is the trouble:
    those read it too, unless their own environment gives them one.
    """

    host: str
    loopback: bool
    has_token: bool
    has_full: bool = False
    trouble: Trouble | None = None
    fix: str | None = None
    open_to: tuple[Node, ...] = ()
    asking: tuple[Node, ...] = ()
    stored: bool = False


def exposure(
    *,
    database: DatabaseFacts,
    settings: Settings,
    environment: Mapping[str, str],
    is_loopback: Callable[[str], bool],
) -> ExposureFacts:
    """Where the API would listen, and which living nodes are open to others."""
    from claude_tasks.tokens import TokenError, load_tokens

    nodes = () if database.contents is None else database.contents.nodes
    living = [entry.node for entry in nodes if entry.alive and entry.node.listens is not None]
    # One that began without a token asks for one as soon as there is a file of one.
    files = (settings.folder.auth_token, settings.folder.read_token)
    stored = any(map(os.path.lexists, files))
    asking = tuple(node for node in living if stored or not node.open)
    open_to = tuple(node for node in living if _is_open(node, is_loopback))
    loopback = is_loopback(settings.host)
    facts = ExposureFacts(settings.host, loopback, has_token=False, open_to=open_to, asking=asking)
    try:
        tokens = load_tokens(settings)
        return facts._replace(has_token=any(tokens), has_full=tokens.full is not None)
    except ConfigurationError as error:
        fix, stored = error.hint, True
        if isinstance(error, TokenError):
            fix, stored = _token_fix(error, settings, environment), error.where.stored
        return facts._replace(trouble=trouble_of(error), fix=fix, stored=stored)


def _is_open(node: Node, is_loopback: Callable[[str], bool]) -> bool:
    return node.listens is not None and node.open and not is_loopback(_host_of(node.listens))


def _token_fix(error: TokenError, settings: Settings, environment: Mapping[str, str]) -> str | None:
    """The command that replaces the token that cannot be used."""
    from claude_tasks.tokens import variable_of

    where = error.where
    if not os.path.isdir(settings.folder.root):  # the check of the data folder says what helps
        return None
    if not where.stored:
        variable = variable_of(where.setting)
        return f"unset {variable}" if environment.get(variable) else None
    if not os.access(where.path, os.R_OK):  # another's, and perhaps a good one
        return None
    return where.remedy


def _host_of(address: str) -> str:
    """``http://[::]:8080`` → ``::``."""
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def judge(exposure: ExposureFacts) -> Finding:
    """Beyond this machine only with a token: a client that can add a task can run code.

    FAIL for a node that is open now. Settings alone warn: ``serve`` refuses to start with them.
    """
    name = "api_exposure"
    host = exposure.host or "every address"
    if exposure.open_to:
        return _open_now(exposure)
    if exposure.trouble is not None:
        make = warned if exposure.loopback else failed
        text: str = Hint("serve would not start: ", exposure.trouble.text)
        if exposure.asking and exposure.stored:
            refuses = f"; {_where(exposure.asking)} refuses every request, unless its own"
            text = Hint(text, f"{refuses} environment gives it a token")
        return make(name, text, exposure.fix)
    if exposure.loopback:
        text = f"{host}: this machine only"
        if exposure.asking and not exposure.has_full:  # it may have one by its own environment
            text = f"{text}; {_where(exposure.asking)} asks for a token, no full one is stored here"
        return passed(name, text)
    if exposure.has_token:
        return passed(name, f"{host}, with a token")
    text = f"{host} without a token: serve refuses to be open to all who can reach this machine"
    return warned(name, text, Command("token", "new"))


def _open_now(exposure: ExposureFacts) -> Finding:
    where = _where(exposure.open_to)
    text = f"open without a token to all who can reach this machine: {where}"
    if exposure.has_token:
        text = f"{text}; a token is there by now: stop it, and start it without --insecure-no-auth"
        return failed("api_exposure", text)
    text = f"{text}; make one, then stop it, and start it without --insecure-no-auth"
    return failed("api_exposure", text, Command("token", "new"))


def _where(nodes: tuple[Node, ...]) -> str:
    return some([f"{it.role} {it.pid} on {it.host} at {it.listens}" for it in nodes])
