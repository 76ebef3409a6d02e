"""What is known of usage decides whether runs start: every case of the decision."""

from __future__ import annotations

import pytest

from claude_tasks.domain.usage import (
    FRESH_MS,
    USABLE_MS,
    Decision,
    Failure,
    Reading,
    UsageState,
    Window,
    decide,
    learnt_from_run,
)
from claude_tasks.domain.usage_text import failure_text, over_text

AT = 1_790_000_000_000
HOUR = 3_600_000


def reading(five: float, seven: float, *, at: int = AT, resets_in: int | None = HOUR) -> Reading:
    resets_at = None if resets_in is None else AT + resets_in
    return Reading(
        (Window("five_hour", five, resets_at), Window("seven_day", seven, resets_at)), "cli", at
    )


def failure(*, at: int = AT, retry_in: int = 30_000) -> Failure:
    return Failure("usage_timeout", "nobody answered", at, at + retry_in)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (UsageState(None, None), Decision.ASK),
        (UsageState(reading(10, 10), None), Decision.GO),
        (UsageState(reading(79.9, 79.9), None), Decision.GO),
        (UsageState(reading(80, 10), None), Decision.OVER),
        (UsageState(reading(10, 80), None), Decision.OVER),
        (UsageState(reading(95, 10, resets_in=-1), None), Decision.GO),  # reset meanwhile
        (UsageState(reading(95, 10, resets_in=None), None), Decision.OVER),
        (UsageState(reading(10, 10, at=AT - FRESH_MS), None), Decision.ASK),
        (UsageState(reading(10, 10, at=AT + 60_000), None), Decision.ASK),  # the clock was set back
        # A clock set back, and a source that fails since: it must not be asked without end.
        (UsageState(reading(10, 10, at=AT + 60_000), failure()), Decision.UNAVAILABLE),
        (UsageState(None, failure()), Decision.UNAVAILABLE),
        (UsageState(None, failure(at=AT - 40_000)), Decision.ASK),  # its time is up
        (UsageState(None, failure(at=AT + 40_000)), Decision.ASK),
        (UsageState(reading(10, 10, at=AT - FRESH_MS), failure()), Decision.GO),
        (UsageState(reading(90, 10, at=AT - FRESH_MS), failure()), Decision.OVER),
        (UsageState(reading(10, 10, at=AT - USABLE_MS), failure()), Decision.UNAVAILABLE),
        (UsageState(reading(10, 10), failure(at=AT - 1)), Decision.GO),
    ],
)
def test_what_is_known_decides(snapshot: UsageState, expected: Decision) -> None:
    assert decide(snapshot, threshold=80, at=AT).decision is expected


def test_of_two_full_windows_the_one_that_lasts_longer_blocks() -> None:
    both = Reading(
        (Window("five_hour", 99, AT + HOUR), Window("seven_day", 85, AT + 50 * HOUR)), "cli", AT
    )
    judgement = decide(UsageState(both, None), threshold=80, at=AT)
    assert judgement.blocking == Window("seven_day", 85, AT + 50 * HOUR)
    text = over_text(judgement, threshold=80, at=AT)
    assert text == (
        "usage: the 7-day window is at the threshold of 80 % "
        "(5-hour 99 %, resets in 1h, 7-day 85 %, resets in 2d 2h)"
    )


def test_an_old_answer_shows_its_age_and_a_failure_its_cause() -> None:
    snapshot = UsageState(reading(90, 10, at=AT - 600_000), failure())
    assert "; 10m old)" in over_text(decide(snapshot, threshold=80, at=AT), threshold=80, at=AT)
    late = UsageState(reading(10, 10, at=AT - USABLE_MS), failure())
    assert failure_text(decide(late, threshold=80, at=AT), at=AT) == (
        "usage could not be checked: nobody answered (usage_timeout); the last answer is 15m old"
    )


def test_a_run_that_tells_both_windows_is_an_answer() -> None:
    info = {
        "status": "allowed",
        "unifiedWindows": {
            "five_hour": {"utilization": 0.42, "resetsAt": AT // 1000 + 60},
            "seven_day": {"utilization": 0.9, "resetsAt": AT // 1000 + 600},
        },
    }
    learnt = learnt_from_run(None, info, at=AT)
    assert learnt is not None
    assert (learnt.source, learnt.at) == ("a run", AT)
    assert learnt.window("five_hour") == Window("five_hour", 42, AT // 1000 * 1000 + 60_000)
    assert decide(UsageState(learnt, None), threshold=80, at=AT).decision is Decision.OVER


def test_one_window_corrects_the_last_answer_and_makes_it_no_younger() -> None:
    info = {"rateLimitType": "five_hour", "utilization": 1.0, "resetsAt": AT // 1000 + 60}
    assert learnt_from_run(None, info, at=AT) is None
    learnt = learnt_from_run(reading(10, 20, at=AT - 30_000), info, at=AT)
    assert learnt is not None
    assert (learnt.at, learnt.window("five_hour").utilization) == (AT - 30_000, 100)
    assert learnt.window("seven_day").utilization == 20


def test_a_rejection_means_that_the_window_is_full_whatever_share_it_tells() -> None:
    info = {"status": "rejected", "rateLimitType": "seven_day"}
    learnt = learnt_from_run(reading(10, 20), info, at=AT)
    assert learnt is not None
    assert learnt.window("seven_day") == Window("seven_day", 100, None)


@pytest.mark.parametrize("seconds", [2**33, 1, -5, True, "1790000000", 1e300, float("nan")])
def test_a_reset_that_is_no_instant_of_this_year_is_unknown(seconds: object) -> None:
    info = {"rateLimitType": "five_hour", "utilization": 0.5, "resetsAt": seconds}
    learnt = learnt_from_run(reading(10, 20), info, at=AT)
    assert learnt is not None
    assert learnt.window("five_hour").resets_at is None


def test_what_is_older_than_the_last_answer_teaches_nothing() -> None:
    info = {"rateLimitType": "five_hour", "utilization": 0.5}
    assert learnt_from_run(reading(10, 20), info, at=AT - 1) is None


@pytest.mark.parametrize(
    "info",
    [{}, {"rateLimitType": 5}, {"rateLimitType": "five_hour", "utilization": "much"},
     {"unifiedWindows": []}, {"unifiedWindows": {"five_hour": 1, "seven_day": None}},
     {"rateLimitType": "five_hour", "utilization": float("nan")}],
)  # fmt: skip
def test_garbage_in_an_event_teaches_nothing(info: dict[str, object]) -> None:
    assert learnt_from_run(reading(10, 20), info, at=AT) is None
