"""Reads from the agent's text when a usage limit is over.

The event stream has an event for it; where that is missing there is only text, whose form varies:

    … limit reached|1790000000                     You've hit your limit · resets 2:06pm (UTC)
    … resets Mon 9am                               … resets Oct 6, 1pm (America/Los_Angeles)
    … resets at 2026-10-06T13:00:00Z               … try again in 3 hours 20 minutes
    … regain access on 2026-10-01 at 00:00 UTC     … retry after 7200 seconds

A clock time means its next occurrence in the named zone, else in this machine's zone, which the
agent uses. A text that cannot be read gives None: then the run does not wait.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from claude_tasks.domain.usage import FURTHEST_RESET_MS

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 4000
"""Characters. Texts about a limit are shorter."""

_SHORTEST_LIMIT_SECONDS = 600
"""A shorter wait means an overload, not a usage limit."""

_SOON = re.compile(r"(?:re)?try", re.IGNORECASE)
_NOT_OURS = re.compile(r"\bnot your (?:usage )?limit", re.IGNORECASE)
_EPOCH = re.compile(r"\|\s*(\d{10}|\d{13})\b")
_LEAD = re.compile(
    r"\b(?:resets?(?:ting)?|(?:re)?try(?:ing)?(?: again)?|available again|regain access|until)\b"
    r"[\s:_-]*"
    r"(?:(?:after|at|on|by|is|time)\b[\s:]*)*",
    re.IGNORECASE,
)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:(?:T| +(?:at +)?)(\d\d:\d\d)(?::(\d\d))?(?:\.\d+)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?(?![\d:])"
)
_INSTANT = re.compile(r"(\d{10}|\d{13})\b(?!\s*[a-z])", re.IGNORECASE)
"""Seconds or milliseconds since the epoch."""
_SPAN = re.compile(
    r"(?:in|after)\s+((?:(?:about|an?|\d+(?:\.\d+)?)\s*"
    r"(?:d(?:ays?)?|h(?:ours?|rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)\b[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_PART = re.compile(r"(an?|\d+(?:\.\d+)?)\s*([dhms])", re.IGNORECASE)
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DATE = re.compile(
    rf"(?:({'|'.join(_MONTHS)})[a-z]*\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?"
    rf"|(\d{{1,2}})(?:st|nd|rd|th)?\.?\s+({'|'.join(_MONTHS)})[a-z]*\.?)(?:,?\s+(\d{{4}}))?\b",
    re.IGNORECASE,
)
_DAY = re.compile(rf"\b({'|'.join(_DAYS)})[a-z]*\b\.?|\b(today|tomorrow)\b", re.IGNORECASE)
_CLOCK = re.compile(
    r"\b(\d{1,2})(?:[:.](\d\d))?(?::\d\d)?\s*([ap])\.?m\b\.?|\b(\d{1,2}):(\d\d)\b|\b(noon|midnight)\b",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"^(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?(\d\d))?$", re.IGNORECASE)
_ZONE = re.compile(r"^\s*\(?\s*((?:UTC|GMT)?[+-]\d{1,2}(?::?\d\d)?|[A-Za-z]+(?:[/_+-]\w+)*)\s*\)?")


def reset_in_text(
    text: str, *, at: int, here: tzinfo | None, find_zone: Callable[[str], tzinfo | None]
) -> int | None:
    """The instant in ms, None where the text names none in the future.

    ``here`` is the zone of times without one, None: this machine's; ``find_zone`` finds IANA names.
    """
    text = text[:_LONGEST]
    if _NOT_OURS.search(text):
        return None
    epoch = _EPOCH.search(text)
    if epoch is not None:
        return _within(_epoch_ms(epoch[1]), at)
    for lead in _LEAD.finditer(text):
        found = _moment(text[lead.start() :], text[lead.end() :], at, here, find_zone)
        if found is not None:
            return found
    return None


def _moment(
    whole: str,
    rest: str,
    at: int,
    here: tzinfo | None,
    find_zone: Callable[[str], tzinfo | None],
) -> int | None:
    sentence = rest[:100].split("\n", 1)[0]
    span = _SPAN.search(whole[:120])
    if span is not None and span.start() <= len(whole) - len(rest):
        seconds = _span_seconds(span[1])
        overload = _SOON.match(whole) is not None and seconds < _SHORTEST_LIMIT_SECONDS
        return None if overload else _within(at + round(seconds * 1000), at)
    instant = _INSTANT.match(sentence)
    if instant is not None:
        return _within(_epoch_ms(instant[1]), at)
    now = datetime.fromtimestamp(at / 1000, UTC)
    try:
        iso = _ISO.match(sentence)
        if iso is not None:
            return _within(_iso_ms(iso, sentence, now, here, find_zone), at)
        return _clock_ms(sentence, now, here, find_zone, at)
    except (ValueError, OverflowError):  # the 31st of February, the 25th hour
        return None


def _epoch_ms(digits: str) -> int:
    return int(digits) * (1 if len(digits) > 10 else 1000)  # noqa: PLR2004 (ms, else s)


def _span_seconds(text: str) -> float:
    parts = [(amount.lower(), unit.lower()) for amount, unit in _PART.findall(text)]
    return sum(
        (1.0 if amount in ("a", "an") else float(amount)) * _SECONDS[unit] for amount, unit in parts
    )


def _iso_ms(
    iso: re.Match[str],
    sentence: str,
    now: datetime,
    here: tzinfo | None,
    find_zone: Callable[[str], tzinfo | None],
) -> int:
    day, clock, seconds, offset = iso.groups()
    wall = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{seconds or '00'}")
    if offset:
        zone: tzinfo | None = UTC if offset == "Z" else _offset_zone(offset)
    else:
        zone = _zone_after(sentence[iso.end() :], find_zone) or here
    return _ms(wall, zone or now.astimezone().tzinfo)


def _clock_ms(
    sentence: str,
    now: datetime,
    here: tzinfo | None,
    find_zone: Callable[[str], tzinfo | None],
    at: int,
) -> int | None:
    """The next instant at which a clock shows this time."""
    clock = _CLOCK.search(sentence)
    date = _DATE.search(sentence)
    weekday = None if date is not None else _DAY.search(sentence)
    if clock is None and date is None and weekday is None:
        return None
    if clock is not None and clock.start() > 40:  # noqa: PLR2004 (too far from the words)
        return None
    ends = max(found.end() for found in (clock, date, weekday) if found is not None)
    zone = _zone_after(sentence[ends:], find_zone) or here or now.astimezone().tzinfo
    local = now.astimezone(zone).replace(tzinfo=None)
    hour, minute = _hour_and_minute(clock)
    wall = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if date is not None:
        return _within(_ms(_on_date(wall, date, local), zone), at)
    step = 1
    if weekday is not None and weekday[2]:
        wall += timedelta(days=weekday[2].lower() == "tomorrow")
    elif weekday is not None:
        wall += timedelta(days=(_DAYS.index(weekday[1].lower()) - local.weekday()) % 7)
        step = 7
    if wall < local.replace(second=0, microsecond=0):
        wall += timedelta(days=step)
    return _within(_ms(wall, zone), at)


def _hour_and_minute(clock: re.Match[str] | None) -> tuple[int, int]:
    if clock is None:
        return 0, 0
    hour, minute, half, plain_hour, plain_minute, word = clock.groups()
    if word:
        return (12 if word.lower() == "noon" else 0), 0
    if half is None:
        return int(plain_hour), int(plain_minute)
    return int(hour) % 12 + (12 if half.lower() == "p" else 0), int(minute or 0)


def _on_date(wall: datetime, date: re.Match[str], local: datetime) -> datetime:
    month, day, other_day, other_month, year = date.groups()
    number = _MONTHS.index((month or other_month).lower()) + 1
    wall = wall.replace(month=number, day=int(day or other_day), year=int(year or local.year))
    if not year and wall < local - timedelta(days=1):
        wall = wall.replace(year=wall.year + 1)
    return wall


def _zone_after(text: str, find_zone: Callable[[str], tzinfo | None]) -> tzinfo | None:
    named = _ZONE.match(text)
    if named is None:
        return None
    if named[1].upper() in ("UTC", "GMT", "Z"):
        return UTC
    return _offset_zone(named[1]) or find_zone(named[1])


def _offset_zone(text: str) -> tzinfo | None:
    offset = _OFFSET.match(text)
    if offset is None:
        return None
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))


def _ms(wall: datetime, zone: tzinfo | None) -> int:
    return round(wall.replace(tzinfo=zone).timestamp() * 1000)


def _within(instant: int, at: int) -> int | None:
    """The instant, None where it is long past or too far ahead to wait for."""
    return instant if at - 3_600_000 <= instant <= at + FURTHEST_RESET_MS else None
