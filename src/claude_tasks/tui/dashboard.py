"""One look at everything the main screen shows, taken on the read thread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import (
    ClaudeTasksError,
    IllegibleError,
    NotFoundError,
    UsageUnavailableError,
)
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

_MOST_CHANGES = 200
"""Of so many entries of the change feed or more all tasks are read anew."""
_RECENT = 8
"""Runs of a task that its line shows: the last outcome, the last duration, a sparkline."""


class Dashboard(NamedTuple):
    """``usage`` is None where it is not known, for the reason in ``no_usage``. ``at`` is in ms.

    ``day`` counts the runs of the last 24 h by how they ended. ``skipped`` are the one-offs that a
    clock which was ahead skipped. ``seq`` is where the change feed stood, ``changed`` which tasks
    are others since the look before, they or their runs; None where that is not known.
    """

    at: int
    seq: int
    changed: frozenset[int] | None
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


def take(operations: Operations, before: Dashboard | None = None) -> Dashboard:
    """Everything as it is now. Errors: `StorageError`.

    What did not change since the look ``before`` is taken from there: to read ten thousand tasks
    takes a fifth of a second.
    """
    seq = operations.changes.last_change()
    changed = None if before is None else _changed(operations, before.seq, seq)
    if before is None or changed is None:
        tasks: Sequence[TaskSummary] = operations.tasks.list()
    else:
        tasks = _renewed(operations, before.tasks, changed)
    status = operations.status.status()
    left: Sequence[LeftTask] = operations.tasks.left_by_clock(tasks, at=status.at)
    usage, no_usage = _usage(operations)
    return Dashboard(
        at=status.at,
        seq=seq,
        changed=changed,
        tasks=tasks,
        skipped=frozenset(each.task_id for each in left if each.was_skipped),
        status=status,
        usage=usage,
        no_usage=no_usage,
        day=operations.runs.counts_since(status.at - DAY_MS),
        left_out=len(operations.tasks.left_out(tasks)),
    )


def _changed(operations: Operations, since: int, seq: int) -> frozenset[int] | None:
    """The tasks that the change feed names; None where they are many, or entries are missing."""
    entries = operations.changes.changes_since(since, limit=_MOST_CHANGES)
    if len(entries) == _MOST_CHANGES or seq - since != len(entries):
        return None
    ids = {int(entry.ref) for entry in entries if entry.topic == "task"}
    for run_id in {int(entry.ref) for entry in entries if entry.topic == "run"}:
        with suppress(NotFoundError, IllegibleError):
            ids.add(operations.runs.get(run_id).task_id)
    return frozenset(ids)


def _renewed(
    operations: Operations, tasks: Sequence[TaskSummary], changed: frozenset[int]
) -> Sequence[TaskSummary]:
    """The tasks of the look before, those that changed looked up again, newest first."""
    if not changed:
        return tasks
    found = {summary.task.id: summary for summary in tasks}
    for task_id in changed:
        found.pop(task_id, None)
        with suppress(NotFoundError, IllegibleError):
            found[task_id] = operations.runs.summary(operations.tasks.get(task_id))
    return [found[task_id] for task_id in sorted(found, reverse=True)]


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
