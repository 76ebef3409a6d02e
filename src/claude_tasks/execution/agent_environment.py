"""What the agent's processes inherit of our environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRIVATE = (
    "CLAUDE_TASKS_AUTH_TOKEN",
    "CLAUDE_TASKS_READ_TOKEN",
    "CLAUDE_TASKS_DISCORD_WEBHOOK",
    "CLAUDE_TASKS_SLACK_WEBHOOK",
    "CLAUDE_TASKS_WEBHOOK_URL",
    "CLAUDE_TASKS_WEBHOOK_SECRET",
    "CLAUDE_TASKS_APPRISE_URL",
    "CLAUDE_TASKS_HEARTBEAT_URL",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
)
"""Not for the agent: our own secrets, and the marks that make the CLI refuse to run nested."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All but what is not for the agent."""
    return {name: value for name, value in environment.items() if name not in _PRIVATE}
