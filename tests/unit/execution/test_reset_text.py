"""When a limit is over, read from words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.domain.run import Reason
from claude_tasks.execution.contract import EndedBy, ExitFacts, Said
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.reset_text import reset_in_text

AT = datetime(2026, 10, 5, 10, 30, tzinfo=UTC)  # a Monday
BERLIN = ZoneInfo("Europe/Berlin")


def zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def read(text: str) -> str | None:
    at = round(AT.timestamp() * 1000)
    found = reset_in_text(text, at=at, here=BERLIN, find_zone=zone)
    return None if found is None else f"{datetime.fromtimestamp(found / 1000, UTC):%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("You've hit your 5-hour limit · resets 2:06pm (UTC)", "10-05 14:06"),
        ("API Error: Request rejected (429) · limit · resets 3pm", "10-05 13:00"),
        ("resets 3am", "10-06 01:00"),
        ("resets Mon 9am", "10-12 07:00"),
        ("resets Tue 9am (America/New_York)", "10-06 13:00"),
        ("Claude AI usage limit reached|1791200000", "10-05 11:33"),
        ("Claude AI usage limit reached|1791200000000", "10-05 11:33"),
        ("resets Oct 6, 1pm (America/Los_Angeles)", "10-06 20:00"),
        ("Your limit will reset at 4pm (Asia/Tokyo).", "10-06 07:00"),
        ("resets at 2026-10-06T13:00:00Z", "10-06 13:00"),
        ("resets 2026-10-06 13:00 UTC", "10-06 13:00"),
        ("resets in 3 hours 20 minutes", "10-05 13:50"),
        ("Limit reached. Try again in 2h 5m.", "10-05 12:35"),
        ("resets tomorrow at 9:15 am", "10-06 07:15"),
        ("resets 15:00 (UTC+2)", "10-05 13:00"),
        ("resets at midnight", "10-05 22:00"),
        ("You will regain access on 2026-10-07 at 00:00 UTC.", "10-07 00:00"),
        ("rate limited: retry after 7200 seconds", "10-05 12:30"),
        ("resets at 1791203600", "10-05 12:33"),
        ("resets at 1791203600000.", "10-05 12:33"),
        ("resets 10:30am (UTC)", "10-05 10:30"),
        ("API Error: Request rejected (429) · slow down", None),
        ("try again in 20 seconds", None),
        ("try again later", None),
        ("retry after 30 seconds", None),
        ("resets 1791203600 times", None),
        ("Server is limiting requests (not your usage limit) · resets 2pm", None),
        ("resets Feb 31, 4pm", None),
        ("resets 25:99", None),
        ("resets soon", None),
    ],
)
def test_a_reset_is_read_from_words(text: str, instant: str | None) -> None:
    assert read(text) == instant


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(
            re.findall(
                r"[^/]+",
                "resets /at /in /9am/25:61/99/Mon /Feb /31 /(/UTC/)/2026-13-45/T/|/9999999999/"
                "UTC+99/tomorrow /1e9/h /:/Z",
            )
        )
    ).map("".join)
)
def test_no_words_make_it_fail(text: str) -> None:
    reset_in_text(text, at=0, here=None, find_zone=zone)
    read(text)


@pytest.mark.parametrize(
    ("said", "reason", "transient"),
    [
        (Said(is_error=True, api_error_status=429, result_text="resets 2pm"), "usage_limit", False),
        (Said(is_error=True, api_error_status=429, result_text="slow down"), "agent_error", True),
        (Said(is_error=True, api_error_status=429, errors=["resets 2pm"]), "usage_limit", False),
        (Said(is_error=True, result_text="usage limit reached|1791200000"), "usage_limit", False),
        (Said(is_error=True, api_error_status=500, result_text="resets 2pm"), "agent_error", True),
        (
            Said(is_error=True, errors=["You've hit your 5-hour limit · resets 2pm"]),
            "usage_limit",
            False,
        ),
        (
            Said(is_error=True, subtype="success", result_text="Opus limit reached ∙ resets 2pm"),
            "usage_limit",
            False,
        ),
        (Said(is_error=True, result_text="the rate limit resets 2pm"), "agent_error", False),
        (
            Said(is_error=True, result_text="Context limit reached, wait until 2pm"),
            "agent_error",
            False,
        ),
        (Said(is_error=True, result_text="the cron job resets 2pm"), "agent_error", False),
        (Said(is_error=False, result_text="limit resets 2pm"), None, False),
        (
            Said(is_error=True, api_error_status=429, rate_limit={"status": "rejected"}),
            "agent_error",
            True,
        ),
    ],
)
def test_a_limit_in_words_counts_where_the_api_refused(
    said: Said,
    reason: str | None,
    transient: bool,  # noqa: FBT001 (a parameter of the table)
) -> None:
    at = round(AT.timestamp() * 1000)
    facts = ExitFacts(EndedBy.EXIT, ended_at=at, exit_code=1 if said.is_error else 0)
    outcome = outcome_of(
        facts._replace(transcript=said), at=at, timeout_seconds=1, cancel_reason=None
    )
    assert outcome.reason == (None if reason is None else Reason(reason))
    assert outcome.transient is transient
    assert (outcome.resets_at is not None) is (reason == "usage_limit")
