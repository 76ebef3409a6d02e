"""Everything that is due in a span of time, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.schedule import upcoming
from claude_tasks.domain.task_schedule import schedule_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claude_tasks.domain.store_records import TaskSummary

_MOST_OF_A_TASK = 24
"""A task that ticks more often than hourly is entered once, with how often it ticks."""


class Due(NamedTuple):
    """One tick, ``at`` in ms. A task that ticks often is entered once, ``often`` says how often."""

    at: int
    task_id: int
    task_name: str
    timezone: str
    often: str = ""


def agenda(found: Iterable[TaskSummary], *, until: int) -> list[Due]:
    """The ticks of these tasks up to that instant (ms), earliest first."""
    entries: list[Due] = []
    for task, *_ in found:
        first = task.next_run_at
        if first is None or first > until:
            continue
        ticks = [first]
        try:
            while len(ticks) <= _MOST_OF_A_TASK and (
                coming := upcoming(schedule_of(task), ticks[-1], _MOST_OF_A_TASK)
            ):
                ticks += coming
        except InvalidInputError:  # the schedule was spoiled: its first tick will say so
            ticks = [first]
        ticks = [tick for tick in ticks if tick <= until]
        zone = task.spec.timezone
        if len(ticks) > _MOST_OF_A_TASK:
            often = schedule_of(task).describe()
            entries.append(Due(first, task.id, task.name, zone, often))
        else:
            entries += [Due(tick, task.id, task.name, zone) for tick in ticks]
    return sorted(entries)
