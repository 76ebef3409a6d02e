"""Resets fields of a task to their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.task_fields import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEDULE = ("cron_expr", "scheduled_at")
"""Without these a task would have no time at all, or a surprising one."""

CLEARABLE = tuple(name for name in TaskSpec._field_defaults if name not in _SCHEDULE)


def cleared(names: Iterable[str]) -> dict[str, Any]:
    """The changes that clear the fields. Errors: `InvalidInputError` for one that cannot be."""
    fields = [name.replace("-", "_") for name in names]
    for field in fields:
        if field not in CLEARABLE:
            raise InvalidInputError(
                f"{field!r} cannot be cleared", hint=f"one of: {', '.join(CLEARABLE)}"
            )
    return {field: TaskSpec._field_defaults[field] for field in fields}
