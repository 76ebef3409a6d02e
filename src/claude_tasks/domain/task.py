"""A task: the fields that its owner sets, and the scheduler's own columns."""

from typing import NamedTuple

from claude_tasks.domain.task_fields import TaskSpec


class Task(NamedTuple):
    """One task as stored. ``spec`` is what people set; the rest is the scheduler's.

    ``anchor_at`` is when the schedule was set, where ``@every`` counts from. ``cursor_at`` is the
    last instant up to which ticks were accounted for; ``next_run_at`` is the first tick after it,
    None when nothing is to come. Edits increment ``revision``; the scheduler's own columns
    (``cursor_at``, ``next_run_at``, ``last_run_id``) change without it. ``decided_until`` is set
    when a cursor is set back after a clock was ahead: every tick up to there has its own row.
    """

    id: int
    spec: TaskSpec
    revision: int
    anchor_at: int
    cursor_at: int
    next_run_at: int | None
    last_run_id: int | None
    created_at: int
    updated_at: int
    deleted_at: int | None
    decided_until: int | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.spec.name

    @property
    def is_one_off(self) -> bool:
        """True when the task fires once, at ``scheduled_at``."""
        return self.spec.is_one_off

    @property
    def runs_at_once(self) -> bool:
        """True for a one-off without a time: it was due when it was made one."""
        # Older rows have the time at which they were created.
        return self.is_one_off and self.spec.scheduled_at in (self.anchor_at, self.created_at)
