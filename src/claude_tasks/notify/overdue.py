"""The overdue watch: finds ticks that did not begin in time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from claude_tasks.domain.notification import NewDelivery
from claude_tasks.notify.notice import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.notification import OverdueTask
    from claude_tasks.domain.notification_ports import NotificationStore

log = logging.getLogger(__name__)

_LOOK_MS = 30_000
_MOST = 1000


class OverdueWatch:
    """Looks twice a minute, and sends one message for each overdue tick."""

    def __init__(
        self,
        store: NotificationStore,
        *,
        after_ms: int,
        targets: Callable[[int], list[tuple[str, str]]],
    ) -> None:
        """``targets`` gives the addresses for messages about a task, by its id."""
        self._store = store
        self._after_ms = after_ms
        self._targets = targets
        self._looked_at: int | None = None
        self._logged: set[OverdueTask] = set()

    def look(self, at: int) -> None:
        """Store a message for each overdue task; the database refuses a second one for a tick."""
        looked_at = self._looked_at
        if looked_at is not None and looked_at <= at < looked_at + _LOOK_MS:
            return
        self._looked_at = at
        found = set(self._store.overdue_tasks(before=at - self._after_ms, limit=_MOST))
        messages = [message for overdue in sorted(found) for message in self._messages(overdue)]
        if messages:
            self._store.add_deliveries(messages, at=at)
        for overdue in sorted(found - self._logged):
            log.warning('task %d "%s" is overdue', overdue.task_id, overdue.name)
        self._logged = found

    def _messages(self, overdue: OverdueTask) -> list[NewDelivery]:
        if overdue in self._logged:
            return []
        return [
            NewDelivery(overdue.task_id, None, overdue.tick, channel, target, Event.OVERDUE)
            for channel, target in self._targets(overdue.task_id)
        ]
