"""Records that the store takes and returns, besides tasks and runs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claude_tasks.domain.planned import PlannedRow
from claude_tasks.domain.run import Outcome, Reason, Run, State, Trigger
from claude_tasks.domain.task import Task
from claude_tasks.domain.task_fields import TaskSpec


class ArmedSpec(NamedTuple):
    """A validated task to store, with its first tick. No tick up to ``cursor_at`` fires."""

    spec: TaskSpec
    anchor_at: int
    cursor_at: int
    next_run_at: int | None


class TaskSummary(NamedTuple):
    """A task with what its list shows of the last run that really began.

    ``deferred_until`` is when the usage window begins anew for which a queued run of it waits.
    """

    task: Task
    last_run_at: int | None
    last_run_state: State | None
    last_run_reason: Reason | None
    deferred_until: int | None = None


class TaskEdit(NamedTuple):
    """A change to one task, valid only while the task is unchanged since it was read.

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
    """Which runs to list, newest first. All conditions that are set must hold.

    ``before_id`` pages by key. ``since`` (inclusive) and ``until`` (exclusive) are ms, and compare
    when a run began, or was queued where it has not begun. ``text`` is searched literally, ignoring
    case, in the task's name, the output and the error.
    """

    task_id: int | None = None
    states: tuple[State, ...] = ()
    before_id: int | None = None
    limit: int = 20
    reasons: tuple[Reason, ...] = ()
    since: int | None = None
    until: int | None = None
    text: str | None = None


MOST_COUNTED = 10_000
"""Counting stops here: a page then says "this many or more", as counting all takes long."""


class RunFacts(NamedTuple):
    """A run without its texts, for figures. Instants are ms."""

    id: int
    trigger: Trigger
    state: State
    reason: Reason | None
    scheduled_for: int | None
    queued_at: int
    started_at: int | None
    ended_at: int | None
    attempt: int
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    skipped_count: int | None
    claim: int


class IllegibleRun(NamedTuple):
    """An unreadable row of a running run, which no node can watch."""

    run_id: int
    error: str


class Claimed(NamedTuple):
    """A run that this node has just claimed, with its task as of now."""

    run: Run
    task: Task


class TurnedAway(NamedTuple):
    """What became of the runs that only the usage limit kept from starting."""

    skipped: int
    deferred: int


class UsageBlock(NamedTuple):
    """Why no run may start, for people, and until when. ``defers`` is the rule of the settings.

    Deferred runs are judged again at ``look_at``, for usage may fall before.
    """

    text: str
    until: int
    look_at: int
    defers: bool


class Finish(NamedTuple):
    """The end of one claim of one run.

    With ``rearm_at`` a one-off that this end must not use up gets another tick at that time.
    """

    run_id: int
    claim: int
    outcome: Outcome
    log_path: str | None
    rearm_at: int | None = None


class NextTick(NamedTuple):
    """One entry of the agenda: which task ticks, and when (ms)."""

    task_id: int
    task_name: str
    at: int


class TickOutcome(NamedTuple):
    """What a tick transaction wrote."""

    queued: int
    skipped: int
    edited_meanwhile: int


class Change(NamedTuple):
    """One entry of the feed: ``topic`` is task, run, lease, node, settings; ``ref`` id or key."""

    seq: int
    topic: str
    ref: str
    at: int
