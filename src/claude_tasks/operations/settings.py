"""Settings that people change while the program runs; they are kept in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from typing import Protocol

    from claude_tasks.domain.ports import Clock, SettingsStore
    from claude_tasks.domain.run_ports import RunStore

    class ConsultedStore(SettingsStore, RunStore, Protocol):
        """Settings, and the runs that wait because of one."""


DEFAULT_USAGE_THRESHOLD = 80.0
"""Percent of a usage window beyond which runs are skipped."""

_THRESHOLD = "usage_threshold"
_PERCENT = 100


class SettingsOperations:
    """Reads and changes them."""

    def __init__(self, store: ConsultedStore, clock: Clock) -> None:
        """Work on this store."""
        self._store = store
        self._clock = clock

    def usage_threshold(self) -> float:
        """Percent, 0 to 100."""
        text = self._store.get_setting(_THRESHOLD)
        try:
            percent = DEFAULT_USAGE_THRESHOLD if text is None else float(text)
        except ValueError:  # the stored value is not a number
            return DEFAULT_USAGE_THRESHOLD
        return percent if 0 <= percent <= _PERCENT else DEFAULT_USAGE_THRESHOLD

    def set_usage_threshold(self, percent: float) -> float:
        """Keep it; as kept. Errors: `InvalidInputError` outside 0 to 100."""
        if not 0 <= percent <= _PERCENT:
            raise InvalidInputError("Usage threshold must be between 0 and 100")
        at = self._clock.now()
        self._store.put_setting(_THRESHOLD, repr(float(percent)), at=at)
        self._store.reconsider_deferred(at=at)
        return float(percent)
