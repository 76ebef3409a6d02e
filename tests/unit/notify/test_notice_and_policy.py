from __future__ import annotations

import pytest

from claude_tasks.domain.run import Reason, State
from claude_tasks.notify.notice import Event, Notice, happened_at, sender, summary, title
from claude_tasks.notify.policy import OWN_DOING, NotifyOn, event_of, is_failure
from unit.notify.notices import FAILED, TEST

FAILURE, ALWAYS, CHANGE = NotifyOn.FAILURE, NotifyOn.ALWAYS, NotifyOn.CHANGE
BAD = [
    (State.FAILED, Reason.EXIT),
    (State.FAILED, Reason.PREFLIGHT),
    (State.FAILED, Reason.LOST),
    (State.SKIPPED, Reason.USAGE_THRESHOLD),
    (State.SKIPPED, Reason.MISSED),
    (State.SKIPPED, Reason.INVALID_SCHEDULE),
]
NEUTRAL = [
    (State.CANCELLED, Reason.CANCELLED),
    (State.CANCELLED, Reason.CANCELLED_BY_NEXT),
    *((State.SKIPPED, reason) for reason in sorted(OWN_DOING)),
]
UNENDED = [(State.QUEUED, None), (State.RUNNING, None)]


@pytest.mark.parametrize(("state", "reason"), BAD)
def test_failures_and_unwanted_skips_are_told(state: State, reason: Reason) -> None:
    expected = Event.SKIPPED if state is State.SKIPPED else Event.FAILED
    assert event_of(FAILURE, state, reason) is expected
    assert event_of(ALWAYS, state, reason) is expected


@pytest.mark.parametrize(("state", "reason"), NEUTRAL)
def test_what_the_owner_wanted_is_told_only_to_those_who_hear_everything(
    state: State, reason: Reason
) -> None:
    assert is_failure(state, reason) is None
    for previous in (None, State.COMPLETED, State.FAILED):
        assert event_of(FAILURE, state, reason, previous_state=previous) is None
        assert event_of(CHANGE, state, reason, previous_state=previous) is None
    assert event_of(ALWAYS, state, reason) is (
        Event.SKIPPED if state is State.SKIPPED else Event.CANCELLED
    )


@pytest.mark.parametrize(("state", "reason"), UNENDED)
@pytest.mark.parametrize("on", NotifyOn)
def test_a_run_that_goes_on_is_no_news(on: NotifyOn, state: State, reason: None) -> None:
    assert event_of(on, state, reason, previous_state=State.FAILED) is None


def test_a_completed_run_is_told_only_to_those_who_hear_everything() -> None:
    assert event_of(FAILURE, State.COMPLETED, None) is None
    assert event_of(ALWAYS, State.COMPLETED, None) is Event.COMPLETED


@pytest.mark.parametrize(("state", "reason"), BAD)
@pytest.mark.parametrize("before", [None, State.COMPLETED])
def test_change_tells_of_the_first_failure(
    state: State, reason: Reason, before: State | None
) -> None:
    assert event_of(CHANGE, state, reason, previous_state=before) is Event.STARTED_FAILING


@pytest.mark.parametrize(("state", "reason"), BAD)
@pytest.mark.parametrize(("before", "why"), BAD)
def test_change_is_silent_while_a_task_goes_on_failing(
    state: State, reason: Reason, before: State, why: Reason
) -> None:
    event = event_of(CHANGE, state, reason, previous_state=before, previous_reason=why)
    assert event is None


@pytest.mark.parametrize(("before", "why"), BAD)
def test_change_tells_of_a_recovery_from_every_failure(before: State, why: Reason) -> None:
    event = event_of(CHANGE, State.COMPLETED, None, previous_state=before, previous_reason=why)
    assert event is Event.RECOVERED


@pytest.mark.parametrize("before", [None, State.COMPLETED])
def test_change_is_silent_about_a_task_that_goes_on_working(before: State | None) -> None:
    assert event_of(CHANGE, State.COMPLETED, None, previous_state=before) is None


def test_a_title_says_what_happened_to_which_task() -> None:
    titles = {event: title(FAILED._replace(event=event)) for event in Event}
    assert titles == {
        Event.FAILED: "Nightly report failed",
        Event.SKIPPED: "Nightly report was skipped",
        Event.CANCELLED: "Nightly report was cancelled",
        Event.COMPLETED: "Nightly report completed",
        Event.DENIED: "Nightly report was denied a tool",
        Event.STARTED_FAILING: "Nightly report started failing",
        Event.RECOVERED: "Nightly report works again",
        Event.OVERDUE: "Nightly report is overdue",
        Event.TEST: "Test message from claude-tasks",
    }


def test_a_long_or_ragged_name_leaves_the_words_after_it() -> None:
    assert title(FAILED._replace(task_name="a\n b {} ")) == "a b {} started failing"
    assert title(FAILED._replace(task_name="n" * 500)).endswith("n… started failing")
    assert title(FAILED._replace(task_name=" ")) == "Task 7 started failing"


def test_a_summary_shows_what_is_known_and_nothing_else() -> None:
    assert summary(FAILED) == (
        ("Reason", "timeout"),
        ("Failures in a row", "3"),
        ("Due", "2025-11-24T16:00:00Z"),
        ("Started", "2025-11-24T16:00:01.500Z"),
        ("Duration", "30m"),
        ("Cost", "$0.2500"),
        ("Attempt", "2"),
        ("Run", "42"),
        ("Session", "0a1b2c3d"),
    )
    assert summary(TEST) == ()
    first = Notice(Event.FAILED, 7, "x", 1, reason="usage_threshold", attempt=1)
    assert summary(first._replace(failures_in_a_row=1, cost_usd=0.0)) == (
        ("Reason", "usage threshold"),
        ("Cost", "$0.0000"),
        ("Run", "1"),
    )


def test_a_message_says_who_sent_it_and_when_it_happened() -> None:
    assert sender(FAILED) == "claude-tasks 1.4.0 on worker-1"
    assert sender(Notice(Event.TEST, None, "")) == "claude-tasks"
    assert happened_at(FAILED) == FAILED.ended_at
    assert happened_at(FAILED._replace(ended_at=None)) == FAILED.started_at
    assert happened_at(FAILED._replace(ended_at=None, started_at=None)) == FAILED.scheduled_for
    assert happened_at(TEST) is None
