"""The rules of the queue: which tick yields to the run before it, which waiting run starts first.

Pure: the caller counts in the same transaction that acts on the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.run import Reason
from claude_tasks.domain.task_fields import Overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.planned import PlannedRow
    from claude_tasks.domain.task_fields import TaskSpec

LONGEST_QUEUE = 100
"""How many runs of one task may wait, so that the queue of a slow task does not grow without
end."""


class Startable(NamedTuple):
    """A run that may start, and how many of its task may start now."""

    run_id: int
    task_id: int
    task_room: int


def settle_overlap(row: PlannedRow, spec: TaskSpec, *, active: int) -> PlannedRow:
    """Turn a run that must yield, or that would make the queue endless, into a skip.

    ``active`` counts the runs of its task that wait or run.
    """
    room = spec.max_concurrency or 1
    if row.yields and active >= room:
        why = "an earlier run of this task had not ended"
    elif active >= room + LONGEST_QUEUE and spec.overlap is not Overlap.CANCEL_OTHER:
        why = f"{active} runs of this task wait or run already"
    else:
        return row
    return row._replace(reason=Reason.OVERLAP, error=why, skipped_count=1)


def merge_queues(
    own: Sequence[Startable], common: Sequence[Startable], *, room: int, own_room: int
) -> list[int]:
    """The runs to start, oldest first, within ``room``, ``own_room`` and each task's limit."""
    own_ids = {each.run_id for each in own}
    of_task: dict[int, int] = {}
    chosen: list[int] = []
    for run_id, task_id, task_room in sorted([*own, *common]):
        if len(chosen) == room:
            break
        if of_task.get(task_id, 0) >= task_room or (run_id in own_ids and own_room <= 0):
            continue
        chosen.append(run_id)
        of_task[task_id] = of_task.get(task_id, 0) + 1
        own_room -= run_id in own_ids
    return chosen
