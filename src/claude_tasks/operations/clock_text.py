"""What a clock that was ahead left of tasks, in words, and the command that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.clock_step import ClockStep, Left, LeftTask
from claude_tasks.domain.hint import Command, Hint, Placeholder
from claude_tasks.domain.instant import (
    DAY_MS,
    LATEST,
    MINUTE_MS,
    SECOND_MS,
    human_duration,
    to_rfc3339,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.task import Task


class ClockTrouble(NamedTuple):
    """One task that waits for a false future, or was used up in it; ``fix`` is the command."""

    task_id: int
    task_name: str
    text: str
    fix: str

    @property
    def line(self) -> Hint:
        """All of it in a line."""
        return Hint(f'task {self.task_id} "{self.task_name}" {self.text}: ', self.fix)


def trouble(left: LeftTask, *, led: bool, at: int) -> ClockTrouble:
    """What became of a task, and what helps. ``led``: a living node leads."""
    ahead = f"the clock was {_rounded(left.instant - at)} ahead"
    if left.left is Left.STUCK:
        who = "the leader sets it right at its next look" if led else "it waits for a leader"
        text = f"would be silent until {to_rfc3339(min(left.instant, LATEST))}, for {ahead}; {who}"
        fix = Command("edit", left.task_id, "--enabled") if led else Command("daemon")
    elif left.left is Left.DOUBTFUL:
        text = f"was given its time while {ahead}; say whether that is meant"
        fix = Command("edit", left.task_id, "--at", Placeholder("<TIME>"))
    else:
        text = "was skipped as missed while the clock was ahead, and its time is to come"
        fix = Command("enable", left.task_id)
    return ClockTrouble(left.task_id, left.name, text, fix)


def step_text(step: ClockStep) -> str:
    """A step that was settled, and what that means until the true time has caught up."""
    return (
        f"it was {_rounded(step.back_ms)} ahead, and was set back at {to_rfc3339(step.seen_at)}: "
        "ticks whose agent ran then do not run again, those that were only counted run in time"
    )


def is_felt(step: ClockStep | None, *, at: int) -> bool:
    """Whether the true time has not caught up with the false one."""
    return step is not None and step.seen_at + step.back_ms > at


def own(troubles: Sequence[ClockTrouble], task: Task) -> ClockTrouble | None:
    """What concerns one task."""
    return next((each for each in troubles if each.task_id == task.id), None)


def _rounded(milliseconds: int) -> str:
    """To the nearest minute from a minute on, to the nearest day from ten days on."""
    fine = MINUTE_MS if milliseconds >= MINUTE_MS else SECOND_MS
    unit = DAY_MS if milliseconds >= 10 * DAY_MS else fine
    return human_duration(round(milliseconds / unit) * unit)
