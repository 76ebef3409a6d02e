"""What is accepted as a schedule, what is refused with which advice, and the sentences."""

from __future__ import annotations

import subprocess
import sys

import pytest

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import DAY_MS, from_rfc3339, to_rfc3339
from claude_tasks.domain.schedule import Missed, missed_between, parse_schedule, upcoming

NOON = from_rfc3339("2026-11-22T12:00:00Z")  # a Sunday


def _next(expression: str, count: int = 3) -> list[str]:
    return [to_rfc3339(tick) for tick in upcoming(parse_schedule(expression), NOON, count)]


@pytest.mark.parametrize(
    ("expression", "same_as"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@Hourly", "0 * * * *"),
        ("  0   9 * *\t1 ", "0 9 * * 1"),
        ("0 0 9 * * MON", "0 9 * * 1"),
        ("0 9 ? * mon", "0 9 * * 1"),
        ("0 9 1 * ?", "0 9 1 * *"),
        ("0 9 * * FRI-SUN", "0 9 * * 5,6,0"),
        ("0 9 * * SAT-TUE/2", "0 9 * * 6,1"),
        ("0 9 * * 7", "0 9 * * 0"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-2/2 * * *", "0 22,0,2 * * *"),
        ("0 0 1 NOV-FEB *", "0 0 1 11,12,1,2 *"),
        ("7-7/3 * * * *", "7 * * * *"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("50/20 * * * *", "50 * * * *"),
        ("0 9 * * FRIL", "0 9 * * 5L"),
        ("0 9 * * MON#2", "0 9 * * 1#2"),
        ("TZ=UTC 0 9 * * *", "0 9 * * *"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "0 8 * * *"),
        ("@every 90s", "@every 1m30s"),
        ("@every 1h30m", "@every 1.5h"),
        ("@every 1h 30m", "@every 5400s"),
        ("@every 2000ms", "@every 2s"),
        ("@every 366d", "@every 8784h"),
    ],
)
def test_spellings_of_the_same_schedule(expression: str, same_as: str) -> None:
    assert _next(expression, 12) == _next(same_as, 12)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", "2026-11-23T09:00:00Z 2026-11-24T09:00:00Z 2026-11-25T09:00:00Z"),
        ("0 0 13 * FRI", "2026-11-27T00:00:00Z 2026-12-04T00:00:00Z 2026-12-11T00:00:00Z"),
        ("0 0 */2 * MON", "2026-11-23T00:00:00Z 2026-12-07T00:00:00Z 2026-12-21T00:00:00Z"),
        ("0 0 L * *", "2026-11-30T00:00:00Z 2026-12-31T00:00:00Z 2027-01-31T00:00:00Z"),
        ("0 0 LW * *", "2026-11-30T00:00:00Z 2026-12-31T00:00:00Z 2027-01-29T00:00:00Z"),
        ("0 0 * * 5L", "2026-11-27T00:00:00Z 2026-12-25T00:00:00Z 2027-01-29T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z 2036-02-29T00:00:00Z"),
        ("0 0 30 2 MON", "2027-02-01T00:00:00Z 2027-02-08T00:00:00Z 2027-02-15T00:00:00Z"),
        ("*/20 59 * * * *", "2026-11-22T12:59:00Z 2026-11-22T12:59:20Z 2026-11-22T12:59:40Z"),
        ("@every 90s", "2026-11-22T12:01:30Z 2026-11-22T12:03:00Z 2026-11-22T12:04:30Z"),
    ],
)
def test_next_ticks(expression: str, expected: str) -> None:
    assert _next(expression) == expected.split()


CRON = "Invalid cron expression: "


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("*/70 * * * *", CRON + "'*/70': a step of 70 is longer", "@every 70m"),
        ("*/90 * * * * *", CRON + "'*/90': a step of 90 is longer", "@every 90s"),
        ("0 */48 * * *", CRON + "'*/48': a step of 48 is longer", "@every 48h"),
        ("0 0 * */13 *", CRON + "'*/13': a step of 13 is longer", "from 1 to 12"),
        ("*/0 * * * *", CRON + "the step of '*/0'", "*/5"),
        ("*/ * * * *", CRON + "the step of '*/'", "*/5"),
        ("*/² * * * *", CRON + "the step of '*/²'", "*/5"),
        ("61 * * * *", CRON + "'61' is not a minute", "from 0 to 59"),
        ("0 24 * * *", CRON + "'24' is not an hour", "0 for midnight"),
        ("0 0 0 * *", CRON + "'0' is not a day of month", "from 1 to 31"),
        ("0 0 * 13 *", CRON + "'13' is not a month", "JAN"),
        ("0 9 * * 8", CRON + "'8' is not a weekday", "SUN"),
        ("0 9 * * MONDAY", CRON + "'MONDAY' is not a weekday", "Write MON."),
        ("0 9 * * JAN", CRON + "'JAN' is not a weekday", "SUN"),
        ("-1 * * * *", CRON + "'' is not a minute", "from 0 to 59"),
        ("1-2-3 * * * *", CRON + "'2-3' is not a minute", "from 0 to 59"),
        ("*-5 * * * *", CRON + "'*' is not a minute", "from 0 to 59"),
        ("? * * * *", CRON + "'?' is not a minute", "Write * here"),
        ("1,,2 * * * *", CRON + "a list has nothing where a minute", "comma"),
        ("10-5 * * * *", CRON + "the range '10-5' is empty", "10-59,0-5"),
        ("0 0 25-5 * *", CRON + "the range '25-5' is empty", "25-31,1-5"),
        ("0 0 30 2 *", CRON + "that day never comes", "0 0 L 2 *"),
        ("0 0 31 4,6,9,11 *", CRON + "that day never comes", "0 0 L 2 *"),
        ("0 9 15W * *", CRON + "'15W' is not a day of month", "LW"),
        ("0 9 L-3 * *", CRON + "'L-3' is not a day of month", "Write L"),
        ("0 9 * * L", CRON + "'L' is not a weekday", "5L"),
        ("0 9 * * XYZL", CRON + "'XYZ' is not a weekday", "SUN"),
        ("0 9 * * 1#6", CRON + "'1#6': no month has such a weekday", "MON#1"),
        ("0 9 * *", CRON + "expected 5 fields", "0 9 * * 1-5"),
        ("0 0 9 * * * 2026", CRON + "expected 5 fields", "@daily"),
        ("every day at nine", CRON + "expected 5 fields", "@daily"),
        ("@reboot", CRON + "@reboot has no meaning here", "@daily"),
        ("@fortnightly", CRON + "there is no '@fortnightly'", "@weekly"),
        ("@daily 5", CRON + "there is no '@daily 5'", "@daily"),
        ("@every", CRON + "'' is not a duration", "@every 90s"),
        ("@every90s", CRON + "'@every90s' lacks a duration", "@every 90s"),
        ("@every 0s", CRON + "a period of nothing", "@every 90s"),
        ("@every 1.5s", CRON + "the period '1.5s' is not a whole number", "@every 90s"),
        ("@every 500ms", CRON + "the period '500ms' is not a whole number", "@every 90s"),
        ("@every -5s", CRON + "'-5s' is not a duration", "@every 90s"),
        ("@every 5", CRON + "'5' is not a duration", "@every 90s"),
        ("@every 367d", CRON + "the period '367d' is longer than a year", "@yearly"),
        ("TZ=UTC", CRON + "there is only a time zone", "0 9 * * 1-5"),
        ("* " * 600, CRON + "it is longer than", "0 9 * * 1-5"),
        ("TZ=Europe/Berln @daily", "Unknown time zone 'Europe/Berln'", "Europe/Berlin"),
        ("CRON_TZ=Mars 0 9 * * *", "Unknown time zone 'Mars'", ""),
        ("TZ= 0 9 * * *", "Unknown time zone ''", "Europe/Berlin"),
    ],
)
def test_nonsense_is_refused_with_what_to_write_instead(
    expression: str, message: str, hint: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_schedule(expression)
    assert refusal.value.message.startswith(message)
    assert hint in (refusal.value.hint or "")
    assert refusal.value.hint


@pytest.mark.parametrize("expression", ["", "@daily", "@every 90s", "0 9 * * *"])
@pytest.mark.parametrize(
    ("timezone", "hint"),
    [
        ("berlin", "Europe/Berlin"),
        ("america/new_yrok", "America/New_York"),
        ("local", "this machine's zone may change"),
        ("localtime", "this machine's zone may change"),
        ("right/Europe/Berlin", "Europe/Berlin"),
        ("../../etc/passwd", "Europe/Berlin"),
        ("Europe", ""),
        ("+02:00", "Europe/Berlin"),
        ("", "Europe/Berlin"),
        ("UTC\0", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_near_names(
    expression: str, timezone: str, hint: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_schedule(expression, timezone=timezone, scheduled_at=NOON)
    assert refusal.value.message == f"Unknown time zone {timezone!r}"
    assert hint in (refusal.value.hint or "")


def test_the_zone_in_the_expression_wins_over_the_zone_of_the_task() -> None:
    schedule = parse_schedule("CRON_TZ=Asia/Tokyo 0 9 * * *", timezone="Europe/Berlin")
    assert (schedule.expression, schedule.timezone) == (
        "CRON_TZ=Asia/Tokyo 0 9 * * *",
        "Asia/Tokyo",
    )
    assert [to_rfc3339(t) for t in upcoming(schedule, NOON, 1)] == ["2026-11-23T00:00:00Z"]


def test_a_one_off_ticks_once() -> None:
    schedule = parse_schedule("", scheduled_at=NOON)
    assert upcoming(schedule, NOON - 1, 5) == [NOON]
    assert upcoming(schedule, NOON, 5) == []
    assert schedule.latest_at_or_before(NOON, after=NOON - 1) == NOON
    assert schedule.latest_at_or_before(NOON - 1, after=0) is None
    assert schedule.latest_at_or_before(NOON + DAY_MS, after=NOON) is None
    assert missed_between(schedule, 0, NOON, 10) == Missed(1, NOON, NOON)


def test_a_one_off_needs_its_time() -> None:
    with pytest.raises(InvalidInputError, match="needs the time") as refusal:
        parse_schedule("  ")
    assert "2026-11-22T12:00:00Z" in (refusal.value.hint or "")


def test_every_counts_from_its_anchor_and_never_ticks_at_or_before_it() -> None:
    schedule = parse_schedule("@every 1h", anchor_at=NOON + 789)
    assert schedule.next_after(NOON - 10 * DAY_MS) == NOON + 3_600_000
    assert schedule.latest_at_or_before(NOON + 1, after=0) is None
    assert missed_between(schedule, 0, NOON + DAY_MS, 1000).total == 24
    assert missed_between(schedule, 0, NOON + DAY_MS, 10).total == 10


def test_a_gap_of_years_on_a_schedule_per_second_has_exact_ends_and_a_capped_count() -> None:
    schedule = parse_schedule("* * * * * *", timezone="America/New_York")
    until = NOON + 3 * 366 * DAY_MS
    assert missed_between(schedule, NOON, until, 500) == Missed(500, NOON + 1000, until)


def test_nothing_missed_is_said_as_zero() -> None:
    schedule = parse_schedule("0 9 * * *")
    assert missed_between(schedule, NOON, NOON + 1000, 10) == Missed(0, None, None)


def test_the_same_expression_is_parsed_once() -> None:
    assert parse_schedule("0 9 * * *", anchor_at=1) is parse_schedule("0 9 * * *", anchor_at=2)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("0 9 * * 1-5", "At 09:00 on Monday through Friday (Europe/Berlin)."),
        ("0 9 * * FRI-SUN", "At 09:00 on Friday through Sunday (Europe/Berlin)."),
        ("0 9 ? * ?", "At 09:00 every day (Europe/Berlin)."),
        ("*/2 * * * *", "Every other minute of every hour (Europe/Berlin)."),
        ("*/10 * * * * *", "Every 10th second of every minute (Europe/Berlin)."),
        ("* * * * * *", "Every second (Europe/Berlin)."),
        ("30 0 9 * * *", "At 09:00:30 every day (Europe/Berlin)."),
        ("0 0 22 * *", "At 00:00 on the 22nd day of every month (Europe/Berlin)."),
        ("0 0 11 * *", "At 00:00 on the 11th day of every month (Europe/Berlin)."),
        ("0 0 L * *", "At 00:00 on the last day of every month (Europe/Berlin)."),
        ("0 0 * * MON#2", "At 00:00 on the second Monday of the month (Europe/Berlin)."),
        ("0 0 13 * FRI", "At 00:00 on the 13th day of month or on Friday (Europe/Berlin)."),
        ("0 0 1-7 * */7", "At 00:00 on every day of month from 1 through 7 if it's on Sunday"),
        ("0 9 * * 1,*/3", "At 09:00 on Monday, Sunday, Wednesday, and Saturday (Europe/Berlin)."),
        ("0 9 * * 0/7", "At 09:00 on Sunday (Europe/Berlin)."),
        ("@hourly", "At the start of every hour (Europe/Berlin)."),
        ("@every 1h30m", "Every 1h 30m, counted from 2026-11-22 13:00:00 CET (Europe/Berlin)."),
        ("TZ=UTC @daily", "At 00:00 every day (UTC)."),
        ("", "Once, at 2026-11-22 13:00:00 CET (Europe/Berlin)."),
    ],
)
def test_a_schedule_in_words(expression: str, sentence: str) -> None:
    schedule = parse_schedule(
        expression, timezone="Europe/Berlin", scheduled_at=NOON, anchor_at=NOON
    )
    assert schedule.describe().startswith(sentence)


def test_the_cron_library_is_loaded_by_the_first_cron_expression_only() -> None:
    program = (
        "import sys\n"
        "from claude_tasks.domain.schedule import parse_schedule\n"
        "parse_schedule('@every 90s'); parse_schedule('', scheduled_at=0)\n"
        "heavy = {'cronsim', 'zoneinfo', 'dataclasses', 'inspect', 'logging', 'subprocess'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "parse_schedule('@daily')\n"
        "print('cronsim' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n")[:2] == ["[]", "True"]
