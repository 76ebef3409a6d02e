"""Runs on the wire, and the messages about them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from claude_tasks.api.schemas.fields import (
    Count,
    Id,
    Time,
    V1Status,
)
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import MOST_COUNTED


class Run(Struct, kw_only=True):
    """A run. ``status`` is what clients of API v1 know, ``state`` and ``reason`` are exact."""

    id: Id
    task_id: Id
    task_name: str
    started_at: Time
    ended_at: Time | UnsetType = UNSET
    status: V1Status
    output: str
    error: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    duration_ms: Count | UnsetType = UNSET
    state: State
    reason: Reason | None
    trigger: Trigger
    scheduled_for: Time | None
    covers: Annotated[
        Time | None, Meta(description="the tick that a clock set back gave again (clock_set)")
    ]
    queued_at: Time
    attempt: int
    exit_code: int | None
    model: str | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    num_turns: int | None
    permission_denials: list[str]
    skipped_count: int | None
    skipped_until: Time | None
    deferred_until: Annotated[
        Time | None, Meta(description="the usage reset that a queued run waits for")
    ]
    resumes: Count
    unreachable_since: Annotated[
        Time | None, Meta(description="since when the run meets a network that is away")
    ]
    log_path: str | None


class RunList(Struct):
    """Runs, newest first. ``total`` counts all that match."""

    runs: list[Run]
    total: Count


class RunPage(Struct):
    """A page of runs, newest first. ``next_before`` asks for the page after it; null at the end."""

    runs: list[Run]
    total: Annotated[int, Meta(ge=0, description=f"{MOST_COUNTED}: so many or more")]
    next_before: Id | None


class Done(Struct):
    """It was done."""

    success: Literal[True]
    message: str


class RunStarted(Done):
    """A run stands in the queue."""

    run_id: Id
    state: State


class Circumstance(Struct):
    """One line of an explanation."""

    topic: str
    text: str
    stands_in_the_way: bool


class Explanation(Struct):
    """Why a task did or did not run."""

    task_id: Id
    task_name: str
    findings: list[Circumstance]
    runs: list[Run]


class Delivery(Struct):
    """A message about a run, or about a task that is overdue. Its address is never shown."""

    id: Id
    task_id: Id
    task_name: str
    run_id: Id | None
    channel: Literal["discord", "slack", "webhook", "apprise"]
    event: str
    state: Literal["pending", "sent", "failed"]
    attempts: Count
    created_at: Time
    next_attempt_at: Time | None
    ended_at: Time | None
    error: str | None


class DeliveryList(Struct):
    """Messages, newest first; of one run, oldest first."""

    deliveries: list[Delivery]


class RunFilterQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which runs. ``state`` and ``reason`` may be repeated."""

    state: list[State] = []
    reason: list[Reason] = []
    task: Id | UnsetType = UNSET
    since: Time | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    text: str | UnsetType = UNSET
    before: Id | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class TaskRunsQuery(Struct):
    """How many runs of a task."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class DeliveriesQuery(Struct, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
