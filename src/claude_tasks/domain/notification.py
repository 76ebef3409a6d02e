"""Messages about runs and tasks, on their way to their channels."""

from enum import StrEnum
from typing import NamedTuple

from claude_tasks.domain.run import Reason, Run, State
from claude_tasks.domain.task import Task


class DeliveryState(StrEnum):
    """How far a message got."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


class Unannounced(NamedTuple):
    """A run that ended, its task, and how the last run before it ended that says anything."""

    run: Run
    task: Task
    previous_state: State | None
    previous_reason: Reason | None


class NewDelivery(NamedTuple):
    """A message to send: about a run, or, with its ``tick``, about a task that is overdue."""

    task_id: int
    run_id: int | None
    tick: int | None
    channel: str
    target: str
    event: str


class DueDelivery(NamedTuple):
    """A message to send now. ``attempts`` were made before."""

    id: int
    task_id: int
    run_id: int | None
    tick: int | None
    channel: str
    target: str
    event: str
    attempts: int


class DeliveryRecord(NamedTuple):
    """A message about a run, as it is shown: without its address."""

    channel: str
    event: str
    state: DeliveryState
    attempts: int
    next_attempt_at: int | None
    ended_at: int | None
    error: str | None


class OverdueTask(NamedTuple):
    """A task whose tick nobody took."""

    task_id: int
    name: str
    tick: int
