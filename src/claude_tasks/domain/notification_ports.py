"""The store's interface for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.notification import (
        DeliveryCounts,
        DeliveryRecord,
        DeliveryState,
        DueDelivery,
        NewDelivery,
        OverdueTask,
        StalledChannel,
        Unannounced,
    )


class NotificationStore(Protocol):
    """Messages about runs. That a run ended is noted in the transaction that ends it."""

    def unannounced(self, *, limit: int) -> list[Unannounced]:
        """Ended runs that are not announced yet, oldest first."""
        ...

    def announce(
        self, run_ids: Sequence[int], deliveries: Sequence[NewDelivery], *, at: int
    ) -> None:
        """Mark runs as announced, and store the messages to send about them."""
        ...

    def add_deliveries(self, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        """Store messages to send; one that exists already is left out."""
        ...

    def due_deliveries(self, *, at: int, limit: int) -> list[DueDelivery]:
        """The messages to send now, oldest first, and only a few to one address."""
        ...

    def begin_delivery(self, due: DueDelivery, *, until: int) -> bool:
        """Begin an attempt; no node begins another before ``until``.

        False when another node did.
        """
        ...

    def end_delivery(
        self,
        delivery_id: int,
        state: DeliveryState,
        *,
        attempts: int,
        next_attempt_at: int | None,
        error: str | None,
        at: int,
    ) -> None:
        """Record the result of the ``attempts``-th attempt: sent, given up, or to be tried again.

        Nothing is written once another attempt has begun.
        """
        ...

    def deliveries_of(self, run_id: int) -> list[DeliveryRecord]:
        """The messages about a run, oldest first."""
        ...

    def list_deliveries(self, *, limit: int, task_id: int | None = None) -> list[DeliveryRecord]:
        """The newest messages, of all tasks or of one, newest first."""
        ...

    def count_deliveries(self, *, since: int) -> DeliveryCounts:
        """How many wait, and how many were sent and given up since an instant."""
        ...

    def stalled_channels(self) -> list[StalledChannel]:
        """Channels that did not take a message at the last try, while messages wait for them."""
        ...

    def failures_in_a_row(self, task_id: int, *, until: int) -> int:
        """How many runs failed that ended up to an instant, since one completed; at most 1000."""
        ...

    def overdue_tasks(self, *, before: int, limit: int) -> list[OverdueTask]:
        """Tasks with a tick from before an instant that did not begin, earliest first.

        No node took the tick, or its run waits in the queue for a place. Runs with a reason to wait
        are left out: a later start, usage, a run of the same task.
        """
        ...
