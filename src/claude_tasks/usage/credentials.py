"""Where the agent's credentials are, read anew at each use: they change while daemons live.

Tokens never leave this module but in the one header they are for.
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
"""What opens the Keychain, where there is one."""

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
"""With one of these the agent is billed otherwise: no subscription's window limits it."""

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
    """A file that is there and says nothing. The message names it and tells why."""


def other_billing(environment: Mapping[str, str]) -> str | None:
    """What makes the agent independent of usage windows, None where they count."""
    named = next((name for name in _OTHER_BILLING if _is_on(environment.get(name, ""))), None)
    if named is not None:
        return named
    try:
        settings = _json_file(os.path.join(config_folder(environment), "settings.json"))
    except _UnreadableError:  # then the agent knows of no helper either
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

    ``keychain`` is the program that opens it; ``sleep`` is for a file that is just being rewritten.

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
    """Where the CLI keeps its credentials, but for macOS."""
    return os.path.join(config_folder(environment), ".credentials.json")


def _from_environment(environment: Mapping[str, str]) -> Credentials | None:
    token = environment.get("CLAUDE_CODE_OAUTH_TOKEN")
    return Credentials(token, "CLAUDE_CODE_OAUTH_TOKEN", None) if token else None


def _is_on(value: str) -> bool:
    """Switches are turned off with words as well as by leaving them out."""
    return value.strip().lower() not in _OFF


def _stored(path: str, keychain: str | None, sleep: Callable[[float], None]) -> Credentials:
    """What the CLI keeps. Where its file is no use, the Keychain may be."""
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
    """Milliseconds since the epoch; None for what is no time, and none that can be shown."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= EARLIEST:
        return None
    return int(value) if value <= LATEST else None


def _steady_json_file(path: str, sleep: Callable[[float], None]) -> Any:
    """Read once more where it makes no sense: it may just be being rewritten."""
    try:
        return _json_file(path)
    except _UnreadableError:
        sleep(_MOMENT_SECONDS)
        return _json_file(path)


def _json_file(path: str) -> Any:
    """What a file holds, None where there is none. Errors: `_UnreadableError`."""
    try:
        # Not blocking: the open of a pipe waits for whoever writes it.
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _UnreadableError(f"{path} cannot be read: it is no file")
            return json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _UnreadableError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        # Their texts may hold what the file holds.
        raise _UnreadableError(f"{path} is not valid JSON") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
