"""The one way a cron expression is refused: what is wrong, and what to write instead."""

from __future__ import annotations

from claude_tasks.domain.errors import InvalidInputError

CRON_HINT = (
    "Write 5 fields, such as '0 9 * * 1-5', or 6 with seconds first, or @daily or @every 90s."
)


def refuse(why: str, hint: str = CRON_HINT) -> InvalidInputError:
    """The error to raise. Clients of API v1 look for how its message begins."""
    return InvalidInputError(f"Invalid cron expression: {why}", hint=hint)
