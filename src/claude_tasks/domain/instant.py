"""Instants (``int`` ms since the epoch, UTC) as text: RFC 3339 for machines, a zone for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from claude_tasks.domain.errors import InvalidInputError

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Instants that every zone can show: ``datetime`` ends with the year 9999, and zones differ by up to
# a day.
EARLIEST = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // _MILLISECOND
LATEST = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // _MILLISECOND

# RFC 3339, section 5.6. ``datetime.fromisoformat`` alone also takes week dates and naive times.
# Compiled on first use: light commands only print times.
_RFC3339 = (
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)


def to_datetime(at: int) -> datetime:
    """The aware UTC datetime of an instant. Exact: no float is involved."""
    return EPOCH + timedelta(milliseconds=at)


def from_datetime(moment: datetime) -> int:
    """The instant of an aware datetime, cut (not rounded) to the millisecond."""
    return (moment - EPOCH) // _MILLISECOND


def to_rfc3339(at: int) -> str:
    """``2026-11-22T12:00:00Z``, with ``.123`` only where there are milliseconds."""
    timespec = "milliseconds" if at % SECOND_MS else "seconds"
    return to_datetime(at).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def from_rfc3339(text: str) -> int:
    """The instant that an RFC 3339 text names; digits beyond the millisecond are cut off.

    Raises:
        InvalidInputError: anything else, also a time without offset or a day that does not exist.
    """
    if not re.fullmatch(_RFC3339, text, re.ASCII):
        raise _invalid_time(text)
    try:
        at = from_datetime(datetime.fromisoformat(text.upper()))
    except ValueError:  # 30 February
        raise _invalid_time(text) from None
    if not EARLIEST <= at <= LATEST:
        raise _invalid_time(text)
    return at


def _invalid_time(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"Invalid time {text!r}",
        hint="Write RFC 3339 with an offset, such as 2026-11-22T12:00:00Z"
        " or 2026-11-22T13:00:00+01:00.",
    )


def human_duration(milliseconds: int) -> str:
    """``350 ms``, ``2.3 s``, ``1h 30m``, ``2d 1s``: exact to the last unit shown."""
    if milliseconds < 0:
        return "-" + human_duration(-milliseconds)
    if milliseconds < SECOND_MS:
        return f"{milliseconds} ms"
    tenths = (milliseconds + 50) // 100
    if tenths < 600:  # noqa: PLR2004  (tenths of a second in a minute)
        return f"{tenths // 10}.{tenths % 10} s" if tenths % 10 else f"{tenths // 10} s"
    minutes, seconds = divmod((milliseconds + 500) // SECOND_MS, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return " ".join(f"{amount}{unit}" for amount, unit in units if amount)
