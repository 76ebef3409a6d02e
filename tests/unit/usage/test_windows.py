"""Answers of all sources, read with care: what cannot be must not count as unused."""

from __future__ import annotations

from typing import Any

import pytest

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.usage import Window
from claude_tasks.usage.windows import instant_of, reading_of

AT = 1_790_000_000_000
SOON = 1_790_003_600
GOOD = {"utilization": 7, "resets_at": SOON}
HUGE = 10**400


def test_a_number_written_as_text_is_a_number() -> None:
    answer = {"five_hour": {"utilization": "99"}, "seven_day": GOOD}
    assert reading_of(answer, source="x", at=AT).windows == (
        Window("five_hour", 99, None),
        Window("seven_day", 7, SOON * 1000),
    )


@pytest.mark.parametrize(
    "used",
    [None, "many", "99 %", "nan", float("nan"), float("inf"), HUGE, -1, True, [], {}, "\ud800"],
)
@pytest.mark.parametrize("name", ["five_hour", "seven_day"])
def test_a_deciding_window_that_makes_no_sense_spoils_the_answer(name: str, used: Any) -> None:
    answer = {"five_hour": GOOD, "seven_day": GOOD, name: {"utilization": used}}
    with pytest.raises(UsageUnavailableError) as caught:
        reading_of(answer, source="x", at=AT)
    assert caught.value.code == "usage_garbage"
    assert caught.value.message == f"x answered with a usage window that makes no sense: {name}"


@pytest.mark.parametrize("entry", ["99", 5, [], True])
def test_a_deciding_window_that_is_none_spoils_the_answer(entry: Any) -> None:
    with pytest.raises(UsageUnavailableError, match="five_hour"):
        reading_of({"five_hour": entry, "seven_day": GOOD}, source="x", at=AT)


@pytest.mark.parametrize("answer", [{"seven_day": GOOD}, {"seven_day": GOOD, "five_hour": None}])
def test_a_window_the_plan_does_not_have_is_left_out(answer: dict[str, Any]) -> None:
    assert [window.name for window in reading_of(answer, source="x", at=AT).windows] == [
        "seven_day"
    ]


@pytest.mark.parametrize(
    "answer", [None, [], "x", 5, {}, {"five_hour": None, "seven_day": None}, {"other": GOOD}]
)
def test_an_answer_without_a_deciding_window_is_none(answer: Any) -> None:
    with pytest.raises(UsageUnavailableError, match="without a usage window"):
        reading_of(answer, source="x", at=AT)


def test_of_the_others_a_few_are_shown_that_look_like_windows() -> None:
    others = {f"w{n}": GOOD for n in range(100)}
    strange = {
        "\ud800": GOOD,
        "a b": GOOD,
        "x" * 65: GOOD,
        "flag": True,
        "w": {"utilization": HUGE},
    }
    reading = reading_of({"five_hour": GOOD, **strange, **others}, source="x", at=AT)
    names = [window.name for window in reading.windows]
    assert names[0] == "five_hour"
    assert len(names) <= 33
    assert all(name.startswith("w") and name != "w" for name in names[1:])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SOON, SOON * 1000),
        (SOON + 0.25, SOON * 1000 + 250),
        ("2026-09-21T16:13:20+02:00", AT),
        ("2026-09-21T14:13:20.123456Z", AT + 123),
        ("2026-09-21T14:13:20", None),  # no zone
        ("9999-12-31T23:59:59-12:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        (2**33, None),
        (HUGE, None),
        (0, None),
        (-SOON, None),
        (float("nan"), None),
        (float("inf"), None),
        (SOON * 1000, None),  # milliseconds are another unit
        ("soon", None),
        ("", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_a_reset_is_a_time_near_now_or_unknown(value: Any, expected: int | None) -> None:
    assert instant_of(value, at=AT) == expected


def test_a_reset_is_believed_within_a_year() -> None:
    for sign in (1, -1):
        edge = AT + sign * 366 * DAY_MS
        assert instant_of(edge / 1000, at=AT) == edge
        assert instant_of((edge + sign) / 1000, at=AT) is None
