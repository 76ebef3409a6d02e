"""Ticks over both changes of the clocks in 2026, worked out by hand from the zones' rules.

New York: 8 March 02:00 EST (07:00Z) becomes 03:00 EDT; 1 November 02:00 EDT (06:00Z) becomes 01:00
EST. Lord Howe changes by half an hour: 5 April 02:00 +11 (4 April 15:00Z) becomes 01:30 +10:30;
4 October 02:00 +10:30 (3 October 15:30Z) becomes 02:30 +11. All times below are UTC.
"""

from __future__ import annotations

import pytest

from claude_tasks.domain.instant import from_rfc3339, to_rfc3339
from claude_tasks.domain.schedule import dst_note, parse_schedule, upcoming

NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"

NEW_YORK_FORWARD = [
    # fixed times in the gap fire once, at its end
    ("30 2 * * *", "03-07T12:00:00", "03-08T07:00:00 03-09T06:30:00 03-10T06:30:00"),
    ("0,30 2 * * *", "03-07T12:00:00", "03-08T07:00:00 03-09T06:00:00 03-09T06:30:00"),
    ("0 2,3 * * *", "03-07T12:00:00", "03-08T07:00:00 03-09T06:00:00 03-09T07:00:00"),
    ("30 1,2,3 * * *", "03-08T05:00:00", "03-08T06:30:00 03-08T07:00:00 03-08T07:30:00"),
    ("0 3 * * *", "03-07T12:00:00", "03-08T07:00:00 03-09T07:00:00"),
    ("30 2 8 3 *", "03-07T12:00:00", "03-08T07:00:00"),
    ("@daily", "03-07T12:00:00", "03-08T05:00:00 03-09T04:00:00"),
    # wildcards follow real time, and what the clock does not show does not fire
    ("*/30 2 * * *", "03-07T12:00:00", "03-09T06:00:00 03-09T06:30:00"),
    ("*/30 * * * *", "03-08T06:00:00", "03-08T06:30:00 03-08T07:00:00 03-08T07:30:00"),
    ("0 */2 * * *", "03-08T04:59:00", "03-08T05:00:00 03-08T08:00:00 03-08T10:00:00"),
    ("@hourly", "03-08T06:00:00", "03-08T07:00:00 03-08T08:00:00"),
    # seconds
    ("15 30 2 * * *", "03-07T12:00:00", "03-08T07:00:15 03-09T06:30:15"),
    (
        "*/20 30 2 * * *",
        "03-07T12:00:00",
        "03-08T07:00:00 03-08T07:00:20 03-08T07:00:40 03-09T06:30:00",
    ),
    ("* * * * * *", "03-08T06:59:58", "03-08T06:59:59 03-08T07:00:00 03-08T07:00:01"),
    ("59 59 1 * * *", "03-07T12:00:00", "03-08T06:59:59 03-09T05:59:59"),
]
NEW_YORK_BACK = [
    # a repeated hour fires fixed times once: the first time
    ("30 1 * * *", "10-31T12:00:00", "11-01T05:30:00 11-02T06:30:00"),
    ("0 1,2 * * *", "10-31T12:00:00", "11-01T05:00:00 11-01T07:00:00 11-02T06:00:00"),
    ("45 1 * * *", "11-01T06:30:00", "11-02T06:45:00"),
    ("30 0-2 * * *", "11-01T04:00:00", "11-01T04:30:00 11-01T05:30:00 11-01T07:30:00"),
    # wildcards run in both
    (
        "*/30 1 * * *",
        "10-31T12:00:00",
        "11-01T05:00:00 11-01T05:30:00 11-01T06:00:00 11-01T06:30:00 11-02T06:00:00",
    ),
    ("30 * * * *", "11-01T04:59:00", "11-01T05:30:00 11-01T06:30:00 11-01T07:30:00"),
    ("0 */2 * * *", "11-01T03:59:00", "11-01T04:00:00 11-01T07:00:00 11-01T09:00:00"),
    # seconds
    (
        "*/20 30 1 * * *",
        "10-31T12:00:00",
        "11-01T05:30:00 11-01T05:30:20 11-01T05:30:40 11-02T06:30:00",
    ),
    ("* * * * * *", "11-01T05:59:58", "11-01T05:59:59 11-01T06:00:00 11-01T06:00:01"),
    ("30 59 * * * *", "11-01T05:00:00", "11-01T05:59:30 11-01T06:59:30"),
]
LORD_HOWE_BACK = [
    ("45 1 * * *", "04-04T00:00:00", "04-04T14:45:00 04-05T15:15:00"),
    ("30 1 * * *", "04-04T00:00:00", "04-04T14:30:00 04-05T15:00:00"),
    ("0 2 * * *", "04-04T12:00:00", "04-04T15:30:00 04-05T15:30:00"),
    (
        "*/15 1 * * *",
        "04-04T13:30:00",
        (
            "04-04T14:00:00 04-04T14:15:00 04-04T14:30:00 04-04T14:45:00"
            " 04-04T15:00:00 04-04T15:15:00 04-05T14:30:00"
        ),
    ),
    ("0 */2 * * *", "04-04T12:00:00", "04-04T13:00:00 04-04T15:30:00 04-04T17:30:00"),
    ("0 * * * *", "04-04T13:30:00", "04-04T14:00:00 04-04T15:30:00 04-04T16:30:00"),
    ("30 45 1 * * *", "04-04T00:00:00", "04-04T14:45:30 04-05T15:15:30"),
    ("* * * * * *", "04-04T14:59:58", "04-04T14:59:59 04-04T15:00:00 04-04T15:00:01"),
]
LORD_HOWE_FORWARD = [
    ("15 2 * * *", "10-03T00:00:00", "10-03T15:30:00 10-04T15:15:00"),
    ("0,15,30 2 * * *", "10-03T00:00:00", "10-03T15:30:00 10-04T15:00:00 10-04T15:15:00"),
    ("0 2,3 * * *", "10-03T00:00:00", "10-03T15:30:00 10-03T16:00:00 10-04T15:00:00"),
    ("*/15 2 * * *", "10-03T00:00:00", "10-03T15:30:00 10-03T15:45:00 10-04T15:00:00"),
    ("0 */2 * * *", "10-03T13:00:00", "10-03T13:30:00 10-03T17:00:00 10-03T19:00:00"),
    ("0 * * * *", "10-03T14:00:00", "10-03T14:30:00 10-03T16:00:00 10-03T17:00:00"),
    ("30 15 2 * * *", "10-03T00:00:00", "10-03T15:30:30 10-04T15:15:30"),
    ("* * * * * *", "10-03T15:29:58", "10-03T15:29:59 10-03T15:30:00 10-03T15:30:01"),
]
GOLDEN = [
    *((NEW_YORK, *row) for row in NEW_YORK_FORWARD + NEW_YORK_BACK),
    *((LORD_HOWE, *row) for row in LORD_HOWE_BACK + LORD_HOWE_FORWARD),
]


def _at(text: str) -> int:
    return from_rfc3339(f"2026-{text}Z")


@pytest.mark.parametrize(("timezone", "expression", "after", "expected"), GOLDEN)
def test_ticks_over_a_change_of_the_clocks(
    timezone: str, expression: str, after: str, expected: str
) -> None:
    schedule = parse_schedule(expression, timezone=timezone)
    ticks = upcoming(schedule, _at(after), len(expected.split()))
    assert [to_rfc3339(tick) for tick in ticks] == [f"2026-{t}Z" for t in expected.split()]


@pytest.mark.parametrize(("timezone", "expression", "after", "expected"), GOLDEN)
def test_the_latest_tick_over_a_change_of_the_clocks(
    timezone: str, expression: str, after: str, expected: str
) -> None:
    schedule = parse_schedule(expression, timezone=timezone)
    last = _at(expected.rsplit(maxsplit=1)[-1])
    assert schedule.latest_at_or_before(last + 999, after=_at(after)) == last


def test_every_is_not_touched_by_a_change_of_the_clocks() -> None:
    schedule = parse_schedule("@every 1h", timezone=NEW_YORK, anchor_at=_at("03-08T05:30:00"))
    ticks = [to_rfc3339(tick) for tick in upcoming(schedule, _at("03-08T05:30:00"), 3)]
    assert ticks == ["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"]


@pytest.mark.parametrize(
    ("timezone", "expression", "tick", "note"),
    [
        (NEW_YORK, "30 2 * * *", "03-08T07:00:00", "02:30 does not exist on 2026-03-08"),
        (NEW_YORK, "30 2 * * *", "03-08T07:00:00", "go forward to 03:00, and it runs then"),
        (LORD_HOWE, "15 15 2 * * *", "10-03T15:30:15", "02:15 does not exist on 2026-10-04"),
        (NEW_YORK, "30 1 * * *", "11-01T05:30:00", "this is the first, it does not run at the sec"),
        (NEW_YORK, "30 * * * *", "11-01T05:30:00", "this is the first, it runs both times"),
        (NEW_YORK, "30 * * * *", "11-01T06:30:00", "01:30 comes twice as the clocks go back; this"),
        (NEW_YORK, "30 * * * *", "11-01T06:30:00", "this is the second, it runs both times"),
        (LORD_HOWE, "45 * * * *", "04-04T15:15:00", "this is the second, it runs both times"),
    ],
)
def test_a_tick_that_a_clock_change_touched_says_so(
    timezone: str, expression: str, tick: str, note: str
) -> None:
    schedule = parse_schedule(expression, timezone=timezone)
    assert note in (dst_note(schedule, _at(tick)) or "")


@pytest.mark.parametrize(
    ("expression", "tick"),
    [
        ("30 2 * * *", "03-09T06:30:00"),
        ("0 3 * * *", "03-08T07:00:00"),
        ("*/30 * * * *", "03-08T07:00:00"),
        ("30 0 * * *", "11-01T04:30:00"),
        ("30 2 * * *", "11-01T07:30:00"),
        ("@every 30m", "11-01T06:30:00"),
    ],
)
def test_an_ordinary_tick_has_no_note(expression: str, tick: str) -> None:
    assert dst_note(parse_schedule(expression, timezone=NEW_YORK), _at(tick)) is None


def test_a_one_off_in_a_repeated_hour_says_which_one_it_is() -> None:
    schedule = parse_schedule("", timezone=NEW_YORK, scheduled_at=_at("11-01T06:30:00"))
    assert "this is the second" in (dst_note(schedule, _at("11-01T06:30:00")) or "")
