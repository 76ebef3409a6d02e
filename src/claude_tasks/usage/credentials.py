"""Reads the agent's credentials, again at each use: they change while nodes run.

Tokens leave this module only in the HTTP header they are for.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.instant import EARLIEST, LATEST
from claude_tasks.settings import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYCHAIN = "/usr/bin/security" if sys.platform == "darwin" else None
"""The program that reads the Keychain, None where there is none."""

_LARGEST = 1 << 20
_MOMENT_SECONDS = 0.1
_KEYCHAIN_SERVICE = "Claude Code-credentials"
_KEYCHAIN_SECONDS = 5.0
_LOG_IN = "log in with: claude, then /login; or set CLAUDE_TASKS_DISABLE_USAGE_CHECK=1"

_OTHER_BILLING = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)
"""With one of these the agent is not billed by subscription: no usage window limits it."""

_OFF = ("", "0", "false", "no", "off")


class Credentials(NamedTuple):
    """An OAuth token and where it came from."""

    token: str
    source: str
    expires_at: int | None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Credentials(source={self.source!r}, expires_at={self.expires_at})"


class _UnreadableError(Exception):
    """A file that exists and cannot be read. The message names it and the cause."""


def other_billing(environment: Mapping[str, str]) -> str | None:
    """What frees the agent from usage windows, None where they apply."""
    named = next((name for name in _OTHER_BILLING if _is_on(environment.get(name, ""))), None)
    if named is not None:
        return named
    try:
        settings = _json_file(os.path.join(config_folder(environment), "settings.json"))
    except _UnreadableError:  # then the agent cannot read a helper from it either
        return None
    return "apiKeyHelper" if isinstance(settings, dict) and settings.get("apiKeyHelper") else None


def find_credentials(
    environment: Mapping[str, str],
    *,
    at: int,
    keychain: str | None = KEYCHAIN,
    sleep: Callable[[float], None] = time.sleep,
) -> Credentials:
    """The token in force: of the environment, the CLI's file, or the Keychain.

    ``keychain`` is the program that reads it; ``sleep`` waits for a file that is being rewritten.

    Raises:
        UsageUnavailableError: there is none (`no_credentials`), they cannot be read
            (`credentials_unreadable`), they expired (`credentials_expired`), or the token is none
            (`usage_bad_token`).
    """
    found = _from_environment(environment)
    if found is None:
        found = _stored(credentials_path(environment), keychain, sleep)
    if not (found.token.isascii() and found.token.isprintable()):
        raise UsageUnavailableError(
            f"the token of {found.source} holds characters no header can carry",
            hint=_LOG_IN,
            code="usage_bad_token",
        )
    if found.expires_at is not None and found.expires_at <= at:
        raise UsageUnavailableError(
            f"the credentials of {found.source} have expired",
            hint="run claude once: it renews them",
            code="credentials_expired",
        )
    return found


def config_folder(environment: Mapping[str, str]) -> str:
    """Claude's own folder."""
    home = environment.get("HOME") or os.path.expanduser("~")
    return environment.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude")


def credentials_path(environment: Mapping[str, str]) -> str:
    """Where the CLI keeps its credentials, except on macOS."""
    return os.path.join(config_folder(environment), ".credentials.json")


def _from_environment(environment: Mapping[str, str]) -> Credentials | None:
    token = environment.get("CLAUDE_CODE_OAUTH_TOKEN")
    return Credentials(token, "CLAUDE_CODE_OAUTH_TOKEN", None) if token else None


def _is_on(value: str) -> bool:
    """Whether a switch is on; words such as "false" turn it off too."""
    return value.strip().lower() not in _OFF


def _stored(path: str, keychain: str | None, sleep: Callable[[float], None]) -> Credentials:
    """The CLI's stored credentials: from its file, else from the Keychain."""
    trouble = None
    try:
        found = _credentials(_steady_json_file(path, sleep), path)
    except _UnreadableError as error:
        found, trouble = None, str(error)
    found = found or _from_keychain(keychain)
    if found is not None:
        return found
    if trouble is not None:
        raise UsageUnavailableError(trouble, hint=_LOG_IN, code="credentials_unreadable")
    raise UsageUnavailableError(
        f"no credentials: neither {path} nor CLAUDE_CODE_OAUTH_TOKEN",
        hint=_LOG_IN,
        code="no_credentials",
    )


def _from_keychain(program: str | None) -> Credentials | None:
    """MacOS keeps them in the Keychain, under the same JSON."""
    if program is None:
        return None
    try:
        asked = subprocess.run(
            [program, "find-generic-password", "-s", _KEYCHAIN_SERVICE, "-w"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=without_secrets(os.environ),
            timeout=_KEYCHAIN_SECONDS,
            check=True,
        )
        value = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError):
        return None
    return _credentials(value, "the Keychain")


def _credentials(value: Any, source: str) -> Credentials | None:
    entry = value.get("claudeAiOauth") if isinstance(value, dict) else None
    if not isinstance(entry, dict):
        return None
    token = entry.get("accessToken")
    if not isinstance(token, str) or not token:
        return None
    return Credentials(token, source, _instant(entry.get("expiresAt")))


def _instant(value: Any) -> int | None:
    """Milliseconds since the epoch; None for anything else, and for times beyond the calendar."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= EARLIEST:
        return None
    return int(value) if value <= LATEST else None


def _steady_json_file(path: str, sleep: Callable[[float], None]) -> Any:
    """Read a JSON file, again where it is invalid: it may be being rewritten."""
    try:
        return _json_file(path)
    except _UnreadableError:
        sleep(_MOMENT_SECONDS)
        return _json_file(path)


def _json_file(path: str) -> Any:
    """The content of a file, None where there is none. Errors: `_UnreadableError`."""
    try:
        # Not blocking: opening a pipe waits for its writer.
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _UnreadableError(f"{path} cannot be read: it is no file")
            return json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _UnreadableError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        # The errors' texts may quote the file.
        raise _UnreadableError(f"{path} is not valid JSON") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
