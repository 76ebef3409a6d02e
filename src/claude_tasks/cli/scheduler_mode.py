"""What a long-running process does about scheduling: one word from a flag, one line to say it."""

from __future__ import annotations

from claude_tasks.domain.errors import InvalidInputError

_MODES = {"true": True, "false": False}


def parse_scheduler_mode(text: str) -> bool:
    """Whether to stand for the lease. Any case. Errors: `InvalidInputError` listing the choices."""
    mode = _MODES.get(text.strip().lower())
    if mode is None:
        raise InvalidInputError(
            f"--scheduler: {text!r}", hint=f"one of: {', '.join(_MODES)}", code="usage"
        )
    return mode


def mode_line(role: str, *, schedules: bool, leader: bool | None) -> str:
    """``Daemon scheduler: enabled (leader=true)``; leadership is left out while unknown."""
    word = "enabled" if schedules else "disabled"
    known = "" if leader is None else f" (leader={str(leader).lower()})"
    return f"{role.capitalize()} scheduler: {word}{known}"
