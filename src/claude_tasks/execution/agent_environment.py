"""What the agent's processes inherit of our environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.settings import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

_NESTED = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT")
"""The marks that make the CLI refuse to run nested."""


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """All but our own secrets and the marks of an agent around us.

    Also for whatever has an agent below it: /proc shows a process the environment that each of its
    parents was started with.
    """
    told = without_secrets(environment)
    return {name: value for name, value in told.items() if name not in _NESTED}
