"""Times and durations as people type them."""

from __future__ import annotations

import pytest

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import from_rfc3339, to_rfc3339
from claude_tasks.domain.schedule.moment import parse_duration, parse_moment

SUNDAY_1300_CET = from_rfc3339("2026-11-22T12:00:00Z")


def _berlin(text: str, at: int = SUNDAY_1300_CET) -> str:
    return to_rfc3339(parse_moment(text, at=at, timezone="Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-22T12:00:00Z"),
        ("in 1h30m", "2026-11-22T13:30:00Z"),
        ("in 1.5h", "2026-11-22T13:30:00Z"),
        ("in 90s", "2026-11-22T12:01:30Z"),
        ("in 2 days", "2026-11-24T12:00:00Z"),
        ("in 1 day", "2026-11-23T12:00:00Z"),
        ("in 1 hour and 5 minutes", "2026-11-22T13:05:00Z"),
        ("in 10 mins", "2026-11-22T12:10:00Z"),
        ("in 2 weeks", "2026-12-06T12:00:00Z"),
        ("14:30", "2026-11-22T13:30:00Z"),
        ("14:30:15", "2026-11-22T13:30:15Z"),
        ("13:00", "2026-11-23T12:00:00Z"),
        ("9am", "2026-11-23T08:00:00Z"),
        ("at 9:15 PM", "2026-11-22T20:15:00Z"),
        ("12am", "2026-11-22T23:00:00Z"),
        ("12pm", "2026-11-23T11:00:00Z"),
        ("noon", "2026-11-23T11:00:00Z"),
        ("today 18:00", "2026-11-22T17:00:00Z"),
        ("Tomorrow  9am", "2026-11-23T08:00:00Z"),
        ("tomorrow at 9:30 am", "2026-11-23T08:30:00Z"),
        ("tomorrow midnight", "2026-11-22T23:00:00Z"),
        ("monday 9am", "2026-11-23T08:00:00Z"),
        ("on mon 9am", "2026-11-23T08:00:00Z"),
        ("sunday 14:00", "2026-11-22T13:00:00Z"),
        ("sunday 12:00", "2026-11-29T11:00:00Z"),
        ("next sunday 14:00", "2026-11-29T13:00:00Z"),
        ("next friday 17:30", "2026-11-27T16:30:00Z"),
        ("2026-12-24 18:00", "2026-12-24T17:00:00Z"),
        ("2026-12-24 6pm", "2026-12-24T17:00:00Z"),
        ("2026-12-24T18:00", "2026-12-24T17:00:00Z"),
        ("2026-12-24T18:00:00.250", "2026-12-24T17:00:00.250Z"),
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
        ("2026-12-24t18:00:00+02:00", "2026-12-24T16:00:00Z"),
        ("2026-07-01T09:00:00-04:00".replace("2026", "2027"), "2027-07-01T13:00:00Z"),
        ("2027-10-31 02:30", "2027-10-31T00:30:00Z"),
    ],
)
def test_a_time_typed_by_a_person(text: str, expected: str) -> None:
    assert _berlin(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "yesterday",
        "yesterday 9am",
        "tomorrow",
        "monday",
        "next week",
        "next 9am",
        "9",
        "9am tomorrow",
        "13pm",
        "0am",
        "25:00",
        "9:60",
        "today 18",
        "in",
        "in 90",
        "in 0s",
        "in -5m",
        "in 2 months",
        "in 999999999d",
        "tomorrow tomorrow 9am",
        "2026-12-24",
        "2027-02-30 10:00",
        "2027-02-30 10am",
        "10000-01-01 00:00",
        "2026-12-24T18:00:00+99:00",
        "\uff19:00",
        "now now",
    ],
)
def test_what_is_not_understood_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(InvalidInputError, match="Cannot understand the time") as refusal:
        _berlin(text)
    assert "tomorrow 9am" in (refusal.value.hint or "")


@pytest.mark.parametrize("text", ["today 9am", "2026-11-22T11:59:59Z", "2020-01-01 00:00"])
def test_the_past_is_refused_with_the_time_it_was_read_as(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"is in the past: 20\d\d-.* CET") as refusal:
        _berlin(text)
    assert "still to come" in (refusal.value.hint or "")


def test_the_very_present_is_past_unless_it_is_called_now() -> None:
    with pytest.raises(InvalidInputError, match="in the past"):
        _berlin("2026-11-22T12:00:00Z")


@pytest.mark.parametrize("text", ["9999-12-31 23:59", "9999-12-31T23:59:00-05:00"])
def test_the_end_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        _berlin(text)


def test_a_local_time_that_the_clocks_skip_is_refused_with_the_one_to_write() -> None:
    with pytest.raises(InvalidInputError, match="2027-03-28 02:30 does not exist") as refusal:
        _berlin("2027-03-28 02:30")
    assert "03:30" in (refusal.value.hint or "")


def test_a_time_of_day_skips_a_day_whose_gap_is_already_over() -> None:
    noon_of_the_change = from_rfc3339("2027-03-28T10:00:00Z")
    assert _berlin("2:30", at=noon_of_the_change) == "2027-03-29T00:30:00Z"


def test_a_time_of_day_in_the_second_pass_of_a_repeated_hour_is_tomorrow() -> None:
    second_0220 = from_rfc3339("2027-10-31T01:20:00Z")
    assert _berlin("2:45", at=second_0220) == "2027-11-01T01:45:00Z"


def test_a_moment_in_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Unknown time zone 'Berlin'"):
        parse_moment("now", at=SUNDAY_1300_CET, timezone="Berlin")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45", 45),
        ("0", 0),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1500ms500ms", 2),
        ("1H", 3600),
    ],
)
def test_a_duration_in_whole_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "-5s", "1.5", "1.5s", "5 apples", "1h30", "²"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidInputError, match="Invalid duration") as refusal:
        parse_duration(text)
    assert "1h30m" in (refusal.value.hint or "")
