"""The rows that a tick becomes, before they are written.

No ``annotations`` import from the future here, nor in the other modules of records: each
``NamedTuple`` would then compile its annotations from text, which slows every start of `list`.
"""

from typing import NamedTuple

from claude_tasks.domain.run import Reason
from claude_tasks.domain.task import Task


class PlannedRow(NamedTuple):
    """One row of ``task_runs`` to write: a run to queue (``reason`` None) or a skip with a reason.

    With ``yields`` the row becomes a skip for overlap when the task is already at its limit of
    active runs; only the transaction that writes it can know that.
    """

    scheduled_for: int
    not_before: int
    reason: Reason | None = None
    error: str | None = None
    skipped_count: int | None = None
    skipped_until: int | None = None
    yields: bool = False


class TickPlan(NamedTuple):
    """All that one task's due ticks lead to. ``cursor_at`` and ``next_run_at`` come after them."""

    task: Task
    rows: tuple[PlannedRow, ...]
    cursor_at: int
    next_run_at: int | None
