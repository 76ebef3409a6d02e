"""What the agent's processes inherit of our environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRIVATE = (
    "CLAUDE_TASKS_AUTH_TOKEN",
    "CLAUDE_TASKS_READ_TOKEN",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
)
"""Not for the agent: our own tokens, and the marks that make the CLI refuse to run nested."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All but what is not for the agent."""
    return {name: value for name, value in environment.items() if name not in _PRIVATE}
