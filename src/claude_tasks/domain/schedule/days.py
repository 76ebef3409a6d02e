"""Which days a cron expression runs on: the library's calendar, asked for whole days only.

The calendar of cronsim (``L``, ``LW``, ``#``, leap years, Debian's rule for day of month against
weekday) is right. Its clock is not, everywhere: with six fields it leaves out the DST rules; asked
from the second pass of a repeated hour it answers with an instant before the question; a wildcard
job that it walks over a half-hour change (Lord Howe) loses the first tick after it; a day that
begins inside a gap (Santiago) fires for an hour that does not exist. So it is only ever handed
naive midnights here, and the clock of the day is ours (``cron.py``).
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from claude_tasks.domain.schedule.refusal import refuse

_EPOCH_ORDINAL = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_SECOND = timedelta(seconds=1)
# Day 0 of the search for an expression that never fires. Any leap-year pattern that exists at all
# repeats within the library's horizon of 50 years.
_PROBE_DAY = datetime(2000, 1, 1, tzinfo=UTC).toordinal() - _EPOCH_ORDINAL
_LAST_DAY = datetime(9900, 1, 1, tzinfo=UTC).toordinal() - _EPOCH_ORDINAL


class Days:
    """The matching days, as days since 1970-01-01.

    The last answer of each direction is kept: a schedule is asked again and again between ticks.
    """

    def __init__(self, day: str, month: str, weekday: str) -> None:
        self._every_day = (day, month, weekday) == ("*", "*", "*")
        start = datetime(2000, 1, 1)  # noqa: DTZ001  (naive on purpose: no DST logic of the library)
        fields = f"0 0 {day} {month} {weekday}"
        try:
            self._forward = CronSim(fields, start)
            self._backward = CronSim(fields, start, reverse=True)
        except CronSimError:  # the fields are valid one by one: no month has that many days
            raise _never_fires() from None
        self._next: tuple[int, int | None] = (0, -1)
        self._last: tuple[int | None, int] = (0, -1)
        if self.next_from(_PROBE_DAY) is None:
            raise _never_fires()

    def next_from(self, day: int) -> int | None:
        """The first matching day not before ``day``; None when 50 years have none."""
        if self._every_day:
            return day
        asked, answer = self._next
        if asked <= day and (answer is None or day <= answer):
            return answer
        answer = _search(self._forward, day, -_SECOND) if day < _LAST_DAY else None
        self._next = (day, answer)
        return answer

    def last_until(self, day: int) -> int | None:
        """The last matching day not after ``day``; None when 50 years have none."""
        if self._every_day:
            return day
        answer, asked = self._last
        if day <= asked and (answer is None or answer <= day):
            return answer
        answer = _search(self._backward, day, _SECOND)
        self._last = (answer, day)
        return answer


def _search(template: CronSim, day: int, step_back: timedelta) -> int | None:
    # A copy, because an iteration changes its object and schedules are shared between threads.
    simulation = copy(template)
    midnight = datetime.combine(datetime.fromordinal(day + _EPOCH_ORDINAL), time())
    simulation.dt = midnight + step_back
    found: datetime | None = next(simulation, None)
    return None if found is None else found.toordinal() - _EPOCH_ORDINAL


def _never_fires() -> Exception:
    return refuse(
        "that day never comes, so it would never fire",
        "Write a day that the month has, or L for its last day, as in '0 0 L 2 *'.",
    )


@lru_cache(maxsize=4096)
def matching_days(day: str, month: str, weekday: str) -> Days:
    """The days of three canonical fields. Raises InvalidInputError when there are none."""
    return Days(day, month, weekday)
