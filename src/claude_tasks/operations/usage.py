"""How much of the agent's usage windows is spent, as every face shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.instant import to_rfc3339

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Clock


class Bucket(NamedTuple):
    """One window: percent used, and the instant at which it begins anew."""

    utilization: float
    resets_at: int


class Usage(NamedTuple):
    """Both windows."""

    five_hour: Bucket
    seven_day: Bucket


class UsageUnavailableError(ClaudeTasksError):
    """Nobody says how much is used."""

    code = "usage_unavailable"


class UsageOperations:
    """Looks, and changes nothing."""

    def __init__(self, clock: Clock, *, check_disabled: bool) -> None:
        """With ``check_disabled`` usage is of no interest: nothing counts as used."""
        self._clock = clock
        self._check_disabled = check_disabled

    def usage(self) -> Usage:
        """As it is now. Errors: `UsageUnavailableError`."""
        if not self._check_disabled:
            raise UsageUnavailableError(
                "Usage is not known: there is no source for it",
                hint="set CLAUDE_TASKS_DISABLE_USAGE_CHECK=1 to go without",
            )
        unused = Bucket(0.0, self._clock.now())
        return Usage(unused, unused)


def usage_view(usage: Usage) -> dict[str, Any]:
    """As JSON values."""
    return {
        name: {"utilization": bucket.utilization, "resets_at": to_rfc3339(bucket.resets_at)}
        for name, bucket in usage._asdict().items()
    }
