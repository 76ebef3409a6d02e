"""Reading the agent's stream: lenient with everything, exact where it matters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tasks.execution.bounded import HeadAndTail, Tail, shorten
from claude_tasks.execution.transcript import LINE_LIMIT, OUTPUT_HEAD, OUTPUT_TAIL, Transcript

RESULT = {
    "duration_ms": 12,
    "is_error": False,
    "num_turns": 3,
    "result": "All good.",
    "session_id": "s-1",
    "subtype": "success",
    "total_cost_usd": 0.25,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 40,
    },
    "permission_denials": [
        {"tool_name": "Bash", "tool_use_id": "x", "tool_input": {"command": "rm -rf /"}}
    ],
    "type": "result",
}
INIT = {"type": "system", "subtype": "init", "session_id": "s-0", "model": "opus"}


AT = 1_790_000_000_000


def line(event: Any) -> bytes:
    return json.dumps(event).encode() + b"\n"


def read(*chunks: bytes) -> dict[str, Any]:
    transcript = Transcript(now=lambda: AT)
    for chunk in chunks:
        transcript.feed(chunk)
    transcript.close()
    return transcript.summary()._asdict()


def said(text: str) -> bytes:
    return line({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}})


def test_the_result_event_tells_all() -> None:
    summary = read(line(INIT), said("working"), line(RESULT))
    assert summary["output"] == "All good."
    assert summary["has_result"]
    assert (summary["session_id"], summary["model"]) == ("s-1", "opus")
    assert (summary["cost_usd"], summary["num_turns"]) == (0.25, 3)
    assert (summary["input_tokens"], summary["output_tokens"]) == (10, 20)
    assert (summary["cache_read_tokens"], summary["cache_creation_tokens"]) == (30, 40)
    assert summary["permission_denials"] == ["Bash(rm -rf /)"]


@given(st.lists(st.integers(1, 400), max_size=30))
def test_how_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    stream = line(INIT) + "plain ünïcödé \u2028 text\n".encode() + said("hm") + line(RESULT)
    chunks, rest = [], stream
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert read(*chunks, rest) == read(stream)


@given(st.binary(max_size=3000))
def test_no_input_makes_it_fail(data: bytes) -> None:
    summary = read(data)
    assert isinstance(summary["output"], str)
    json.dumps(summary)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*RESULT, "message", "content"]), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    st.sampled_from(["result", "assistant", "system", "rate_limit_event"]),
)
def test_no_event_of_any_shape_makes_it_fail(value: Any, kind: str) -> None:
    event = {**RESULT, **(value if isinstance(value, dict) else {"result": value}), "type": kind}
    summary = read(line(event))
    json.dumps(summary).encode()
    assert isinstance(summary["output"], str)


def test_plain_text_is_the_output_when_there_is_nothing_better() -> None:
    assert read(b"just\nsome text\n")["output"] == "just\nsome text"


def test_the_last_thing_said_stands_in_for_a_missing_result() -> None:
    summary = read(line(INIT), said("first"), said("second"), b"noise\n")
    assert summary["output"] == "second"
    assert not summary["has_result"]
    assert summary["session_id"] == "s-0"


def test_a_line_longer_than_the_limit_is_passed_over() -> None:
    huge = line({"type": "user", "message": "x" * (LINE_LIMIT + 10)})
    assert read(huge, line(RESULT))["output"] == "All good."


def test_a_result_line_larger_than_any_pipe_buffer_is_read() -> None:
    text = "y" * 500_000
    summary = read(line({**RESULT, "result": text}))
    assert summary["output"].startswith("yyy")
    assert len(summary["output"]) <= OUTPUT_HEAD + OUTPUT_TAIL + 100


def test_numbers_beyond_all_reason_are_unknown() -> None:
    summary = read(line({**RESULT, "num_turns": 10**30, "total_cost_usd": float("inf")}))
    assert (summary["num_turns"], summary["cost_usd"]) == (None, None)


@pytest.mark.parametrize(
    "odd", ["[" * 2000 + "]" * 2000, "9" * 5000, '{"a":' * 1500 + "1" + "}" * 1500], ids=len
)
def test_a_result_that_pythons_parser_refuses_keeps_cost_turns_and_text(odd: str) -> None:
    whole = json.dumps({**RESULT, "structured_output": "odd"}).replace('"odd"', odd)
    found, plain = read(whole.encode() + b"\n"), read(line(RESULT))
    assert found == plain
    assert found["cost_usd"] is not None


def test_half_a_surrogate_pair_can_be_stored() -> None:
    summary = read(b'{"type":"result","result":"a\\ud800b"}\n')
    assert summary["output"].encode() == b"a?b"


def test_a_rejected_rate_limit_is_kept() -> None:
    info = {"status": "rejected", "resetsAt": 1, "rateLimitType": "five_hour"}
    assert read(line({"type": "rate_limit_event", "rate_limit_info": info}))["rate_limit"] == info


@pytest.mark.parametrize("size", [0, 5, 10, 11, 15, 16, 40, 1000])
def test_head_and_tail_stay_and_the_gap_is_counted(size: int) -> None:
    text = "".join(chr(97 + place % 26) for place in range(size))
    kept = HeadAndTail(10, 5)
    for place in range(0, size, 7):
        kept.write(text[place : place + 7].encode())
    if size <= 15:
        assert kept.text() == text
    else:
        assert kept.text() == f"{text[:10]}\n[… {size - 15:,} bytes left out …]\n{text[-5:]}"


def test_a_cut_never_splits_a_character() -> None:
    kept = HeadAndTail(4, 4)
    kept.write("ééééééé".encode())
    assert "\ufffd" not in kept.text()


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(1, 40))
def test_the_tail_is_the_tail(chunks: list[bytes], limit: int) -> None:
    tail = Tail(limit)
    for chunk in chunks:
        tail.write(chunk)
    whole = b"".join(chunks)
    assert tail.value() == whole[-limit:]
    assert tail.dropped == max(0, len(whole) - limit)


def test_a_short_text_is_not_shortened() -> None:
    assert shorten("abc", head=2, tail=1) == "abc"
    assert shorten("abcdef", head=2, tail=1).startswith("ab\n[… 3 characters")
