"""The agent: is there one that runs, is it new enough, does anything pay for it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import failed, passed, shell, warned
from claude_tasks.domain.instant import HOUR_MS, human_duration
from claude_tasks.domain.usage import Decision, decide, is_local_trouble
from claude_tasks.domain.usage_text import failure_text

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import AgentFacts, CredentialFacts
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.usage import UsageState

OLDEST_AGENT = (2, 0)
"""Older ones lack flags and events that runs depend on."""

_INSTALL = "npm install -g @anthropic-ai/claude-code"
_INSTALL_NATIVE = "curl -fsSL https://claude.ai/install.sh | bash"
_SETTING = "export CLAUDE_TASKS_CLAUDE_BIN="
_MINUTE_MS = 60_000
_ANY = 101.0
"""A threshold that no window reaches: only whether anything is known counts."""

_NAMES = ("claude", "code", "version")


def check_claude_binary(agent: AgentFacts) -> Finding:
    """Found, runs, not too old."""
    name = "claude_binary"
    if agent.path is None:
        why = "not found" if agent.missing is None else agent.missing.text
        return failed(name, why, _way_to_an_agent(agent))
    if agent.does_not_run is not None:
        fix = _way_to_a_node(agent) if agent.needs_node else shell(agent.path, "--version")
        return failed(name, f"{agent.path} {agent.does_not_run}", fix)
    version = _version_in(agent.says)
    if version is None:
        said = agent.says or "nothing"
        return warned(name, f"{agent.path} runs, but says no version: {said!r}")
    if _numbers(version) < OLDEST_AGENT:
        needed = ".".join(map(str, OLDEST_AGENT))
        text = f"{agent.path} is {version}: too old, {needed} or later is needed"
        return failed(name, text, shell(agent.path, "update"))
    return passed(name, f"{agent.path}, {version}")


def _way_to_an_agent(agent: AgentFacts) -> str:
    """Where a setting leads nowhere, installing another would not help."""
    if not agent.from_setting:
        return _INSTALL
    if agent.elsewhere is not None:
        return _SETTING + shell(agent.elsewhere)
    return f"unset CLAUDE_TASKS_CLAUDE_BIN && {_INSTALL}"


def _way_to_a_node(agent: AgentFacts) -> str:
    """Its folder onto the PATH; where there is none, an agent that needs none."""
    if agent.node is None:
        return f'{_INSTALL_NATIVE} && {_SETTING}"$HOME/.local/bin/claude"'
    return f'export PATH={shell(agent.node.rpartition("/")[0])}:"$PATH"'


def _version_in(says: str) -> str | None:
    """``2.1.330 (Claude Code)``, ``claude v2.1``: a number with at most Claude's name before it.

    Elsewhere it may be anybody's: what complains of ``node 18.0.1`` says no version.
    """
    for word in says.split():
        if _numbers(word):
            return word
        if word.lower().strip("(),:") not in _NAMES:
            return None
    return None


def _numbers(word: str) -> tuple[int, ...]:
    """``2.1.330`` and ``v2.1`` as numbers; empty for what is no version."""
    parts = word.removeprefix("v").partition("-")[0].split(".")
    plain = len(parts) > 1 and all(part.isascii() and part.isdecimal() for part in parts)
    return tuple(map(int, parts)) if plain else ()


def check_usage_credentials(credentials: CredentialFacts, usage: UsageState) -> Finding:
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
