"""What goes into the store and comes out of it, besides tasks and runs themselves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claude_tasks.domain.planned import PlannedRow
from claude_tasks.domain.run import Outcome, Reason, Run, State
from claude_tasks.domain.task import Task, TaskSpec


class ArmedSpec(NamedTuple):
    """A validated task to store, with its first tick."""

    spec: TaskSpec
    anchor_at: int
    next_run_at: int | None


class TaskSummary(NamedTuple):
    """A task with what its list shows of the last run that really began."""

    task: Task
    last_run_at: int | None
    last_run_state: State | None
    last_run_reason: Reason | None


class TaskEdit(NamedTuple):
    """A change to one task, valid only while the task stands where the editor read it.

    ``columns`` holds just the columns that change. ``withdrawn`` are the skips for ticks that were
    due under the schedule this edit takes away. ``drop_queued`` ends the task's queued scheduled
    runs with that state and reason.
    """

    task_id: int
    expected_revision: int
    expected_cursor_at: int
    expected_next_run_at: int | None
    columns: Mapping[str, object]
    withdrawn: Sequence[PlannedRow] = ()
    drop_queued: tuple[State, Reason] | None = None


class RunFilter(NamedTuple):
    """Which runs to list, newest first. ``before_id`` pages by key."""

    task_id: int | None = None
    states: tuple[State, ...] = ()
    before_id: int | None = None
    limit: int = 20


class Claimed(NamedTuple):
    """A run this node has just taken, with the task as it stands now."""

    run: Run
    task: Task


class Finish(NamedTuple):
    """The end of one claim of one run."""

    run_id: int
    claim: int
    outcome: Outcome
    log_path: str | None


class TickOutcome(NamedTuple):
    """What a tick transaction wrote."""

    queued: int
    skipped: int
    edited_meanwhile: int


class Change(NamedTuple):
    """One entry of the change feed: ``topic`` is task, run, lease or node; ``ref`` its id."""

    seq: int
    topic: str
    ref: str
    at: int
