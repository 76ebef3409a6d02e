"""Where the agent's credentials are, read anew at each use: they change while daemons live.

Tokens never leave this module but in the one header they are for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.errors import UsageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class Credentials(NamedTuple):
    """An OAuth token and where it came from."""

    token: str
    source: str
    expires_at: int | None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Credentials(source={self.source!r}, expires_at={self.expires_at})"


def other_billing(environment: Mapping[str, str]) -> str | None:
    """What makes the agent independent of usage windows, None where they count."""
    named = next((name for name in _OTHER_BILLING if environment.get(name)), None)
    if named is not None:
        return named
    settings = _json_file(os.path.join(config_folder(environment), "settings.json"))
    return "apiKeyHelper" if settings and settings.get("apiKeyHelper") else None


def find_credentials(environment: Mapping[str, str], *, at: int) -> Credentials:
    """The token in force. Errors: `UsageUnavailableError`: none (`no_credentials`), or expired."""
    found = _from_environment(environment) or _from_file(environment) or _from_keychain()
    if found is None:
        raise UsageUnavailableError(
            f"no credentials: neither {credentials_path(environment)} nor CLAUDE_CODE_OAUTH_TOKEN",
            hint=_LOG_IN,
            code="no_credentials",
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


def _from_file(environment: Mapping[str, str]) -> Credentials | None:
    path = credentials_path(environment)
    return _credentials(_json_file(path), path)


def _from_keychain() -> Credentials | None:
    """MacOS keeps them in the Keychain, under the same JSON."""
    if sys.platform != "darwin":
        return None
    try:
        asked = subprocess.run(
            ["/usr/bin/security", "find-generic-password", "-s", _KEYCHAIN_SERVICE, "-w"],
            capture_output=True,
            timeout=_KEYCHAIN_SECONDS,
            check=True,
        )
        value = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return _credentials(value, "the Keychain")


def _credentials(value: Any, source: str) -> Credentials | None:
    entry = value.get("claudeAiOauth") if isinstance(value, dict) else None
    if not isinstance(entry, dict):
        return None
    token, expires = entry.get("accessToken"), entry.get("expiresAt")
    if not isinstance(token, str) or not token:
        return None
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        return Credentials(token, source, None)
    return Credentials(token, source, int(expires))


def _json_file(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
