"""The API's tokens: made, stored and found again. Their text never stands in a message or a log."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ConfigurationError, ConflictError, StorageError
from claude_tasks.durable import write_atomically, write_private

if TYPE_CHECKING:
    from claude_tasks.settings import Settings

SHORTEST = 16
LONGEST = 1024
_FOR_OTHERS = 0o077
"""The permission bits of everybody but the owner."""


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
            hint="--replace makes a new one; once serve is restarted the old one is refused",
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
        # Not blocking: whatever lies there, a start never hangs on it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        data = os.read(descriptor, LONGEST + 2)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if mode & _FOR_OTHERS:
        raise _open_to_others(path, mode)
    return data.decode("latin-1").strip("\r\n")


def _open_to_others(path: str, mode: int) -> ConfigurationError:
    import shlex  # noqa: PLC0415 (loads regular expressions; only for this refusal)

    return ConfigurationError(
        f"{path}: others on this machine can read or change it (mode {mode & 0o777:03o})",
        hint=f"chmod 600 {shlex.quote(path)}; if they may have read it: "
        "claude-tasks token new --replace",
    )


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
