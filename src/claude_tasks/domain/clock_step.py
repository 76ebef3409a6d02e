"""A wall clock that was ahead: how it is recognised, and where it leaves a task's cursor.

A clock that shows the future for a while (its hardware keeps local time, somebody mistyped the
year) makes the leader take every tick up to there: one run, and one row that counts the rest. Once
the clock is right again, these tasks would not fire until the true time gets there. So the leader
sets the cursors back:

    true now      first tick only counted            the false now = the cursor
       │  own rows           │   collapsed rows, and rows of their own      │
    ───┴─────────────────────┴───────────────────────────────────────────────┴──▶
       ▲ the cursor goes back to here            `decided_until` ▲ is before what was only counted

It is recognised by stored instants, not by observing the jump: the process whose clock was ahead
may be gone. From then on a tick with its own row is not run again, and one that was only counted
runs at its true time (`claude_tasks.domain.run.Trigger.CLOCK_SET`).

A clock that is *behind* looks the same. It does no harm: ticks that ran have their rows.
"""

from enum import StrEnum
from typing import NamedTuple

from claude_tasks.domain.task import Task

AHEAD_MS = 5_000
"""A stored instant further ahead was written by a wrong clock: all processes share one clock."""

EARLIEST_PLAUSIBLE = 1_735_689_600_000
"""2025-01-01T00:00:00Z: a clock that shows less was never set, and proves nothing about another."""


class Counted(NamedTuple):
    """The ticks of a task that were taken while the clock was ahead, as the rows tell.

    ``first_passed`` is the earliest tick up to the true now that was only counted: no node ran it
    at its time. ``decided_until`` is before the first later tick that was only counted.
    """

    first_passed: int | None
    decided_until: int | None


class AheadTask(NamedTuple):
    """A task whose cursor a clock that was ahead moved."""

    task: Task
    counted: Counted


class SetBack(NamedTuple):
    """Where a task stands once its cursor is set back."""

    task: Task
    anchor_at: int
    cursor_at: int
    next_run_at: int | None
    decided_until: int | None


class ClockStep(NamedTuple):
    """A step back of the wall clock, as it was settled at ``seen_at``."""

    seen_at: int
    back_ms: int


class Left(StrEnum):
    """How a clock that was ahead left a task that is not settled yet.

    ``stuck``: a recurring task whose cursor lies in the future; the leader sets it back.
    ``doubtful``: a one-off that was given its time then. ``missed``: a one-off that was skipped
    although its time is still to come. A person must decide on the last two.
    """

    STUCK = "stuck"
    DOUBTFUL = "doubtful"
    MISSED = "missed"


class LeftTask(NamedTuple):
    """A task so affected; ``instant`` shows how far the clock was ahead."""

    task_id: int
    name: str
    left: Left
    instant: int

    @property
    def was_skipped(self) -> bool:
        """Whether it is a one-off that was only skipped, and whose time is to come."""
        return self.left is Left.MISSED


def is_ahead(instant: int | None, *, at: int) -> bool:
    """Whether an instant was written by a clock that was ahead of the one that shows ``at``."""
    return instant is not None and instant > at + AHEAD_MS and at >= EARLIEST_PLAUSIBLE


def is_stuck(task: Task, *, at: int) -> bool:
    """Whether a recurring task waits for a future in which a clock that was ahead left it."""
    live = task.spec.enabled and task.deleted_at is None and not task.is_one_off
    return live and is_ahead(task.cursor_at, at=at)


def is_doubtful(task: Task, *, at: int) -> bool:
    """Whether a one-off to come was given its time while the clock was ahead.

    It cannot be known whether that time was meant literally, or counted from the false now.
    """
    return task.is_one_off and task.next_run_at is not None and is_ahead(task.anchor_at, at=at)
