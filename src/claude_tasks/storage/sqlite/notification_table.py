"""Messages: which ends of runs nobody looked at yet, and what is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.notification import (
    DeliveryRecord,
    DeliveryState,
    DueDelivery,
    OverdueTask,
    Unannounced,
)
from claude_tasks.domain.run import Reason, State
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import run_from_row, task_from_row
from claude_tasks.storage.sqlite.run_table import select as select_run
from claude_tasks.storage.sqlite.tables import Tables
from claude_tasks.storage.sqlite.task_table import select as select_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.notification import NewDelivery


class NotificationTable(Tables):
    """The room of messages."""

    def unannounced(self, *, limit: int) -> list[Unannounced]:
        """Runs that ended and that nobody looked at yet, oldest first."""
        rows = self._connection.rows(load("notifications")["unannounced"], {"limit": limit})
        return [self._unannounced(run_id) for (run_id,) in rows]

    def announce(self, run_id: int, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        """It was looked at; these messages are to be sent about it."""
        with self._connection.write():
            self._add(deliveries, at=at)
            self._connection.execute(load("notifications")["forget_announced"], {"run_id": run_id})

    def add_deliveries(self, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        """Messages to send; one that there was before is left out."""
        with self._connection.write():
            self._add(deliveries, at=at)

    def due_deliveries(self, *, at: int, limit: int) -> list[DueDelivery]:
        """What is to be sent now, oldest first."""
        parameters = {"at": at, "limit": limit}
        rows = self._connection.rows(load("notifications")["due_deliveries"], parameters)
        return [DueDelivery._make(row) for row in rows]

    def begin_delivery(self, due: DueDelivery, *, until: int) -> bool:
        """Begin an attempt, which nobody repeats before ``until``; False when another did."""
        parameters = {"id": due.id, "attempts": due.attempts, "until": until}
        with self._connection.write():
            begun = self._connection.execute(load("notifications")["begin_delivery"], parameters)
        return begun.rowcount == 1

    def end_delivery(
        self,
        delivery_id: int,
        state: DeliveryState,
        *,
        next_attempt_at: int | None,
        error: str | None,
        at: int,
    ) -> None:
        """What came of an attempt."""
        parameters = {
            "id": delivery_id,
            "state": state,
            "next_attempt_at": next_attempt_at,
            "error": error,
            "at": at,
        }
        with self._connection.write():
            self._connection.execute(load("notifications")["end_delivery"], parameters)

    def deliveries_of(self, run_id: int) -> list[DeliveryRecord]:
        """The messages about a run."""
        rows = self._connection.rows(load("notifications")["deliveries_of"], {"run_id": run_id})
        records = [DeliveryRecord._make(row) for row in rows]
        return [record._replace(state=DeliveryState(record.state)) for record in records]

    def overdue_tasks(self, *, before: int, limit: int) -> list[OverdueTask]:
        """Tasks with a tick from before an instant that nobody took."""
        parameters = {"before": before, "limit": limit}
        rows = self._connection.rows(load("notifications")["overdue_tasks"], parameters)
        return [OverdueTask._make(row) for row in rows]

    def failures_in_a_row(self, task_id: int, *, until: int) -> int:
        """How many runs failed, up to one and since the last that completed; at most 1000."""
        parameters = {"task_id": task_id, "until": until}
        return int(self._connection.value(load("notifications")["failures_in_a_row"], parameters))

    def _unannounced(self, run_id: int) -> Unannounced:
        run = run_from_row(self._connection.rows(select_run("get_run"), {"run_id": run_id})[0])
        asked = {"task_id": run.task_id, "run_id": run_id}
        task = task_from_row(
            self._connection.rows(select_task(load("tasks")["get_task"]), asked)[0]
        )
        before = self._connection.rows(load("notifications")["run_before"], asked)
        state, reason = before[0] if before else (None, None)
        return Unannounced(
            run,
            task,
            None if state is None else State(state),
            None if reason is None else Reason(reason),
        )

    def _add(self, deliveries: Sequence[NewDelivery], *, at: int) -> None:
        for delivery in deliveries:
            self._connection.execute(
                load("notifications")["add_delivery"], {**delivery._asdict(), "at": at}
            )
