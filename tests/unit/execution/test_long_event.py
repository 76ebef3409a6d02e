"""Events of any length: read as they come, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tasks.execution.long_event import LongEvent
from claude_tasks.execution.transcript import EVENT_LIMIT, LINE_LIMIT, Transcript
from support.profile import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)


def parse(data: bytes, size: int) -> dict[str, Any] | None:
    event = LongEvent()
    for start in range(0, len(data), size):
        event.feed(data[start : start + size])
    return event.value


def read(data: bytes) -> Any:
    transcript = Transcript(now=lambda: 0)
    for start in range(0, len(data), 1 << 18):
        transcript.feed(data[start : start + (1 << 18)])
    transcript.close()
    return transcript.summary()


@given(st.dictionaries(st.text(max_size=9), VALUES), st.integers(1, 40), st.booleans())
@settings(max_examples=examples(quick=20, full=60))
def test_what_is_small_is_read_as_it_stands(
    value: Any,
    size: int,
    escaped: bool,  # noqa: FBT001 (drawn)
) -> None:
    data = json.dumps(value, ensure_ascii=escaped).encode(errors="surrogatepass")
    found = parse(data, size)
    assert found == json.loads(data.decode(errors="replace"))


@given(st.binary(max_size=300) | st.text('{}[]":,\\u1a \f\v', max_size=60).map(str.encode))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    whole = parse(data, 7)
    assert whole is None or json.dumps(whole)


@settings(max_examples=examples(quick=15, full=40))
@given(
    st.lists(
        st.sampled_from(["é", "x", "\\n", "\\\\", '\\"', "\\u00e9", "\\ud83d\\ude00", "a"]),
        max_size=9,
    ),
    st.integers(1, 9),
)
def test_a_long_text_keeps_head_and_tail_wherever_it_is_cut(parts: list[str], size: int) -> None:
    unit = "".join(parts) or "x"
    times = 600_000 // len(unit.encode()) + 1
    found = parse(f'{{"result":"{unit * times}"}}'.encode(), (1 << 16) + size)
    assert found is not None
    text = json.loads(f'"{unit * times}"')
    head, _, tail = found["result"].partition("\n[… ")
    assert text.startswith(head)
    assert len(head) > 8000
    ending = tail.partition(" …]\n")[2]
    assert text.endswith(ending)
    assert ending or set(parts) <= {"\\\\", '\\"'}


def test_too_many_members_are_passed_over_and_the_type_is_found_behind_them() -> None:
    value = {"permission_denials": [{"tool_name": f"T{n}"} for n in range(5000)], "type": "result"}
    found = parse(json.dumps(value).encode(), 1 << 16)
    assert found is not None
    assert found["type"] == "result"
    assert len(found["permission_denials"]) == 1000


def test_brackets_without_end_are_given_up() -> None:
    assert parse(b'{"a":[' + b"[]," * 4_000_000 + b"[]]}", 1 << 18) is None


def test_an_event_of_60_mebibytes_takes_a_few_of_memory() -> None:
    """The bench of the limit: three times its size would be allowed."""
    entry = {"tool_name": "Write", "tool_input": {"file_path": "/x", "content": "é\n" * 20_000}}
    head = json.dumps(entry, ensure_ascii=False).encode() + b","
    times = (60 << 20) // len(head)
    transcript = Transcript(now=lambda: 0)
    tracemalloc.start()
    transcript.feed(b'{"permission_denials":[')
    for _ in range(times):
        transcript.feed(head)
    transcript.feed(b'null],"total_cost_usd":1.5,"num_turns":3,"result":"end","type":"result"}\n')
    summary = transcript.summary()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (summary.cost_usd, summary.num_turns, summary.output) == (1.5, 3, "end")
    assert summary.permission_denials == ["Write(/x)", "a tool"] or summary.permission_denials
    assert peak < 16 << 20


def test_the_limit_of_an_event_is_64_mebibytes() -> None:
    tail = b'","type":"result","num_turns":1}\n'
    start = b'{"result":"'
    largest = EVENT_LIMIT - len(start) - len(tail) + 1
    assert read(start + b"y" * largest + tail).has_result
    assert not read(start + b"y" * (largest + 1) + tail).has_result


@pytest.mark.parametrize("size", [LINE_LIMIT - 200, LINE_LIMIT + 200, 3 * LINE_LIMIT])
def test_a_line_of_any_length_tells_the_same(size: int) -> None:
    result = {"type": "result", "result": "end", "num_turns": 2, "errors": ["why"], "x": "y" * size}
    summary = read(json.dumps(result).encode() + b"\n")
    assert (summary.output, summary.num_turns, summary.errors) == ("end", 2, ["why"])


def test_long_plain_text_that_begins_with_a_brace_stays_text() -> None:
    summary = read(b"{ no event " + b"z" * LINE_LIMIT + b" the end\n")
    assert summary.output.startswith("{ no event")
    assert summary.output.endswith("the end")
