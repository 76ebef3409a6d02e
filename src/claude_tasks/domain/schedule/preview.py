"""Looking ahead and back over a schedule: next ticks, missed ones, notes on clock changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.schedule.every import Every

if TYPE_CHECKING:
    from claude_tasks.domain.schedule.protocol import Schedule


class Missed(NamedTuple):
    """Ticks that passed: how many (at most the cap: then read "at least"), the first and the last.

    ``first_at`` and ``last_at`` are exact also where the count was capped; both are None when
    nothing was missed.
    """

    total: int
    first_at: int | None
    last_at: int | None


def upcoming(schedule: Schedule, at: int, count: int) -> list[int]:
    """The next ``count`` ticks strictly after ``at``; fewer when the schedule ends before."""
    ticks: list[int] = []
    while len(ticks) < count:
        tick = schedule.next_after(ticks[-1] if ticks else at)
        if tick is None:
            break
        ticks.append(tick)
    return ticks


def missed_between(schedule: Schedule, after: int, until: int, cap: int) -> Missed:
    """The ticks t with ``after`` < t <= ``until``; counting stops at ``cap`` (at least 1)."""
    last_at = schedule.latest_at_or_before(until, after=after)
    if last_at is None:
        return Missed(0, None, None)
    first_at = schedule.next_after(after)
    return Missed(_count(schedule, after, last_at, max(1, cap)), first_at, last_at)


def dst_note(schedule: Schedule, tick: int) -> str | None:
    """What a change of the clocks did to ``tick``, as half a sentence for a person, or None."""
    return schedule.dst_note(tick)


def _count(schedule: Schedule, after: int, last_at: int, cap: int) -> int:
    if isinstance(schedule, Every):
        return min(cap, schedule.count_between(after, last_at))
    count, tick = 0, schedule.next_after(after)
    while tick is not None and tick <= last_at and count < cap:
        count += 1
        tick = schedule.next_after(tick)
    return count
