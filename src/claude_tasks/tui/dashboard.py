"""One look at everything the main screen shows, taken on the read thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import ClaudeTasksError, UsageUnavailableError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.store_records import RunFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.run import Run, State
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.operations.facade import Operations
    from claude_tasks.operations.status import Status
    from claude_tasks.operations.usage import UsageStatus

_RECENT = 8
"""Runs of a task that its line shows: the last outcome, the last duration, a sparkline."""


class Dashboard(NamedTuple):
    """``usage`` is None where it is not known, for the reason in ``no_usage``. ``at`` is in ms.

    ``day`` counts the runs of the last 24 h by how they ended. ``skipped`` are the one-offs that a
    clock which was ahead skipped.
    """

    at: int
    tasks: Sequence[TaskSummary]
    skipped: frozenset[int]
    status: Status
    usage: UsageStatus | None
    no_usage: str
    day: Mapping[State, int]
    left_out: int

    def running_of(self, task_id: int) -> Run | None:
        """The newest run of a task that is running now."""
        own = (run for run in self.status.running if run.task_id == task_id)
        return max(own, key=lambda run: run.id, default=None)

    def queued_of(self, task_id: int) -> bool:
        """Whether a run of a task waits for its turn."""
        return any(run.task_id == task_id for run in self.status.queued)


def take(operations: Operations) -> Dashboard:
    """Everything as it is now. Errors: `StorageError`."""
    tasks = operations.tasks.list()
    status = operations.status.status()
    left: Sequence[LeftTask] = operations.tasks.left_by_clock(tasks, at=status.at)
    usage, no_usage = _usage(operations)
    return Dashboard(
        at=status.at,
        tasks=tasks,
        skipped=frozenset(each.task_id for each in left if each.was_skipped),
        status=status,
        usage=usage,
        no_usage=no_usage,
        day=operations.runs.counts_since(status.at - DAY_MS),
        left_out=len(operations.tasks.left_out(tasks)),
    )


def recent_runs(operations: Operations, task_ids: Sequence[int]) -> dict[int, list[Run]]:
    """The newest runs of each of these tasks, newest first."""
    return {
        task_id: operations.runs.list(RunFilter(task_id=task_id, limit=_RECENT))
        for task_id in task_ids
    }


def _usage(operations: Operations) -> tuple[UsageStatus | None, str]:
    try:
        return operations.usage.usage(), ""
    except UsageUnavailableError as error:
        return None, error.message
    except ClaudeTasksError as error:  # a setting that makes no sense
        return None, error.message
