"""Messages about runs, as every face shows them: sent, on their way, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import to_rfc3339

if TYPE_CHECKING:
    from claude_tasks.domain.notification import DeliveryRecord, StalledChannel
    from claude_tasks.domain.notification_ports import NotificationStore


class NotificationOperations:
    """Looks, and changes nothing."""

    def __init__(self, store: NotificationStore) -> None:
        """Look at this store."""
        self._store = store

    def of_run(self, run_id: int) -> list[DeliveryRecord]:
        """The messages about a run, oldest first."""
        return self._store.deliveries_of(run_id)

    def latest(self, *, limit: int, task_id: int | None = None) -> list[DeliveryRecord]:
        """The newest messages, of all tasks or of one, newest first."""
        return self._store.list_deliveries(limit=limit, task_id=task_id)

    def stalled(self) -> list[StalledChannel]:
        """Channels that take no message just now."""
        return self._store.stalled_channels()


def delivery_view(record: DeliveryRecord) -> dict[str, Any]:
    """One message as JSON values."""
    times = {
        name: None if (at := getattr(record, name)) is None else to_rfc3339(at)
        for name in ("created_at", "next_attempt_at", "ended_at")
    }
    return {**record._asdict(), **times}
