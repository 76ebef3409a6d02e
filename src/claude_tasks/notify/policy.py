"""Which ends of runs are worth a message.

What counts as a failure: every run that failed, its preflight included, and every tick that was
skipped although the owner wanted it to run (the usage threshold, missed while no node scheduled, an
invalid schedule). A tick skipped because the run before it still goes on is reported as a failure
too: the work did not happen. But it does not show whether the task works, so it neither starts nor
ends a series of failures. What does not count: a tick that its owner's edit removed (`OWN_DOING`),
and a cancelled run, which a person or the task's overlap rule ended.
"""

from __future__ import annotations

from enum import StrEnum

from claude_tasks.domain.run import Reason, State
from claude_tasks.notify.notice import Event

OWN_DOING = frozenset({Reason.DISABLED, Reason.DELETED, Reason.RESCHEDULED})
"""Skips caused by an edit of the owner."""


class NotifyOn(StrEnum):
    """When the owner of a task wants a message."""

    FAILURE = "failure"
    ALWAYS = "always"
    CHANGE = "change"


def is_failure(state: State, reason: Reason | None) -> bool | None:
    """Whether a run that ended so counts as failed; None where it says nothing about the task.

    None stands for runs that have not ended, cancelled ones, skips of the owner's own doing and
    those by the overlap rule.
    """
    if state is State.SKIPPED:
        return None if reason in OWN_DOING or reason is Reason.OVERLAP else True
    return {State.FAILED: True, State.COMPLETED: False}.get(state)


def event_of(
    on: NotifyOn,
    state: State,
    reason: Reason | None,
    *,
    previous_state: State | None = None,
    previous_reason: Reason | None = None,
    newly_denied: bool = False,
) -> Event | None:
    """The message to send about a run that ended; None for none.

    ``failure``: every failure, as `is_failure` has it, and every skip by the overlap rule.
    ``always``: every end, cancelled runs and the owner's own skips included.
    ``change``: a task that starts failing, and one that recovers.
    A run that completed although a tool was denied to it is told as such: with ``always`` each one,
    else only one that was ``newly_denied`` a tool which was not denied to the task before.

    The previous run is the last one before this whose `is_failure` is not None, None when there is
    none; only ``change`` looks at it. A task whose first run fails starts failing; one whose first
    run completes has not recovered from anything.
    """
    failed = is_failure(state, reason)
    denied = state is State.COMPLETED and reason is Reason.DENIED
    if denied and (newly_denied or on is NotifyOn.ALWAYS):
        return Event.DENIED
    if on is NotifyOn.ALWAYS:
        return _plain(state)
    if on is NotifyOn.FAILURE:
        overlapped = state is State.SKIPPED and reason is Reason.OVERLAP
        return _plain(state) if failed or overlapped else None
    if failed is None:
        return None
    failed_before = previous_state is not None and bool(is_failure(previous_state, previous_reason))
    if failed == failed_before:
        return None
    return Event.STARTED_FAILING if failed else Event.RECOVERED


def _plain(state: State) -> Event | None:
    return {
        State.COMPLETED: Event.COMPLETED,
        State.FAILED: Event.FAILED,
        State.SKIPPED: Event.SKIPPED,
        State.CANCELLED: Event.CANCELLED,
    }.get(state)
