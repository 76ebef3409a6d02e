"""Hypothesis strategies for cron expressions, and the places in time where they are hard."""

from __future__ import annotations

from hypothesis import strategies as st

from claude_tasks.domain.instant import from_rfc3339

# A zone and an instant near which its clocks change; some gaps and folds are not of one hour, some
# begin at midnight, and some zones change nothing.
CLOCK_CHANGES = [
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Europe/London", "2026-03-29T01:00:00Z"),
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
    ("UTC", "2026-12-31T23:59:00Z"),
]

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def _numbers(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(str)


@st.composite
def _range(draw: st.DrawFn, low: int, high: int, names: list[str], *, wraps: bool) -> str:
    ends = [draw(st.integers(low, high)), draw(st.integers(low, high))]
    first, last = ends if wraps else sorted(ends)
    named = bool(names) and draw(st.booleans())
    spelled = [names[(end - low) % len(names)] if named else str(end) for end in (first, last)]
    text = "-".join(spelled)
    step = draw(st.none() | st.integers(1, high))
    return text if step is None else f"{text}/{step}"


def _field(
    low: int, high: int, *, names: list[str] | None = None, wraps: bool = False, special: str = ""
) -> st.SearchStrategy[str]:
    simple = _numbers(low, high)
    steps = st.integers(1, high)
    terms = [
        simple,
        simple,
        _range(low, high, names or [], wraps=wraps),
        st.tuples(st.just("*"), steps).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(simple, steps).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    ]
    if names:
        terms.append(st.sampled_from(names))
    if special:
        terms.append(st.sampled_from(special.split()))
    lists = st.lists(st.one_of(terms), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.one_of(terms), lists)


SECONDS = _field(0, 59)
MINUTES = _field(0, 59)
HOURS = _field(0, 23, wraps=True)
NIGHT_HOURS = st.sampled_from(["0", "1", "2", "3", "1,2", "2,3", "0-3", "23-2", "*/2", "*"])
DAYS = _field(1, 31, special="L LW ?")
MONTHS = _field(1, 12, names=_MONTHS, wraps=True)
WEEKDAYS = _field(0, 7, names=_WEEKDAYS, wraps=True, special="5L FRIL 0L 7L MON#1 3#2 SUN#5 7#3 ?")

EVERY_DAY = st.just("* * *")
DATES = st.tuples(DAYS, MONTHS, WEEKDAYS).map(" ".join)
_MOSTLY_DAILY = st.one_of(EVERY_DAY, EVERY_DAY, DATES)


def _join(*fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*fields).map(" ".join)


FIVE_FIELDS = _join(MINUTES, st.one_of(NIGHT_HOURS, HOURS), _MOSTLY_DAILY)
SIX_FIELDS = _join(SECONDS, MINUTES, st.one_of(NIGHT_HOURS, HOURS), _MOSTLY_DAILY)
EXPRESSIONS = st.one_of(FIVE_FIELDS, SIX_FIELDS)


@st.composite
def places(draw: st.DrawFn) -> tuple[str, int]:
    """A zone, and an instant within 30 hours of a change of its clocks, often within the hour."""
    timezone, change = draw(st.sampled_from(CLOCK_CHANGES))
    hours = draw(st.sampled_from([1, 3, 30]))
    return timezone, from_rfc3339(change) + draw(st.integers(-hours * 3_600_000, hours * 3_600_000))
