"""Whatever an agent, a file or a source of usage says: no exception leaves who reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.permission import Permitted, denied_text
from claude_tasks.domain.usage import learnt_from_run, reset_of
from claude_tasks.execution.activity import Activity
from claude_tasks.execution.contract import EndedBy, ExitFacts, decode, encode
from claude_tasks.execution.outcome import outcome_of
from claude_tasks.execution.transcript import LINE_LIMIT, Transcript
from claude_tasks.notify import sending
from claude_tasks.operations.event_tail import EventTail
from claude_tasks.system.transport import wait_of
from claude_tasks.text.event_text import event_lines
from claude_tasks.usage import cli_source
from claude_tasks.usage.windows import reading_of
from support.profile import examples

if TYPE_CHECKING:
    from pathlib import Path

AT = 1_790_000_000_000
WORDS = re.findall(
    r"\w+",
    "type subtype result is_error errors usage permission_denials tool_name tool_input tool_use_id"
    " command file_path session_id model total_cost_usd num_turns duration_ms api_error_status"
    " api_error message content text name input tasks task_id patch status is_backgrounded"
    " rate_limit_info resetsAt rateLimitType utilization unifiedWindows five_hour seven_day"
    " resets_at modelUsage output_tokens tool_use tool_result limits response rate_limits"
    " rate_limits_available claudeAiOauth accessToken expiresAt retry_after",
)
KINDS = re.findall(
    r"\w+", "result assistant user system rate_limit_event stream_event claude_tasks"
)
SUBTYPES = re.findall(r"\w+", "init success background_tasks_changed task_started task_updated run")
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**20), 1e308, float("inf"), float("nan"), 2**53, 0])
    | st.floats()
    | st.sampled_from(
        ["", "rejected", "completed", "No conversation found", "resets 9am", "\ud800"]
    )
    | st.text(max_size=8)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=15,
)
EVENTS = st.builds(
    lambda value, kind, subtype: (
        (value if isinstance(value, dict) else {"result": value})
        | {"type": kind, "subtype": subtype}
    ),
    VALUES,
    st.sampled_from(KINDS),
    st.sampled_from(SUBTYPES) | PLAIN,
)
LINES = st.lists(EVENTS.map(lambda e: json.dumps(e).encode()) | st.binary(max_size=40), max_size=6)
GENTLY = settings(
    max_examples=examples(quick=40, full=150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def told(lines: list[bytes], *, padding: int = 0) -> Transcript:
    transcript = Transcript(now=lambda: AT)
    for line in lines:
        is_event = padding and line.endswith(b"}") and len(line) > 2
        end = b',"padding":"' + b"x" * padding + b'"}' if is_event else line[-1:]
        transcript.feed(line[:-1] + end + b"\n")
    transcript.close()
    return transcript


@GENTLY
@given(LINES, st.sampled_from([0, 1, 143, -9]), st.sampled_from(list(EndedBy)), st.booleans())
def test_a_stream_of_any_shape_leads_to_an_end_that_can_be_stored(
    lines: list[bytes],
    exit_code: int,
    ended_by: EndedBy,
    lingers: bool,  # noqa: FBT001 (drawn)
) -> None:
    facts = ExitFacts(
        EndedBy.EXIT if ended_by is EndedBy.UNSTARTED else ended_by,
        ended_at=AT,
        exit_code=exit_code,
        transcript=told(lines).summary(),
        lingered=1.5 if lingers else None,
    )
    assert decode(ExitFacts, encode(facts)) == facts, "the recorder reads what was written"
    outcome = outcome_of(facts, at=AT, timeout_seconds=9, cancel_reason=None)
    for value in outcome:
        assert not isinstance(value, str) or value.encode() is not None
        assert not isinstance(value, int) or abs(value) < 2**63
    denied_text(Permitted(1), outcome.permission_denials)
    if facts.transcript.rate_limit is not None:
        learnt_from_run(None, facts.transcript.rate_limit, at=AT)


@settings(max_examples=15)
@given(LINES)
def test_a_stream_of_long_events_too(lines: list[bytes]) -> None:
    json.dumps(told(lines, padding=LINE_LIMIT).summary())


@GENTLY
@given(st.lists(EVENTS, max_size=8))
def test_what_goes_on_in_the_background_may_be_told_in_any_shape(events: list[Any]) -> None:
    activity = Activity()
    for event in events:
        activity.note(event)
    assert isinstance(activity.outstanding, bool)


@GENTLY
@given(LINES)
def test_events_of_any_shape_can_be_shown_and_streamed(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "1.events.jsonl"
    path.write_bytes(b"\n".join(lines))
    tail = EventTail(str(path))
    for line in tail.close():
        for shown in event_lines(line):
            assert isinstance(shown, str)
    for line in lines:
        event_lines(line)


@GENTLY
@given(VALUES)
def test_an_answer_about_usage_of_any_shape_is_a_reading_or_a_reason(value: Any) -> None:
    try:
        reading = reading_of(value, source="test", at=AT)
    except UsageUnavailableError:
        return
    assert reading.windows


@GENTLY
@given(VALUES)
def test_what_a_run_was_told_of_usage_may_have_any_shape(value: Any) -> None:
    learnt_from_run(None, value if isinstance(value, dict) else {"unifiedWindows": value}, at=AT)
    reset_of(value, at=AT)


@GENTLY
@given(VALUES, st.booleans())
def test_what_an_agent_answers_to_a_question_may_have_any_shape(
    value: Any,
    wrapped: bool,  # noqa: FBT001 (drawn)
) -> None:
    answer = {"response": {"subtype": "success", "response": value}} if wrapped else value
    try:
        assert isinstance(cli_source._response_in(json.dumps(answer).encode()), dict)
    except UsageUnavailableError:
        assert not (wrapped and isinstance(value, dict))


@GENTLY
@given(VALUES)
def test_what_a_channel_answers_may_have_any_shape(value: Any) -> None:
    document = sending._document(json.dumps(value).encode())
    wait = wait_of(document.get("retry_after"), at=AT)
    assert wait is None or wait >= 0
