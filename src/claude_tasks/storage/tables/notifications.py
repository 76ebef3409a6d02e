"""Messages: which ended runs are not announced yet, and which messages are to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import HOUR_MS
from claude_tasks.domain.notification import (
    DeliveryCounts,
    DeliveryRecord,
    DeliveryState,
    DueDelivery,
    OverdueTask,
    StalledChannel,
    Unannounced,
)
from claude_tasks.domain.run import Reason, State
from claude_tasks.storage.named_sql import fragment, load
from claude_tasks.storage.records import addresses_from, denials_from
from claude_tasks.storage.tables.history import HistoryTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.notification import NewDelivery

_OF_ONE_ADDRESS = 5
_FURTHEST_MS = 25 * HOUR_MS
"""No attempt is put off for longer. One that seems to be was written by a clock that was ahead."""

_RECORD_COLUMNS = ", ".join(
    "tasks.name" if field == "task_name" else f"deliveries.{field}"
    for field in DeliveryRecord._fields
)


class NotificationTable(HistoryTable):
    """The store's part about messages."""

    def unannounced(self, *, limit: int) -> list[Unannounced]:
        """Ended runs that are not announced yet, oldest first."""
        addresses = fragment("tasks", "addresses").replace("{task_id}", "run.task_id")
        sql = load("notifications")["unannounced"].replace("{addresses}", addresses)
        rows = self._connection.rows(sql, {"limit": limit})
        ended = [_unannounced(row) for row in rows]
        return [
            each._replace(newly_denied=self._is_newly_denied(each))
            if each.reason is Reason.DENIED
            else each
            for each in ended
        ]

    def _is_newly_denied(self, ended: Unannounced) -> bool:
        parameters: dict[str, object] = {"task_id": ended.task_id, "run_id": ended.run_id}
        now = self._kinds_of_denials("denials_of", parameters)
        return not now <= self._kinds_of_denials("denials_before", parameters)

    def _kinds_of_denials(self, statement: str, parameters: dict[str, object]) -> set[str]:
        from claude_tasks.domain.permission import kinds_of  # noqa: PLC0415 (rarely needed)

        rows = self._connection.rows(load("notifications")[statement], parameters)
        denials = (denial for (text,) in rows for denial in denials_from(text))
        return {kind for denial in denials for kind in kinds_of(denial)}

    def announce(
        self, run_ids: Sequence[int], deliveries: Sequence[NewDelivery], *, at: int
    ) -> None:
        """Mark runs as announced, and store the messages to send about them."""
        with self._connection.write():
            self._add(deliveries, at=at)
            self._enter_into_history(run_ids)
            for run_id in run_ids:
                self._connection.execute(
                    load("notifications")["forget_announced"], {"run_id": run_id}
                )

    def add_deliveries(self, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        """Store messages to send; one that exists already is left out."""
        with self._connection.write():
            self._add(deliveries, at=at)

    def due_deliveries(self, *, at: int, limit: int) -> list[DueDelivery]:
        """The messages to send now, oldest first, and only a few to one address."""
        parameters = {
            "at": at,
            "furthest": at + _FURTHEST_MS,
            "limit": limit,
            "of_one_address": _OF_ONE_ADDRESS,
        }
        rows = self._connection.rows(load("notifications")["due_deliveries"], parameters)
        return [DueDelivery._make(row) for row in rows]

    def begin_delivery(self, due: DueDelivery, *, until: int) -> bool:
        """Begin an attempt; no node begins another before ``until``.

        False when another node did.
        """
        parameters = {"id": due.id, "attempts": due.attempts, "until": until}
        with self._connection.write():
            begun = self._connection.execute(load("notifications")["begin_delivery"], parameters)
        return begun.rowcount == 1

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
        """Record the result of an attempt, unless another attempt has begun."""
        parameters = {
            "id": delivery_id,
            "state": state,
            "attempts": attempts,
            "next_attempt_at": next_attempt_at,
            "error": error,
            "at": at,
        }
        with self._connection.write():
            self._connection.execute(load("notifications")["end_delivery"], parameters)

    def deliveries_of(self, run_id: int) -> list[DeliveryRecord]:
        """The messages about a run, oldest first."""
        return self._records("deliveries_of", {"run_id": run_id})

    def list_deliveries(self, *, limit: int, task_id: int | None = None) -> list[DeliveryRecord]:
        """The newest messages, of all tasks or of one, newest first."""
        return self._records("list_deliveries", {"limit": limit, "task_id": task_id})

    def count_deliveries(self, *, since: int) -> DeliveryCounts:
        """How many messages wait, and how many were sent and given up since an instant."""
        [row] = self._connection.rows(load("notifications")["count_deliveries"], {"since": since})
        return DeliveryCounts._make(row)

    def stalled_channels(self) -> list[StalledChannel]:
        """Channels whose last attempt failed while messages wait for them."""
        rows = self._connection.rows(load("notifications")["stalled_channels"])
        return [StalledChannel._make(row) for row in rows]

    def _records(self, statement: str, parameters: dict[str, object]) -> list[DeliveryRecord]:
        text = load("notifications")[statement].format(columns=_RECORD_COLUMNS)
        records = [DeliveryRecord._make(row) for row in self._connection.rows(text, parameters)]
        return [record._replace(state=DeliveryState(record.state)) for record in records]

    def overdue_tasks(self, *, before: int, limit: int) -> list[OverdueTask]:
        """Tasks with a tick from before an instant that did not begin."""
        parameters = {"before": before, "limit": limit}
        rows = self._connection.rows(load("notifications")["overdue_tasks"], parameters)
        return [OverdueTask._make(row) for row in rows]

    def failures_in_a_row(self, task_id: int, *, until: int) -> int:
        """How many runs failed that ended up to an instant, since one completed."""
        parameters = {"task_id": task_id, "until": until}
        return int(self._connection.value(load("notifications")["failures_in_a_row"], parameters))

    def _add(self, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        for delivery in deliveries:
            self._connection.execute(
                load("notifications")["add_delivery"], {**delivery._asdict(), "at": at}
            )


def _unannounced(row: Sequence[Any]) -> Unannounced:
    run_id, task_id, state, reason, notify_on, addresses, before, before_reason = row
    return Unannounced(
        run_id,
        task_id,
        _state(state),
        _reason(reason),
        notify_on,
        _addresses(addresses),
        _state(before),
        _reason(before_reason),
    )


def _addresses(text: str) -> dict[str, str]:
    """The task's addresses; none where they cannot be read: its run is announced all the same."""
    try:
        return addresses_from(text)
    except ValueError:
        return {}


def _state(text: str | None) -> State | None:
    """The state, None where unknown: no message is sent about such a run."""
    try:
        return None if text is None else State(text)
    except ValueError:
        return None


def _reason(text: str | None) -> Reason | None:
    """The reason, None where unknown: it must not stop the messages about other runs."""
    try:
        return None if text is None else Reason(text)
    except ValueError:
        return None
