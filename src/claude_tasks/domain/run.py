"""A run: one execution of a task, or the skip of a tick with its reason.

    queued ──claim──▶ running ──▶ completed | failed | cancelled
      │  ▲                │
      │  └── transient failure with retries left, or never started ──┘
      └──▶ cancelled | skipped

A row may also be inserted as ``skipped`` (missed, overlap, …). The states right of the arrows are
terminal: a row in one of them is never written again.
"""

from enum import StrEnum
from typing import NamedTuple

AT_ONCE = 0
"""``not_before`` of a run that need not wait: a clock set back must not delay it."""


class State(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_terminal(self) -> bool:
        """True for the states that are never left."""
        return self not in (State.QUEUED, State.RUNNING)


class Trigger(StrEnum):
    """Why a run exists. ``clock_set``: a tick of the schedule that a clock set back gives again."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CLOCK_SET = "clock_set"

    @property
    def is_tick(self) -> bool:
        """Whether the schedule caused it, not a person."""
        return self is not Trigger.MANUAL


class Reason(StrEnum):
    """Why a run ended as it did, or was skipped. A completed run needs none."""

    # completed
    DENIED = "denied"
    """Tools were denied to the agent: it may not have done what it was asked."""
    # skipped
    MISSED = "missed"
    OVERLAP = "overlap"
    DISABLED = "disabled"
    DELETED = "deleted"
    RESCHEDULED = "rescheduled"
    USAGE_THRESHOLD = "usage_threshold"
    INVALID_SCHEDULE = "invalid_schedule"
    # failed
    PREFLIGHT = "preflight"
    SPAWN = "spawn"
    EXIT = "exit"
    AGENT_ERROR = "agent_error"
    TIMEOUT = "timeout"
    LOST = "lost"
    TERMINATED = "terminated"
    USAGE_LIMIT = "usage_limit"
    # cancelled
    CANCELLED = "cancelled"
    CANCELLED_BY_NEXT = "cancelled_by_next"


V1_STATUS = {
    State.QUEUED: "pending",
    State.RUNNING: "running",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
    State.SKIPPED: "failed",
}
"""The four statuses API v1 knows, for every state we know."""


class Run(NamedTuple):
    """One row of ``task_runs``, with the name of its task.

    ``scheduled_for`` is the tick (None for a manual run); ``(task_id, scheduled_for)`` is unique.
    A tick that a clock set back gives again is in ``covers`` instead: its row cannot have the key.
    ``claim`` counts how often a node took the row for execution: it names the run's folder and
    fences late supervisors. ``attempt`` counts executions that really began (retries); ``resumes``
    those that went on in the session which the usage limit had interrupted. ``deferred_until`` is
    when the usage window begins anew for which a queued run waits.
    ``claimed_by`` is the node that watches it; ``launched_by`` took this claim, and may launch it
    late if it hung. ``assigned_to`` is the only node that may execute a queued run; None: the
    leader. A collapsed skip stands for ``skipped_count`` ticks from ``scheduled_for`` to
    ``skipped_until``. ``resume_of`` is the session that the next attempt continues, None for a new
    one. ``unreachable_since`` is when the run first met an unreachable network, ``retries`` how
    many of the task's retries it has used up. ``covers`` is the tick for which a row without
    ``scheduled_for`` runs.
    """

    id: int
    task_id: int
    task_name: str
    trigger: Trigger
    scheduled_for: int | None
    state: State
    reason: Reason | None
    attempt: int
    claim: int
    claimed_by: str | None
    lease_epoch: int | None
    assigned_to: str | None
    not_before: int
    queued_at: int
    started_at: int | None
    ended_at: int | None
    cancel_requested_at: int | None
    cancel_reason: Reason | None
    exit_code: int | None
    output: str
    error: str | None
    session_id: str | None
    model: str | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    num_turns: int | None
    permission_denials: tuple[str, ...]
    skipped_count: int | None
    skipped_until: int | None
    log_path: str | None
    resumes: int
    deferred_until: int | None
    resume_of: str | None = None
    unreachable_since: int | None = None
    covers: int | None = None
    retries: int = 0
    launched_by: str | None = None

    @property
    def tick(self) -> int | None:
        """The tick that caused it, None for a manual run."""
        return self.covers if self.scheduled_for is None else self.scheduled_for

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to end, None while either is unknown."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0, self.ended_at - self.started_at)


class Outcome(NamedTuple):
    """How an execution ended, from the supervisor's facts and the transcript.

    ``transient``, ``resets_at`` (when the usage limit that ended it is over), ``unreachable`` (no
    network before the model answered) and ``session_gone`` (the session to resume does not exist)
    are not stored.
    """

    state: State
    reason: Reason | None
    started_at: int | None
    ended_at: int
    exit_code: int | None = None
    output: str = ""
    error: str | None = None
    session_id: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    num_turns: int | None = None
    permission_denials: tuple[str, ...] = ()
    transient: bool = False
    resets_at: int | None = None
    unreachable: bool = False
    session_gone: bool = False


NOT_STORED = ("transient", "resets_at", "unreachable", "session_gone")
"""The fields of an `Outcome` that no column holds."""
