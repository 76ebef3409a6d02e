"""Ticks that come again after the clock was set back: which are settled, which run again.

    a row of its own         decided: its agent started or will, or a rule skipped this very tick
    given again once         decided
    in a collapsed row that is older than the step: it was only counted, and runs as ``clock_set``
    none of these            a tick like any other

Only ticks up to the horizon are checked: no clock was ever further ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.run import Trigger
from claude_tasks.storage.named_sql import load

if TYPE_CHECKING:
    from claude_tasks.domain.planned import PlannedRow
    from claude_tasks.storage.tables.base import Connection


class Horizon(NamedTuple):
    """How far a clock was ever ahead, when that was last settled, the last row written before."""

    until: int
    settled_at: int
    last_run_id: int


_NOWHERE = Horizon(-1, -1, 0)
"""The horizon of a database whose clock was never set back by much."""


def horizon(connection: Connection) -> Horizon:
    """The horizon, read in this transaction."""
    [row] = connection.rows(load("clock")["horizon"])
    return _NOWHERE if row[0] is None else Horizon._make(row)


def standing_of(
    connection: Connection, task_id: int, row: PlannedRow, horizon: Horizon
) -> Trigger | None:
    """The trigger for the row of a tick; None where the tick is already decided."""
    if row.scheduled_for > horizon.until:
        return Trigger.SCHEDULE
    if row.skipped_until is not None:
        return _standing_of_range(connection, task_id, row, horizon)
    sql, asked = load("clock"), {"task_id": task_id, "tick": row.scheduled_for}
    own = connection.rows(sql["row_of_tick"], asked)
    if own and not _only_counts(own[0], horizon):
        return None
    if connection.value(sql["is_given_again"], asked) is not None:
        return None
    counted_until = _counted_until(connection, task_id, row.scheduled_for, horizon)
    return Trigger.SCHEDULE if counted_until is None else Trigger.CLOCK_SET


def _standing_of_range(
    connection: Connection, task_id: int, row: PlannedRow, horizon: Horizon
) -> Trigger | None:
    """The trigger for a row of ticks skipped again; None where a row already says so."""
    assert row.skipped_until is not None
    counted_until = _counted_until(connection, task_id, row.scheduled_for, horizon)
    if counted_until is not None:
        known = row.skipped_until <= min(counted_until, horizon.settled_at)
        return None if known else Trigger.CLOCK_SET
    asked = {"task_id": task_id, "tick": row.scheduled_for}
    taken = connection.rows(load("clock")["row_of_tick"], asked)
    return Trigger.CLOCK_SET if taken else Trigger.SCHEDULE


def _counted_until(connection: Connection, task_id: int, tick: int, horizon: Horizon) -> int | None:
    """The last tick of the collapsed row that counts a tick, None where no row does."""
    asked = {"task_id": task_id, "tick": tick}
    [before] = connection.rows(load("clock")["row_before"], asked) or [(0, None)]
    counts = _only_counts(before, horizon) and before[1] >= tick
    return before[1] if counts else None


def _only_counts(row: tuple[int, int | None], horizon: Horizon) -> bool:
    """Whether a row only counts ticks that did not run, and is older than the last step."""
    run_id, skipped_until = row
    return skipped_until is not None and run_id <= horizon.last_run_id
