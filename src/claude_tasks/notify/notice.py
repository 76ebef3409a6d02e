"""The content of a message and its words, the same on every channel."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from claude_tasks.domain.instant import human_duration, to_rfc3339
from claude_tasks.notify.text import cut


class Event(StrEnum):
    """Why a message is sent."""

    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    DENIED = "denied"
    STARTED_FAILING = "started_failing"
    RECOVERED = "recovered"
    OVERDUE = "overdue"
    TEST = "test"


class Notice(NamedTuple):
    """One message, in plain values. Instants are ms since the epoch.

    ``run_id``, ``state`` and ``reason`` are None where no run is concerned (overdue, test).
    ``output`` is the agent's Markdown; ``error`` plain text. ``failures_in_a_row`` counts this run.
    """

    event: Event
    task_id: int | None
    task_name: str
    run_id: int | None = None
    state: str | None = None
    reason: str | None = None
    error: str | None = None
    output: str = ""
    scheduled_for: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    duration_ms: int | None = None
    cost_usd: float | None = None
    attempt: int = 0
    session_id: str | None = None
    host: str = ""
    version: str = ""
    failures_in_a_row: int = 0


_TITLES = {
    Event.FAILED: "{} failed",
    Event.SKIPPED: "{} was skipped",
    Event.CANCELLED: "{} was cancelled",
    Event.COMPLETED: "{} completed",
    Event.DENIED: "{} was denied a tool",
    Event.STARTED_FAILING: "{} started failing",
    Event.RECOVERED: "{} works again",
    Event.OVERDUE: "{} is overdue",
    Event.TEST: "Test message from claude-tasks",
}
_LONGEST_VALUE = 200


def title(notice: Notice, longest_name: int = 120) -> str:
    """``Nightly report started failing``. A long name is cut, not the words after it."""
    name = " ".join(notice.task_name.split()) or f"Task {notice.task_id}"
    if len(name) > longest_name:
        name = cut(name, longest_name - 1).rstrip() + "…"
    return _TITLES[notice.event].format(name)


def summary(notice: Notice) -> tuple[tuple[str, str], ...]:
    """Label and value of what is known, in the order to show it. Values are short single lines."""
    known = (
        ("Reason", (notice.reason or "").replace("_", " ")),
        ("Failures in a row", str(notice.failures_in_a_row) * (notice.failures_in_a_row > 1)),
        ("Due", _time(notice.scheduled_for)),
        ("Started", _time(notice.started_at)),
        ("Duration", "" if notice.duration_ms is None else human_duration(notice.duration_ms)),
        ("Cost", "" if notice.cost_usd is None else f"${notice.cost_usd:.4f}"),
        ("Attempt", str(notice.attempt) * (notice.attempt > 1)),
        ("Run", "" if notice.run_id is None else str(notice.run_id)),
        ("Session", notice.session_id or ""),
    )
    lines = ((label, " ".join(value.split())[:_LONGEST_VALUE]) for label, value in known)
    return tuple((label, value) for label, value in lines if value)


def sender(notice: Notice) -> str:
    """``claude-tasks 1.4.0 on worker-1``: the sender."""
    version = f" {notice.version}" if notice.version else ""
    return f"claude-tasks{version}" + (f" on {notice.host}" if notice.host else "")


def happened_at(notice: Notice) -> int | None:
    """The instant a message is about: the end of the run, or the nearest thing known."""
    for at in (notice.ended_at, notice.started_at, notice.scheduled_for):
        if at is not None:
            return at
    return None


def _time(at: int | None) -> str:
    return "" if at is None else to_rfc3339(at)
