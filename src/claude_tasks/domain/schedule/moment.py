"""Times as people type them: ISO, ``now``, ``in 1h30m``, ``tomorrow 9am``, ``next friday 17:30``.

Strict: what is not understood to the last word is refused, and so is the past. Callers echo the
resolved instant with its zone.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import DAY_MS, LATEST, from_datetime, to_datetime
from claude_tasks.domain.schedule.duration import duration_ms, parse_duration
from claude_tasks.domain.schedule.zones import find_zone, in_zone

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["parse_duration", "parse_moment"]

ACCEPTED = (
    "Write now, in 1h30m, in 2 days, 9am, 14:30, today 18:00, tomorrow 9am, monday 9am,"
    " next friday 17:30, 2026-11-22 18:00 or 2026-11-22T18:00:00Z."
)

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) ?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_TIME = (
    r"(?:(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
    r"|(?P<hour12>1[0-2]|0?[1-9])(?::(?P<minute12>[0-5]\d))? ?(?P<half>[ap])m"
    r"|(?P<name>noon|midnight))"
)
_DAY_AND_TIME = re.compile(rf"(?:(?P<day>.*?) )??(?:at )?{_TIME}", re.ASCII)
_LONG_UNIT = re.compile(
    r"(\d) ?(weeks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?)(?![a-z])", re.ASCII
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LONGEST_MS = 100 * 366 * DAY_MS  # a century: what is longer is a typing error
_WEEKS = re.compile(r"(\d{1,4})w", re.ASCII)


class _TimeOfDay(NamedTuple):
    hour: int
    minute: int
    second: int


def parse_moment(text: str, *, at: int, timezone: str) -> int:
    """The instant that ``text`` names, seen from ``at`` by the clocks of ``timezone``.

    A time of day alone is the next such time; a weekday alone is the next one with that time still
    ahead; ``next friday`` is the Friday of a later day than today. A local time that the clocks
    show twice is the first one.

    Raises:
        InvalidInputError: not understood, in the past, no such day, or a local time that the
            clocks skip; or ``timezone`` is unknown.
    """
    zone = find_zone(timezone)
    words = " ".join(text.strip().lower().split())
    if words == "now":
        return at
    if words.startswith("in "):
        return at + _span(text, words[3:])
    moment = _iso(text, words, zone, timezone)
    if moment is None:
        moment = _by_day(text, words, at, zone, timezone)
    if moment > LATEST:
        raise _not_understood(text)
    if moment <= at:
        raise InvalidInputError(
            f"{text.strip()!r} is in the past: {in_zone(moment, timezone)}",
            hint="Write a time that is still to come, or now.",
        )
    return moment


def _span(text: str, words: str) -> int:
    short = _LONG_UNIT.sub(lambda match: match[1] + match[2][0], words)
    compact = short.replace(" and ", " ").replace(",", " ").replace(" ", "")
    compact = _WEEKS.sub(lambda match: f"{int(match[1]) * 7}d", compact)
    milliseconds = duration_ms(compact)
    if milliseconds is None or not 0 < milliseconds <= _LONGEST_MS:
        raise _not_understood(text)
    return milliseconds


def _iso(text: str, words: str, zone: tzinfo, timezone: str) -> int | None:
    match = _ISO.fullmatch(words.upper())
    if match is None:
        return None
    day, time, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{offset or ''}")
    except ValueError:
        raise _not_understood(text) from None
    if offset:
        return from_datetime(moment)
    return _local_instant(moment, zone, timezone)


def _by_day(text: str, words: str, at: int, zone: tzinfo, timezone: str) -> int:
    now = to_datetime(at).astimezone(zone)
    day_words, time = _split_time(text, words)
    day, step = _first_day(text, day_words, now.date())
    if step and _combine(day, time) <= now.replace(tzinfo=None):
        day += timedelta(days=step)
    moment = _local_instant(_combine(day, time), zone, timezone)
    if (
        step and moment <= at
    ):  # the clocks went back: it is about to be shown again, and counts once
        return _local_instant(_combine(day + timedelta(days=step), time), zone, timezone)
    return moment


def _split_time(text: str, words: str) -> tuple[str, _TimeOfDay]:
    """``next friday 9 am`` → ("next friday", 9:00). The day may be missing, the time may not."""
    match = _DAY_AND_TIME.fullmatch(words)
    if match is None:
        raise _not_understood(text)
    day = match["day"] or ""
    if match["name"]:
        return day, _TimeOfDay(12 if match["name"] == "noon" else 0, 0, 0)
    if match["hour12"]:
        afternoon = 12 if match["half"] == "p" else 0
        hour = int(match["hour12"]) % 12 + afternoon
        return day, _TimeOfDay(hour, int(match["minute12"] or 0), 0)
    return day, _TimeOfDay(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))


def _first_day(text: str, words: str, today: date) -> tuple[date, int]:
    """The first candidate day, and after how many days the next one comes (0: there is none)."""
    if words == "":
        return today, 1
    if words in ("today", "tomorrow"):
        return today + timedelta(days=words == "tomorrow"), 0
    after_today = words.startswith("next ")
    name = words.removeprefix("next ").removeprefix("on ")
    for number, weekday in enumerate(_WEEKDAYS):
        if name in (weekday, weekday[:3]):
            ahead = (number - today.weekday()) % 7
            return today + timedelta(days=ahead or 7 * after_today), 7
    return _calendar_date(text, words), 0


def _calendar_date(text: str, words: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", words, re.ASCII):
        raise _not_understood(text)
    try:
        return date.fromisoformat(words)
    except ValueError:
        raise _not_understood(text) from None


def _combine(day: date, time: _TimeOfDay) -> datetime:
    return datetime(day.year, day.month, day.day, *time)  # noqa: DTZ001  (a local time; its zone follows)


def _local_instant(local: datetime, zone: tzinfo, timezone: str) -> int:
    if local.year == MAXYEAR:  # the way through UTC might leave what datetime can say
        raise InvalidInputError(f"{local:%Y-%m-%d} is too far ahead", hint=ACCEPTED)
    aware = local.replace(tzinfo=zone)  # fold=0: the first of two
    shown = aware.astimezone(UTC).astimezone(zone)
    if shown.replace(tzinfo=None) != local:
        raise InvalidInputError(
            f"{local:%Y-%m-%d %H:%M} does not exist in {timezone}: the clocks skip it",
            hint=f"Write {shown:%H:%M} instead, or give an offset or Z.",
        )
    return from_datetime(aware)


def _not_understood(text: str) -> InvalidInputError:
    return InvalidInputError(f"Cannot understand the time {text.strip()!r}", hint=ACCEPTED)
