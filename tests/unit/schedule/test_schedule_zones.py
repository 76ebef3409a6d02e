"""Stretches of constant offset: what a zone's clock is cut into."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

import pytest

from claude_tasks.domain.instant import DAY_MS, HOUR_MS, MINUTE_MS, from_rfc3339, to_datetime
from claude_tasks.domain.schedule.zones import Stretch, ZoneClock, find_zone, zone_clock

_BLOCK_EDGE = 56 * 366 * DAY_MS


class _OneFold(tzinfo):
    """A zone that once sets its clock back, from UTC+1 to UTC, at ``change``."""

    def __init__(self, change: int) -> None:
        self.change = to_datetime(change).replace(tzinfo=None)

    def utcoffset(self, local: datetime | None) -> timedelta:
        assert local is not None
        is_before = local.replace(tzinfo=None, fold=0) < self.change + timedelta(hours=1)
        return timedelta(hours=1 if is_before and not local.fold else 0)

    def tzname(self, _: datetime | None) -> str:
        return "FOLD"

    def dst(self, _: datetime | None) -> None:
        return None

    def fromutc(self, utc: datetime) -> datetime:
        if utc.replace(tzinfo=None) < self.change:
            return utc + timedelta(hours=1)
        return utc.replace(fold=1)


def test_stretches_meet_at_the_changes_of_the_clocks() -> None:
    clock = zone_clock("America/New_York")
    forward, back = from_rfc3339("2026-03-08T07:00:00Z"), from_rfc3339("2026-11-01T06:00:00Z")
    summer = clock.stretch(forward)
    assert summer.start == forward
    assert summer.offset == -4 * HOUR_MS
    assert summer.first_wall - summer.unseen_from == HOUR_MS  # 02:00 to 03:00 was skipped
    assert clock.stretch(forward - 1).end == forward
    winter = clock.stretch(back)
    assert winter.start == back
    assert winter.unseen_from - winter.first_wall == HOUR_MS  # 01:00 to 02:00 comes again


@pytest.mark.parametrize("timezone", ["Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_stretches_cover_the_years_without_gap_or_overlap(timezone: str) -> None:
    clock, zone = zone_clock(timezone), find_zone(timezone)
    at, end = from_rfc3339("2020-01-01T00:00:00Z"), from_rfc3339("2045-01-01T00:00:00Z")
    stretches = []
    while at < end:
        stretches.append(clock.stretch(at))
        at = stretches[-1].end
    for stretch, following in pairwise(stretches):
        assert stretch.end == following.start
        assert clock.stretch(stretch.end - 1) == stretch
        assert following.unseen_from == stretch.end + stretch.offset
        for instant in (stretch.start, (stretch.start + stretch.end) // 2, stretch.end - 1):
            offset = to_datetime(instant).astimezone(zone).utcoffset()
            assert offset == timedelta(milliseconds=stretch.offset)


@pytest.mark.parametrize("minutes", [0, 10, 59])
def test_a_repeated_hour_is_remembered_across_the_edge_of_a_block(minutes: int) -> None:
    change = _BLOCK_EDGE - minutes * MINUTE_MS
    assert ZoneClock(_OneFold(change)).stretch(_BLOCK_EDGE) == Stretch(
        start=_BLOCK_EDGE,
        end=57 * 366 * DAY_MS,
        offset=0,
        unseen_from=change + HOUR_MS,
    )


def test_a_repeated_hour_long_before_the_edge_of_a_block_is_over() -> None:
    clock = ZoneClock(_OneFold(_BLOCK_EDGE - 3 * HOUR_MS))
    assert clock.stretch(_BLOCK_EDGE).unseen_from == _BLOCK_EDGE


def test_utc_is_one_stretch() -> None:
    clock = zone_clock("UTC")
    always = clock.stretch(0)
    assert always.end > from_rfc3339("9999-01-01T00:00:00Z")
    assert clock.stretch(always.end) is always
