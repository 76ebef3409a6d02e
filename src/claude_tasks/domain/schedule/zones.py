"""Time zones: finding one by name, and cutting its clock into stretches of constant UTC offset.

``zoneinfo`` answers "what is the offset now" but not "when does it change next". Schedules need the
second question, so a ``ZoneClock`` finds the changes by sampling and bisection, once per stretch of
about a year, and remembers them.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, tzinfo
from functools import cache, lru_cache
from typing import NamedTuple

from claude_tasks.domain.errors import InvalidInputError, UnknownZoneError
from claude_tasks.domain.instant import DAY_MS, EARLIEST, LATEST, SECOND_MS, to_datetime

_BLOCK_MS = 366 * DAY_MS
# The shortest stretch between two changes in tzdata from 2000 to 2045 is a week (Gaza in 2040,
# a pause of daylight time in Ramadan), so a sample every four days cannot step over one.
_SAMPLE_MS = 4 * DAY_MS
# How far a block looks back for walls already shown: more than any clock was ever set back.
_LEAD_MS = 2 * DAY_MS
_FOREVER_MS = 4_000_000 * DAY_MS  # beyond all that datetime can say

# Names that zoneinfo opens but that mean "whatever this machine is set to", no zone at all, or
# (``right/``) count leap seconds, which shifts every tick by 27 s.
_NOT_A_ZONE = ("local", "localtime", "factory", "posixrules")
_NOT_A_FOLDER = ("right/", "posix/")


class Stretch(NamedTuple):
    """A stretch [start, end) of instants over which the UTC offset is constant; all in ms.

    ``unseen_from`` is the first wall time that no clock showed before ``start``: where the clocks
    went forward it lies below the wall time at ``start`` (the gap between them was skipped), where
    they went back it lies above (the walls between them are shown a second time).
    A wall time is "ms since 1970-01-01 00:00 on the local clock".
    """

    start: int
    end: int
    offset: int
    unseen_from: int

    @property
    def first_wall(self) -> int:
        """What the clock shows at ``start``."""
        return self.start + self.offset


class ZoneClock:
    """The stretches of one zone, found on demand."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._blocks: dict[int, tuple[Stretch, ...]] = {}
        if zone is UTC:
            self._latest = Stretch(-_FOREVER_MS, _FOREVER_MS, 0, -_FOREVER_MS)
        else:
            self._latest = Stretch(0, 0, 0, 0)

    def stretch(self, at: int) -> Stretch:
        """The stretch that ``at`` lies in. Cut at least once a year, also where nothing changes."""
        latest = self._latest  # one tuple, read and replaced as a whole: threads need no lock
        if latest.start <= at < latest.end or self._zone is UTC:
            return latest
        block = self._block(at // _BLOCK_MS)
        latest = block[bisect_right(block, at, key=_start) - 1]
        self._latest = latest
        return latest

    def _block(self, number: int) -> tuple[Stretch, ...]:
        if number not in self._blocks:
            start = number * _BLOCK_MS
            self._blocks[number] = tuple(self._stretches(start, start + _BLOCK_MS))
        return self._blocks[number]

    def _stretches(self, start: int, end: int) -> list[Stretch]:
        begin = start - _LEAD_MS
        unseen_from = begin + self._offset(begin)
        found = []
        for change in [*self._changes(begin, end), end]:
            offset = self._offset(begin)
            if change > start:
                unseen_from = max(unseen_from, start + offset) if begin < start else unseen_from
                found.append(Stretch(max(begin, start), change, offset, unseen_from))
            unseen_from = change + offset
            begin = change
        return found

    def _changes(self, start: int, end: int) -> list[int]:
        samples = [*range(start, end, _SAMPLE_MS), end]
        offsets = [self._offset(at) for at in samples]
        return [
            self._first_with_other_offset(samples[i], samples[i + 1])
            for i in range(len(samples) - 1)
            if offsets[i] != offsets[i + 1]
        ]

    def _first_with_other_offset(self, low: int, high: int) -> int:
        offset = self._offset(low)
        while high - low > SECOND_MS:  # zone data has whole seconds
            middle = (low + high) // 2 // SECOND_MS * SECOND_MS
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high

    def _offset(self, at: int) -> int:
        at = min(max(at, EARLIEST), LATEST)  # a block may reach beyond what datetime can say
        offset = to_datetime(at).astimezone(self._zone).utcoffset()
        return 0 if offset is None else round(offset.total_seconds()) * SECOND_MS


def _start(stretch: Stretch) -> int:
    return stretch.start


@cache
def zone_clock(timezone: str) -> ZoneClock:
    """The clock of a zone, one per process. Raises InvalidInputError for an unknown zone."""
    return ZoneClock(find_zone(timezone))


@cache
def find_zone(timezone: str) -> tzinfo:
    """The zone of an IANA name.

    Raises:
        InvalidInputError: unknown; the hint names the zones it may have meant.
    """
    if timezone == "UTC":
        return UTC
    # Loaded here: 3 ms that a schedule in UTC does not need.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    lowered = timezone.lower()
    if lowered in _NOT_A_ZONE or lowered.startswith(_NOT_A_FOLDER):
        raise _unknown(timezone)
    try:
        return ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):  # "../x", "Europe" (a folder), not there
        raise _unknown(timezone) from None


def shown_zone(timezone: str) -> str:
    """The zone to show times in: UTC where the stored one does not exist."""
    try:
        find_zone(timezone)
    except InvalidInputError:
        return "UTC"
    return timezone


def _unknown(timezone: str) -> UnknownZoneError:
    return UnknownZoneError(f"Unknown time zone {timezone!r}", hint=_zone_hint(timezone))


@lru_cache(maxsize=256)  # 7 ms, and a task may be asked about again and again
def _zone_hint(timezone: str) -> str:
    # Loaded here: only somebody who mistyped pays for them.
    from difflib import get_close_matches  # noqa: PLC0415
    from zoneinfo import available_timezones  # noqa: PLC0415

    if timezone.lower() in _NOT_A_ZONE:
        return (
            "Name the zone itself, such as Europe/Berlin: this machine's zone may change,"
            " and the schedule must not move with it."
        )
    # By folded name and by last part, so that both "europe/berln" and "Berlin" find the city.
    names: dict[str, str] = {}
    for name in sorted(available_timezones()):
        names.setdefault(name.rpartition("/")[2].lower(), name)
        names[name.lower()] = name
    wanted = timezone.strip().lower().replace(" ", "_")
    near = dict.fromkeys(names[match] for match in get_close_matches(wanted, names, n=3))
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return "Write an IANA name such as UTC, Europe/Berlin or America/New_York."


def in_zone(at: int, timezone: str) -> str:
    """``2026-11-22 07:00:00 EST``: an instant as the clocks of ``timezone`` show it.

    Raises:
        InvalidInputError: ``timezone`` is no IANA name.
    """
    local = to_datetime(at).astimezone(find_zone(timezone))
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
