"""The slow evaluator that the schedules are tested against: it looks at every minute in turn.

Written from cron(8) and crontab(5) of Debian, with its own reading of the fields and none of the
product's code: each real minute it looks at the wall clock, as the daemon does. ``virtual`` is the
last wall minute the daemon has dealt with. Wildcard jobs run on what the clock shows. Fixed jobs
run when ``virtual`` passes their time: in a jump forward all the skipped ones at once, and none
while the clock, set back, has not caught up with ``virtual``.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE_MS = 60_000
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# Longer than any stretch of repeated walls: a scan that begins in one must know what came before.
_RUN_UP_MINUTES = 24 * 60


def brute_ticks(expression: str, timezone: str, after: int, minutes: int) -> Iterator[int]:
    """The ticks t > ``after`` within ``minutes`` minutes of it, in ms since the epoch."""
    texts = expression.upper().split()
    seconds = sorted(_values(texts.pop(0), 0, 59)) if len(texts) == 6 else [0]
    for minute_at in _running_minutes(texts, timezone, after // MINUTE_MS, minutes):
        for second in seconds:
            if minute_at + second * 1000 > after:
                yield minute_at + second * 1000


def _running_minutes(texts: list[str], timezone: str, start: int, minutes: int) -> Iterator[int]:
    hours, at_minutes = _values(texts[1], 0, 23), _values(texts[0], 0, 59)
    wildcard = texts[0].startswith("*") or texts[1].startswith("*")

    def matches(wall: int) -> bool:
        day, minute = divmod(wall, 1440)
        return minute // 60 in hours and minute % 60 in at_minutes and day_matches(day, *texts[2:5])

    shown = _walls(timezone, start - _RUN_UP_MINUTES, minutes + _RUN_UP_MINUTES)
    virtual = shown[0]
    for i, wall in enumerate(shown[1:], 1):
        runs = matches(wall) if wildcard else any(map(matches, range(virtual + 1, wall + 1)))
        virtual = max(virtual, wall)
        if runs and i >= _RUN_UP_MINUTES:
            yield (start - _RUN_UP_MINUTES + i) * MINUTE_MS


@lru_cache(maxsize=64)
def _walls(timezone: str, start: int, count: int) -> list[int]:
    """The wall minute (since 1970-01-01 00:00 local) at each real minute."""
    zone = ZoneInfo(timezone)
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001  (wall times are naive)
    local = (
        (first + timedelta(minutes=i)).astimezone(zone).replace(tzinfo=None)
        for i in range(count + 1)
    )
    return [(wall - epoch) // timedelta(minutes=1) for wall in local]


@lru_cache(maxsize=20_000)
def day_matches(day: int, dom: str, month: str, dow: str) -> bool:
    """Whether the day (since 1970-01-01) matches; ``*`` in either field makes the rule AND."""
    when = date(1970, 1, 1) + timedelta(days=day)
    if when.month not in _values(month, 1, 12, _MONTHS, 1):
        return False
    dom_matches = any(_dom_term(when, term) for term in dom.replace("?", "*").split(","))
    dow_matches = any(_dow_term(when, term) for term in dow.replace("?", "*").split(","))
    if dom[0] in "*?" or dow[0] in "*?":
        return dom_matches and dow_matches
    return dom_matches or dow_matches


def _dom_term(when: date, term: str) -> bool:
    last = calendar.monthrange(when.year, when.month)[1]
    if term == "L":
        return when.day == last
    if term == "LW":
        working = [d for d in range(1, last + 1) if when.replace(day=d).weekday() < 5]
        return when.day == working[-1]
    return when.day in _values(term, 1, 31)


def _dow_term(when: date, term: str) -> bool:
    weekday = when.isoweekday() % 7
    last = calendar.monthrange(when.year, when.month)[1]
    if term.endswith("L"):
        return _weekday(term[:-1]) == weekday and when.day + 7 > last
    if "#" in term:
        name, _, nth = term.partition("#")
        return _weekday(name) == weekday and (when.day - 1) // 7 + 1 == int(nth)
    return weekday in {value % 7 for value in _values(term, 0, 7, _WEEKDAYS, 0)}


def _weekday(text: str) -> int:
    return (_WEEKDAYS.index(text) if text in _WEEKDAYS else int(text)) % 7


@lru_cache(maxsize=20_000)
def _values_of(text: str, low: int, high: int, names: tuple[str, ...], base: int) -> frozenset[int]:
    found: set[int] = set()
    for term in text.split(","):
        body, _, step = term.partition("/")
        found.update(_span(body, low, high, names, base, to_end=bool(step))[:: int(step or 1)])
    return frozenset(found)


def _values(
    text: str, low: int, high: int, names: list[str] | None = None, base: int = 0
) -> frozenset[int]:
    return _values_of(text, low, high, tuple(names or ()), base)


def _span(  # every value of one term without its step, in the order in which they are stepped over
    body: str, low: int, high: int, names: tuple[str, ...], base: int, *, to_end: bool
) -> list[int]:
    def number(text: str) -> int:
        return names.index(text) + base if text in names else int(text)

    if body in "*?":
        return list(range(low, 7 if high == 7 else high + 1))
    first, dash, last = body.partition("-")
    start = number(first)
    end = number(last) if dash else (high if to_end else start)
    if start <= end:
        return list(range(start, end + 1))
    if high == 7:  # Sunday is both ends of the week
        start, size = start % 7, 7
        return [(start + i) % size for i in range((end - start) % size + 1)]
    return [*range(start, high + 1), *range(low, end + 1)]
