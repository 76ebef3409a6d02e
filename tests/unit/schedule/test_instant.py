"""Instants as text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import EARLIEST, LATEST, from_rfc3339, human_duration, to_rfc3339
from claude_tasks.domain.schedule.zones import in_zone
from support.profile import examples


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_348_800_000, "2026-11-22T12:00:00Z"),
        (1_795_348_800_123, "2026-11-22T12:00:00.123Z"),
        (1_795_348_800_100, "2026-11-22T12:00:00.100Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_rfc3339_shows_milliseconds_only_where_there_are_some(at: int, text: str) -> None:
    assert to_rfc3339(at) == text
    assert from_rfc3339(text) == at


@settings(deadline=None, max_examples=examples(quick=80, full=300))
@given(st.integers(EARLIEST, LATEST))
def test_rfc3339_there_and_back_loses_nothing_and_every_zone_can_show_it(at: int) -> None:
    assert from_rfc3339(to_rfc3339(at)) == at
    assert in_zone(at, "Pacific/Kiritimati")
    assert in_zone(at, "Etc/GMT+12")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-22T13:00:00+01:00", "2026-11-22T12:00:00Z"),
        ("2026-11-22t07:00:00-05:00", "2026-11-22T12:00:00Z"),
        ("2026-11-22T12:00:00z", "2026-11-22T12:00:00Z"),
        ("2026-11-22T12:00:00.1239999Z", "2026-11-22T12:00:00.123Z"),
        ("2026-11-22T12:00:00.5Z", "2026-11-22T12:00:00.500Z"),
    ],
)
def test_rfc3339_with_offsets_and_fractions(text: str, utc: str) -> None:
    assert to_rfc3339(from_rfc3339(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-22",
        "2026-11-22T12:00:00",
        "2026-11-22 12:00:00Z",
        "2026-11-22T12:00Z",
        "2026-11-22T12:00:00+0100",
        "2026-11-22T12:00:00+25:00",
        "2026-02-30T12:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T23:59:60Z",
        "2026-11-22T12:00:00Z\n",
        "2026-W47-7T12:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "\uff12026-11-22T12:00:00Z",
    ],
)
def test_what_is_not_rfc3339_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInputError, match="Invalid time") as refusal:
        from_rfc3339(text)
    assert "2026-11-22T12:00:00Z" in (refusal.value.hint or "")


@pytest.mark.parametrize(
    ("timezone", "text"),
    [
        ("America/New_York", "2026-11-22 07:00:00 EST"),
        ("Europe/Berlin", "2026-11-22 13:00:00 CET"),
        ("UTC", "2026-11-22 12:00:00 UTC"),
        ("Asia/Kathmandu", "2026-11-22 17:45:00 +0545"),
    ],
)
def test_an_instant_for_people_names_its_zone(timezone: str, text: str) -> None:
    assert in_zone(1_795_348_800_999, timezone) == text


def test_an_instant_in_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Unknown time zone 'Nowhere'"):
        in_zone(0, "Nowhere")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (350, "350 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (2340, "2.3 s"),
        (59_940, "59.9 s"),
        (59_950, "1m"),
        (90_000, "1m 30s"),
        (5_400_000, "1h 30m"),
        (3_600_000, "1h"),
        (90_061_000, "1d 1h 1m 1s"),
        (172_801_000, "2d 1s"),
        (-2300, "-2.3 s"),
    ],
)
def test_a_duration_for_people(milliseconds: int, text: str) -> None:
    assert human_duration(milliseconds) == text
