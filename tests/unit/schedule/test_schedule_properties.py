"""Schedules against the brute-force evaluator, around the changes of many zones' clocks."""

from __future__ import annotations

from itertools import islice

from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import DAY_MS, SECOND_MS
from claude_tasks.domain.schedule import Schedule, missed_between, parse_schedule, upcoming
from support.profile import examples
from unit.schedule.brute_force import brute_ticks, day_matches
from unit.schedule.expressions import DATES, EXPRESSIONS, places

_WINDOW_MINUTES = 2 * 24 * 60
_WINDOW_MS = _WINDOW_MINUTES * 60_000
_FEW = 150
_NOVEMBER_2026 = 1_793_491_200_000

modest = settings(deadline=None, max_examples=examples(quick=60, full=250))


def _parse(expression: str, timezone: str) -> Schedule:
    try:
        return parse_schedule(expression, timezone=timezone)
    except InvalidInputError as error:
        # A day that never comes is all that the strategies can get wrong.
        if "never comes" in error.message:
            reject()
        raise


@modest
@given(EXPRESSIONS, places())
@example("30 2 * * *", ("America/New_York", 1_772_928_000_000))
@example("0 */2 * * *", ("Australia/Lord_Howe", 1_775_300_000_000))
@example("*/15 0 6 9 *", ("America/Santiago", 1_788_600_000_000))
def test_ticks_are_those_of_the_brute_force_evaluator(
    expression: str, place: tuple[str, int]
) -> None:
    timezone, at = place
    schedule = _parse(expression, timezone)
    expected = list(islice(brute_ticks(expression, timezone, at, _WINDOW_MINUTES), _FEW))
    ticks = upcoming(schedule, at, len(expected) or 1)
    if expected:
        assert ticks == expected
    else:
        assert not ticks or ticks[0] > at + _WINDOW_MS - 60_000


@modest
@given(EXPRESSIONS, places())
def test_each_tick_is_after_the_one_before_and_found_from_just_before_it(
    expression: str, place: tuple[str, int]
) -> None:
    timezone, at = place
    schedule = _parse(expression, timezone)
    ticks = upcoming(schedule, at, 50)
    assert all(earlier < later for earlier, later in zip([at, *ticks], ticks, strict=False))
    assert [schedule.next_after(tick - 1) for tick in ticks] == ticks
    assert all(tick % SECOND_MS == 0 for tick in ticks)


@modest
@given(EXPRESSIONS, places(), st.integers(0, _WINDOW_MS), st.integers(0, _WINDOW_MS))
def test_the_latest_tick_is_the_last_that_the_brute_force_evaluator_finds(
    expression: str, place: tuple[str, int], stretch: int, extra: int
) -> None:
    timezone, after = place
    schedule = _parse(expression, timezone)
    at = after + min(stretch, extra)
    expected = [t for t in brute_ticks(expression, timezone, after, _WINDOW_MINUTES) if t <= at]
    assert schedule.latest_at_or_before(at, after=after) == (expected[-1] if expected else None)


@modest
@given(EXPRESSIONS, places())
def test_the_latest_tick_agrees_with_walking_through_next_after(
    expression: str, place: tuple[str, int]
) -> None:
    timezone, at = place
    schedule = _parse(expression, timezone)
    previous = at
    for tick in upcoming(schedule, at, 20):
        assert schedule.latest_at_or_before(tick, after=at) == tick
        between = schedule.latest_at_or_before(tick - 1, after=at)
        assert between == (previous if previous > at else None)
        previous = tick


@modest
@given(DATES, st.integers(_NOVEMBER_2026 // DAY_MS, _NOVEMBER_2026 // DAY_MS + 1500))
def test_days_are_those_of_the_brute_force_calendar(dates: str, start: int) -> None:
    schedule = _parse(f"0 0 {dates}", "UTC")
    fields = dates.upper().split()
    expected = [day for day in range(start, start + 800) if day_matches(day, *fields)][:40]
    ticks = upcoming(schedule, start * DAY_MS - 1, len(expected))
    assert [tick // DAY_MS for tick in ticks] == expected
    if expected:
        last_at = schedule.latest_at_or_before(expected[-1] * DAY_MS + DAY_MS - 1, after=0)
        assert last_at == expected[-1] * DAY_MS


@modest
@given(EXPRESSIONS, places(), st.integers(1, 40))
def test_missed_ticks_are_counted_up_to_the_cap_with_true_ends(
    expression: str, place: tuple[str, int], cap: int
) -> None:
    timezone, after = place
    schedule = _parse(expression, timezone)
    until = after + DAY_MS
    ticks = [t for t in brute_ticks(expression, timezone, after, 1441) if t <= until]
    missed = missed_between(schedule, after, until, cap)
    assert missed.total == min(cap, len(ticks))
    assert (missed.first_at, missed.last_at) == ((ticks[0], ticks[-1]) if ticks else (None, None))


@modest
@given(
    st.integers(1, 10_000_000), st.integers(0, 2**41), st.integers(0, 2**41), st.integers(0, 10**9)
)
def test_every_ticks_whole_periods_after_its_anchor(
    period: int, anchor_at: int, at: int, gap: int
) -> None:
    schedule = parse_schedule(f"@every {period}s", anchor_at=anchor_at)
    tick = schedule.next_after(at)
    assert tick is not None
    since, rest = divmod(tick - anchor_at // 1000 * 1000, period * 1000)
    assert rest == 0
    assert since >= 1
    assert tick > at
    assert since == 1 or tick - period * 1000 <= at
    assert schedule.latest_at_or_before(tick + gap % (period * 1000), after=at) == tick
    assert schedule.latest_at_or_before(tick - 1, after=at) is None


@modest
@given(EXPRESSIONS, st.sampled_from(["UTC", "America/New_York"]))
def test_every_schedule_has_one_sentence_in_english_with_its_zone(
    expression: str, timezone: str
) -> None:
    sentence = _parse(expression, timezone).describe()
    assert sentence[0].isupper()
    assert sentence.endswith(f"({timezone}).")
    assert sentence.count(".") == 1
