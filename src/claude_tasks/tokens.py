"""The API's tokens: made, stored and found again. Their text never stands in a message or a log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ConfigurationError, ConflictError, StorageError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.system.durable import write_atomically
from claude_tasks.system.trust import open_trusted, out_of_the_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.settings import Settings

SHORTEST = 16
LONGEST = 1024
_LOOK_SECONDS = 0.001
"""How long a server reuses its last look at the token files: a new token is not used sooner."""


class TokenPlace(NamedTuple):
    """Where a token comes from: ``setting``, or its file at ``path`` where that is not given."""

    setting: str
    path: str
    stored: bool

    @property
    def name(self) -> str:
        """As messages call it."""
        if self.stored:
            return self.path
        return f"{variable_of(self.setting)} (or {self.setting} in config.toml)"

    @property
    def makes_one(self) -> Command:
        """The command that makes such a token."""
        return Command("token", "new", *["--read-only"] * (self.setting == "read_token"))

    @property
    def remedy(self) -> str:
        """What puts another in the place of one that cannot be used."""
        if self.stored:
            return Command(*self.makes_one.words, "--replace")
        return Hint("take it out there; ", self.makes_one, " makes and stores one")


class TokenError(ConfigurationError):
    """A token that cannot be used, and where it comes from."""

    def __init__(self, problem: str, where: TokenPlace, *, hint: str | None = None) -> None:
        """``problem`` follows the name of the place."""
        super().__init__(f"{where.name}: {problem}", hint=hint)
        self.where = where


class Tokens(NamedTuple):
    """What clients prove themselves with; None where there is none of the kind."""

    full: str | None
    read: str | None

    def __repr__(self) -> str:
        """Which there are, and never what they are: this may end up in a log."""
        return f"Tokens(full={_hidden(self.full)}, read={_hidden(self.read)})"


def new_token() -> str:
    """256 random bits, as 43 characters that need no quoting anywhere."""
    import secrets  # noqa: PLC0415 (loads hashlib and random; only who makes a token needs it)

    return secrets.token_urlsafe(32)


def store_token(path: str, token: str, *, replace: bool = False) -> None:
    """Put a token at ``path``, 0600, whole or not at all.

    Errors: `ConflictError` where there is one already and ``replace`` is not set, `StorageError`.
    """
    data = f"{token}\n".encode("ascii")
    try:
        write_atomically(path, data, replace=replace)
    except FileExistsError:
        raise ConflictError(
            f"{path} holds a token already",
            hint="--replace makes a new one; the old one is refused from then on",
        ) from None
    except OSError as error:
        helps = out_of_the_way(path) if os.path.isdir(path) else "make the folder writable"
        raise StorageError(
            f"{path}: {error.strerror}", hint=helps, code="storage_readonly"
        ) from error


def load_tokens(settings: Settings) -> Tokens:
    """The tokens in force: each from its setting, else from its file in the data folder.

    Errors: `ConfigurationError` that names the source of a token that cannot be used.
    """
    folder = settings.folder
    given = settings.auth_token
    full = _token(given, TokenPlace("auth_token", folder.auth_token, stored=given is None))
    given = settings.read_token
    where = TokenPlace("read_token", folder.read_token, stored=given is None)
    read = _token(given, where)
    if full is not None and full == read:
        text = "the full token and the read-only token are the same"
        raise TokenError(text, where, hint=where.remedy)
    return Tokens(full, read)


class TokenWatch:
    """The token files under a running server: what changes in them counts with the next request.

    A token that a setting gives stays as it is. A look costs two calls of stat(2) at most.
    """

    def __init__(self, settings: Settings, *, monotonic: Callable[[], float]) -> None:
        """``monotonic`` gives seconds. The first look finds a change."""
        given = (
            (settings.auth_token, settings.folder.auth_token),
            (settings.read_token, settings.folder.read_token),
        )
        self._settings = settings
        self._paths = [path for token, path in given if token is None]
        self._monotonic = monotonic
        self._looked_at = float("-inf")
        self._seen: list[tuple[int, ...] | None] | None = None

    def changed(self) -> bool:
        """Whether the tokens must be read again."""
        now = self._monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        found = [_signature(path) for path in self._paths]
        if found == self._seen:
            return False
        self._seen = found
        return True

    def read(self) -> Tokens:
        """The tokens in force. Errors: see `load_tokens`."""
        return load_tokens(self._settings)


def variable_of(setting: str) -> str:
    """The environment variable of a token's setting."""
    return f"CLAUDE_TASKS_{setting.upper()}"


def _token(given: str | None, where: TokenPlace) -> str | None:
    token = _stored(where) if given is None else given
    return None if token is None else _checked(token, where)


def _stored(where: TokenPlace) -> str | None:
    """What the file holds. A file that others can read is no secret: refused, not repaired."""
    try:
        descriptor = open_trusted(where.path, private=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenError(error.strerror or str(error), where) from error
    try:
        data = os.read(descriptor, LONGEST + 2)
    except OSError as error:
        raise TokenError(error.strerror or str(error), where) from error
    finally:
        os.close(descriptor)
    return data.decode("latin-1").strip("\r\n")


def _signature(path: str) -> tuple[int, ...] | None:
    """What is another once the file was replaced, rewritten, or opened to others."""
    try:
        status = os.stat(path)
    except OSError:  # gone, or not to be seen: `load_tokens` says which
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _checked(token: str, where: TokenPlace) -> str:
    problem = None
    if not token:
        problem = "it is empty"
    elif not SHORTEST <= len(token) <= LONGEST:
        problem = f"a token has {SHORTEST} to {LONGEST} characters"
    elif not all("!" <= character <= "~" for character in token):
        problem = (
            "it holds a character that cannot stand in a header "
            "(a space, a control character or one outside ASCII)"
        )
    if problem is not None:
        raise TokenError(problem, where, hint=where.remedy)
    return token


def _hidden(token: str | None) -> str:
    return "None" if token is None else "<hidden>"
