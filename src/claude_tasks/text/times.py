"""Instants and spans as a person reads them at a glance: ``Mon 23 Nov 09:00 CET, in 3h 5m``."""

from __future__ import annotations

from claude_tasks.domain.instant import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    human_duration,
    to_datetime,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

_FEW_MINUTES_MS = 10 * MINUTE_MS
_FEW_DAYS_MS = 10 * DAY_MS


def clock_time(at: int, timezone: str, *, now: int) -> str:
    """``Mon 23 Nov 09:00 CET``: the year where it matters, seconds where there are any."""
    local = _local(at, timezone)
    return f"{_day(local, _local(now, timezone))} {_time(local)} {local.tzname()}"


def table_time(at: int, timezone: str, *, now: int, exact: bool = False) -> str:
    """``Mon 23 Nov 09:00``, and ``09:00`` when that is today: beside how far off it is.

    With ``exact`` always with seconds.
    """
    local, today = _local(at, timezone), _local(now, timezone)
    time = _time(local, exact=exact)
    return time if local.date() == today.date() else f"{_day(local, today)} {time}"


def zone_titles(title: str, timezone: str, *, now: int) -> tuple[str, str]:
    """A column's title with the zone its times are in, and a shorter one: (CET) for its name."""
    return f"{title} ({timezone})", f"{title} ({_local(now, timezone).tzname()})"


def relative(at: int, *, now: int) -> str:
    """``in 3h 5m``, ``12s ago``, ``now``: two units at most."""
    span = at - now
    if abs(span) < SECOND_MS:
        return "now"
    return f"in {coarse(span)}" if span > 0 else f"{coarse(-span)} ago"


def zone_clock(at: int, timezone: str, *, now: int) -> str:
    """``09:00 New York``, with the day where that is not today: the clock where the task is."""
    city = timezone.rpartition("/")[2].replace("_", " ")
    return f"{table_time(at, timezone, now=now)} {city}"


def when(at: int, timezone: str, *, now: int) -> str:
    """The time and how far off it is."""
    return f"{clock_time(at, timezone, now=now)}, {relative(at, now=now)}"


def coarse(span: int) -> str:
    """A span as one would say it: ``12s``, ``5m 12s``, ``3h 5m``, ``2d 4h``, ``45d``."""
    for limit, unit in (
        (MINUTE_MS, SECOND_MS),
        (_FEW_MINUTES_MS, SECOND_MS),
        (DAY_MS, MINUTE_MS),
        (_FEW_DAYS_MS, HOUR_MS),
    ):
        if span < limit:
            return human_duration(max(unit, span // unit * unit)).replace(" s", "s")
    return f"{span // DAY_MS}d"


def _day(local: datetime, today: datetime) -> str:
    year = "" if local.year == today.year else " %Y"
    return local.strftime(f"%a {local.day} %b{year}")


def _time(local: datetime, *, exact: bool = False) -> str:
    return local.strftime("%H:%M:%S" if local.second or exact else "%H:%M")


def _local(at: int, timezone: str) -> datetime:
    if timezone == "UTC":
        return to_datetime(at)
    from claude_tasks.domain.schedule.zones import find_zone, shown_zone

    return to_datetime(at).astimezone(find_zone(shown_zone(timezone)))
