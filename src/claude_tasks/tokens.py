"""The API's tokens: made, stored and found again. Their text never stands in a message or a log."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ConfigurationError, ConflictError, StorageError
from claude_tasks.system.durable import write_atomically, write_private
from claude_tasks.system.trust import open_trusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.settings import Settings

SHORTEST = 16
LONGEST = 1024
_LOOK_SECONDS = 0.001
"""So old what a running server knows may be: nobody hears of a new token and uses it sooner."""


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
        if replace:
            write_atomically(path, data)
        else:
            _write_first(path, data)
    except FileExistsError:
        raise ConflictError(
            f"{path} holds a token already",
            hint="--replace makes a new one; the old one is refused from then on",
        ) from None
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror}", hint="make the folder writable", code="storage_readonly"
        ) from error


def load_tokens(settings: Settings) -> Tokens:
    """The tokens in force: each from its setting, else from its file in the data folder.

    Errors: `ConfigurationError` that names the source of a token that cannot be used.
    """
    full = _token(settings.auth_token, "auth_token", settings.folder.auth_token)
    read = _token(settings.read_token, "read_token", settings.folder.read_token)
    if full is not None and full == read:
        raise ConfigurationError(
            "the full token and the read-only token are the same",
            hint="claude-tasks token new --read-only --replace",
        )
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


def _write_first(path: str, data: bytes) -> None:
    """As `write_atomically`, where nothing is yet. Errors: `FileExistsError`, `OSError`.

    A link, unlike a rename, never takes the place of a file that came meanwhile.
    """
    draft = f"{path}.{os.getpid()}.tmp"
    try:
        write_private(draft, data, sync=True)
        os.link(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def _token(given: str | None, setting: str, path: str) -> str | None:
    makes_one = "claude-tasks token new" + (" --read-only" if setting == "read_token" else "")
    if given is not None:
        source = f"{variable_of(setting)} (or {setting} in config.toml)"
        return _checked(given, source, hint=f"{makes_one} makes and stores one")
    stored = _stored(path)
    return None if stored is None else _checked(stored, path, hint=f"{makes_one} --replace")


def _stored(path: str) -> str | None:
    """What the file holds. A file that others can read is no secret: refused, not repaired."""
    try:
        descriptor = open_trusted(path, private=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    try:
        data = os.read(descriptor, LONGEST + 2)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
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


def _checked(token: str, source: str, *, hint: str) -> str:
    if not token:
        raise ConfigurationError(f"{source}: it is empty", hint=hint)
    if not SHORTEST <= len(token) <= LONGEST:
        raise ConfigurationError(
            f"{source}: a token has {SHORTEST} to {LONGEST} characters", hint=hint
        )
    if not all("!" <= character <= "~" for character in token):
        raise ConfigurationError(
            f"{source}: it holds a character that cannot stand in a header "
            "(a space, a control character or one outside ASCII)",
            hint=hint,
        )
    return token


def _hidden(token: str | None) -> str:
    return "None" if token is None else "<hidden>"
