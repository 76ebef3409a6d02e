"""What pays for the agent is present and not expired, or not needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

from claude_tasks.doctor.checks.claude_binary import agent_here
from claude_tasks.doctor.facts import Trouble, trouble_of
from claude_tasks.doctor.finding import (
    failed,
    passed,
    shell,
    warned,
)
from claude_tasks.domain.errors import (
    ClaudeTasksError,
)
from claude_tasks.domain.instant import HOUR_MS, human_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.doctor.facts import (
        DatabaseFacts,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.usage import UsageState
    from claude_tasks.settings import Settings

from claude_tasks.domain.usage import Decision, UsageState, decide, is_local_trouble
from claude_tasks.domain.usage_text import failure_text

_MINUTE_MS = 60_000
_ANY = 101.0
"""A threshold that no window reaches: only whether anything is known counts."""


class Found(Protocol):
    """Credentials, as much of them as is shown."""

    @property
    def source(self) -> str:
        """Where they are kept."""
        ...

    @property
    def expires_at(self) -> int | None:
        """Until when (ms), where it is known."""
        ...


class CredentialFacts(NamedTuple):
    """What pays for the agent. ``expires_at`` is ms, None where nothing says so.

    ``unreadable`` is a file of credentials that is there and may not be read. ``has_agent`` says
    whether there is an agent to log in with.
    """

    at: int
    check_disabled: bool = False
    billed_by: str | None = None
    source: str | None = None
    expires_at: int | None = None
    trouble: Trouble | None = None
    unreadable: str | None = None
    has_agent: bool = True


def credentials(
    *,
    settings: Settings,
    at: int,
    agent_environment: Mapping[str, str],
    other_billing: Callable[[Mapping[str, str]], str | None],
    find_credentials: Callable[[Mapping[str, str], int], Found],
    find_agent: Callable[[str | None, str | None], str],
) -> CredentialFacts:
    """Asked for as a run would: nothing is looked at where nothing is needed."""
    if settings.disable_usage_check:
        return CredentialFacts(at, check_disabled=True)
    billed_by = other_billing(agent_environment)
    if billed_by is not None:
        return CredentialFacts(at, billed_by=billed_by)
    try:
        found = find_credentials(agent_environment, at)
    except ClaudeTasksError as error:
        unreadable = _unreadable_credentials(agent_environment)
        has_agent = agent_here(find_agent, settings.claude_bin) is not None
        trouble = trouble_of(error)
        return CredentialFacts(at, trouble=trouble, unreadable=unreadable, has_agent=has_agent)
    return CredentialFacts(at, source=found.source, expires_at=found.expires_at)


def usage(*, database: DatabaseFacts) -> UsageState:
    """What is known of usage."""
    return UsageState(None, None) if database.contents is None else database.contents.usage


def _unreadable_credentials(environment: Mapping[str, str]) -> str | None:
    """The file of credentials, where it is there and this user may not read it."""
    home = environment.get("HOME") or os.path.expanduser("~")
    folder = environment.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude")
    path = os.path.join(folder, ".credentials.json")
    return path if os.path.exists(path) and not os.access(path, os.R_OK) else None


def judge(credentials: CredentialFacts, usage: UsageState) -> Finding:
    """Present, not expired and, as far as is known, not refused; or nothing asks for them."""
    name = "usage_credentials"
    trouble = credentials.trouble
    if credentials.check_disabled:
        return passed(name, "not needed: the usage check is off (CLAUDE_TASKS_DISABLE_USAGE_CHECK)")
    if credentials.billed_by is not None:
        return passed(name, f"not needed: billed by {credentials.billed_by}")
    if trouble is not None:
        expired = trouble.code == "credentials_expired"
        fix = "claude -p hello" if expired else "claude /login"
        if credentials.unreadable is not None:
            text = f"{credentials.unreadable} is there, and cannot be read by this user"
            path = shell(credentials.unreadable)
            return failed(name, text, f'sudo chown "$(id -u)" {path} && chmod 600 {path}')
        if not credentials.has_agent:
            return failed(name, f"{trouble.message}; a login needs claude: see claude_binary")
        return failed(name, trouble.text, fix)
    text = f"found: {credentials.source}"
    if credentials.expires_at is not None:
        left = max(_MINUTE_MS, credentials.expires_at - credentials.at)
        text += f", valid for {human_duration(left // _MINUTE_MS * _MINUTE_MS)}"
    return _as_asked(usage, at=credentials.at) or passed(name, text)


def _as_asked(usage: UsageState, *, at: int) -> Finding | None:
    """What came of asking for usage the last time, where that still counts."""
    failure = usage.failure
    if failure is None or not 0 <= at - failure.at < HOUR_MS or is_local_trouble(failure.code):
        return None  # credentials are looked at here and now
    judgement = decide(usage, threshold=_ANY, at=failure.at)
    text = failure_text(judgement, at=at)
    fix = "claude /login" if failure.code == "usage_unauthorized" else None
    if judgement.decision is Decision.UNAVAILABLE:
        return failed("usage_credentials", f"runs fail: {text}", fix)
    return warned("usage_credentials", text, fix)
