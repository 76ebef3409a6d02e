"""Cron schedules: the clock of the day, and what becomes of it when the clocks are changed.

A cron expression names *wall times* (what a clock on the wall shows, to the minute). The clock of
a zone is a row of stretches of constant UTC offset; within one, wall time and instant differ by a
constant. So every question goes: which stretch, which wall time in it, back to the instant.

Where two stretches meet, walls are skipped (a gap) or shown twice. The rule is that of Debian's
cron (cron(8), "Daylight Saving Time and other time changes"):

- minute or hour begins with ``*``: follows real time. Every wall time that the clock shows fires,
  twice if it shows twice; what it does not show does not fire.
- anything else names fixed times, and each fires once: the first time it is shown; in a gap at the
  gap's end. Here the stretches take *every* wall time in turn: each begins with the first wall that
  none before it has shown.

Seconds are not Debian's. They say which seconds of each minute that runs: the minute is moved or
repeated, its seconds go with it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from claude_tasks.domain.instant import HOUR_MS, MINUTE_MS, SECOND_MS
from claude_tasks.domain.schedule.days import Days, matching_days
from claude_tasks.domain.schedule.zones import Stretch, ZoneClock, zone_clock

if TYPE_CHECKING:
    from claude_tasks.domain.schedule.fields import (
        Fields,
    )

_MINUTES_A_DAY = 24 * 60
_NO_SECONDS = (0,)


class CronSchedule:
    """A cron expression in a zone. See ``Schedule`` for the methods."""

    __slots__ = (
        "_clock",
        "_days",
        "_fields",
        "_follows_real_time",
        "_hours",
        "_minutes",
        "_seconds",
        "expression",
        "timezone",
    )

    def __init__(self, expression: str, fields: Fields, timezone: str) -> None:
        """``expression`` is what was typed, ``fields`` what it means."""
        self.expression = expression
        self.timezone = timezone
        self._fields = fields
        self._clock: ZoneClock = zone_clock(timezone)
        self._days: Days = matching_days(fields.day.text, fields.month.text, fields.weekday.text)
        self._seconds = fields.second.values
        self._minutes = fields.minute.values
        self._hours = fields.hour.values
        self._follows_real_time = fields.minute.text.startswith("*") or fields.hour.text.startswith(
            "*"
        )

    def next_after(self, at: int) -> int | None:
        """The first tick strictly after ``at``; None when 50 years have none."""
        at = max(at, -1)  # nothing was scheduled before 1970
        if self._seconds == _NO_SECONDS:
            return self._minute_after(at)
        minute = self._minute_after(at - at % MINUTE_MS - 1)
        if minute is not None and minute <= at:
            i = bisect_right(self._seconds, (at - minute) // SECOND_MS)
            if i < len(self._seconds):
                return minute + self._seconds[i] * SECOND_MS
            minute = self._minute_after(minute)
        return None if minute is None else minute + self._seconds[0] * SECOND_MS

    def latest_at_or_before(self, at: int, *, after: int) -> int | None:
        """The latest tick t with ``after`` < t <= ``at``, or None."""
        after = max(after, -1)
        minute = self._minute_until(at, after)
        if minute is not None and minute + self._seconds[0] * SECOND_MS > at:
            minute = self._minute_until(minute - 1, after)
        if minute is None:
            return None
        i = bisect_right(self._seconds, (at - minute) // SECOND_MS)
        tick = minute + self._seconds[i - 1] * SECOND_MS
        return tick if tick > after else None

    def describe(self) -> str:
        """One English sentence, with the zone."""
        # Loaded here: words are for people; the scheduler never asks for them.
        from claude_tasks.domain.schedule.words import cron_in_words  # noqa: PLC0415

        words = cron_in_words(self._fields)
        return f"{words} ({self.timezone})."

    def dst_note(self, tick: int) -> str | None:
        """What a change of the clocks did to this tick; None for the ordinary tick."""
        from claude_tasks.domain.schedule.words import moved_note, repeated_note  # noqa: PLC0415

        stretch = self._clock.stretch(tick)
        if tick < stretch.start + MINUTE_MS and not self._follows_real_time:
            skipped = self._next_wall(stretch.unseen_from - 1)
            if skipped is not None and skipped < stretch.first_wall:
                return moved_note(skipped, stretch.first_wall, self.timezone)
        return repeated_note(self._clock, tick, fires_twice=self._follows_real_time)

    def _first_wall(self, stretch: Stretch) -> int:
        return stretch.first_wall if self._follows_real_time else stretch.unseen_from

    def _minute_after(self, at: int) -> int | None:
        stretch = self._clock.stretch(at)
        wall = max(at + stretch.offset, self._first_wall(stretch) - 1)
        while (found := self._next_wall(wall)) is not None:
            tick = max(found - stretch.offset, stretch.start)
            if tick < stretch.end:
                return tick
            stretch = self._clock.stretch(stretch.end)
            wall = self._first_wall(stretch) - 1
        return None

    def _minute_until(self, at: int, after: int) -> int | None:
        while at > after:
            stretch = self._clock.stretch(at)
            found = self._last_wall(at + stretch.offset)
            if found is None:
                return None
            if found >= self._first_wall(stretch):
                return max(found - stretch.offset, stretch.start)
            at = stretch.start - 1
        return None

    def _next_wall(self, wall: int) -> int | None:
        """The first matching wall minute strictly after ``wall``."""
        day, minute = divmod(wall // MINUTE_MS + 1, _MINUTES_A_DAY)
        matching = self._days.next_from(day)
        if matching == day:
            time = self._time_from(*divmod(minute, 60))
            if time is not None:
                return day * _MINUTES_A_DAY * MINUTE_MS + time
            matching = self._days.next_from(day + 1)
        if matching is None:
            return None
        first = self._hours[0] * HOUR_MS + self._minutes[0] * MINUTE_MS
        return matching * _MINUTES_A_DAY * MINUTE_MS + first

    def _last_wall(self, wall: int) -> int | None:
        """The last matching wall minute at or before ``wall``."""
        day, minute = divmod(wall // MINUTE_MS, _MINUTES_A_DAY)
        matching = self._days.last_until(day)
        if matching == day:
            time = self._time_until(*divmod(minute, 60))
            if time is not None:
                return day * _MINUTES_A_DAY * MINUTE_MS + time
            matching = self._days.last_until(day - 1)
        if matching is None:
            return None
        last = self._hours[-1] * HOUR_MS + self._minutes[-1] * MINUTE_MS
        return matching * _MINUTES_A_DAY * MINUTE_MS + last

    def _time_from(self, hour: int, minute: int) -> int | None:
        """Milliseconds since midnight of the first time of day not before hour:minute."""
        hours, minutes = self._hours, self._minutes
        i = bisect_left(hours, hour)
        if i < len(hours) and hours[i] == hour:
            j = bisect_left(minutes, minute)
            if j < len(minutes):
                return hour * HOUR_MS + minutes[j] * MINUTE_MS
            i += 1
        return hours[i] * HOUR_MS + minutes[0] * MINUTE_MS if i < len(hours) else None

    def _time_until(self, hour: int, minute: int) -> int | None:
        """Milliseconds since midnight of the last time of day not after hour:minute."""
        hours, minutes = self._hours, self._minutes
        i = bisect_right(hours, hour) - 1
        if i >= 0 and hours[i] == hour:
            j = bisect_right(minutes, minute) - 1
            if j >= 0:
                return hour * HOUR_MS + minutes[j] * MINUTE_MS
            i -= 1
        return hours[i] * HOUR_MS + minutes[-1] * MINUTE_MS if i >= 0 else None
