from __future__ import annotations

import io

from claude_tasks.cli.render import Printer
from claude_tasks.cli.results import Result
from claude_tasks.text.blocks import Column, Pairs, Raw, Table, Toned
from claude_tasks.text.event_text import event_lines
from claude_tasks.text.layout import clean, cut, one_line, table_lines, text_width
from claude_tasks.text.times import clock_time, coarse, relative, table_time, when
from unit.cli.command_line import Terminal

_NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000


def _plain(text: str, _tone: str) -> str:
    return text


def _table(width: int | None) -> list[str]:
    columns = (
        Column("ID", right=True),
        Column("NAME", flexible=1),
        Column("COST", droppable=True),
    )
    rows = [("1", "short", "$1"), ("12", "a name that is a good deal longer", "$2.50")]
    return table_lines(Table(columns, rows), width, _plain)


def test_table_is_aligned_and_whole_without_a_terminal() -> None:
    assert _table(None) == [
        "ID  NAME                               COST",
        " 1  short                              $1",
        "12  a name that is a good deal longer  $2.50",
    ]


def test_table_fits_the_terminal() -> None:
    for width in (40, 30, 20):
        lines = _table(width)
        assert max(map(len, lines)) <= width
        assert "12  a name" in lines[2]
        assert "…" in lines[2]


def test_wide_characters_keep_the_columns_aligned() -> None:
    rows = [("日本語", "x"), ("abc", "y")]
    lines = table_lines(Table((Column("A"), Column("B")), rows), None, _plain)
    assert lines == ["A       B", "日本語  x", "abc     y"]
    assert text_width(cut("日本語日本語", 7)) <= 7


def test_a_name_cannot_take_over_the_screen() -> None:
    assert "\x1b" not in clean("a\x1b[2Jb")
    assert "\u202e" not in clean("abc\u202egpj.exe")
    assert one_line("two\nlines\there") == "two lines here"


def _print(result: Result, **environment: str) -> str:
    out = Terminal()
    Printer(out, io.StringIO(), environment, as_json=False).result(result)
    return out.getvalue()


def test_colour_only_on_a_terminal_and_never_with_no_color() -> None:
    result = Result(data=dict, text=lambda: [Pairs([("state", Toned("failed", "bad"))])])
    assert "\x1b[31mfailed" in _print(result, TERM="xterm")
    assert "\x1b" not in _print(result, TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in _print(result, TERM="dumb")
    out = io.StringIO()
    Printer(out, io.StringIO(), {"TERM": "xterm"}, as_json=False).result(result)
    assert out.getvalue() == "  state  failed\n"


def test_only_what_is_asked_for_is_computed() -> None:
    def never() -> list[str]:
        raise AssertionError

    out = io.StringIO()
    Printer(out, io.StringIO(), {}, as_json=True).result(Result(data=lambda: [1], text=never))
    assert out.getvalue() == "[\n  1\n]\n"


def test_raw_text_is_left_as_it_is() -> None:
    result = Result(data=dict, text=lambda: [Raw("a\tb\n\n")])
    assert _print(result) == "a\tb\n\n"


def test_notes_go_beside_the_data() -> None:
    out, err = io.StringIO(), io.StringIO()
    result = Result(data=lambda: 1, text=lambda: ["data"], notes=["note"])
    Printer(out, err, {}, as_json=False).result(result)
    assert (out.getvalue(), err.getvalue()) == ("data\n", "note\n")


def test_times_read_in_the_zone_asked_for() -> None:
    now = _NOON
    assert clock_time(now, "Europe/Berlin", now=now) == "Sun 22 Nov 13:00 CET"
    assert table_time(now + 5000, "UTC", now=now) == "12:00:05"
    assert table_time(now, "UTC", now=now, exact=True) == "12:00:00"
    assert table_time(now + 86_400_000, "UTC", now=now) == "Mon 23 Nov 12:00"
    assert clock_time(now + 60 * _DAY, "UTC", now=now) == "Thu 21 Jan 2027 12:00 UTC"
    assert when(now + 3 * _HOUR + 5 * _MINUTE, "UTC", now=now).endswith(", in 3h 5m")


def test_relative_times_are_short() -> None:
    assert relative(_NOON, now=_NOON) == "now"
    assert relative(_NOON - 12_400, now=_NOON) == "12s ago"
    for span, text in (
        (1_000, "1s"),
        (5 * _MINUTE + 12_000, "5m 12s"),
        (61 * _MINUTE + 30_000, "1h 1m"),
        (2 * _DAY + 4 * _HOUR + _MINUTE, "2d 4h"),
        (45 * _DAY + _HOUR, "45d"),
    ):
        assert coarse(span) == text
        assert relative(_NOON + span, now=_NOON) == f"in {text}"


def test_events_read_as_lines() -> None:
    assert event_lines(b'{"type":"system","subtype":"init","model":"m","cwd":"/x"}') == ["* m, /x"]
    said = b'{"type":"assistant","message":{"content":[{"type":"text","text":"a\\nb"}]}}'
    assert event_lines(said) == ["a", "b"]
    used = (
        b'{"type":"assistant","message":{"content":'
        b'[{"type":"tool_use","name":"Bash","input":{"command":"ls -l"}}]}}'
    )
    assert event_lines(used) == ["> Bash: ls -l"]
    answered = (
        b'{"type":"user","message":{"content":'
        b'[{"type":"tool_result","content":"one\\ntwo","is_error":true}]}}'
    )
    assert event_lines(answered) == ["< error: one (+1 lines)"]
    ended = b'{"type":"result","is_error":false,"num_turns":2,"total_cost_usd":0.5}'
    assert event_lines(ended) == ["= done, 2 turns, $0.5000"]
    limited = b'{"type":"rate_limit_event","rate_limit_info":{"status":"rejected"}}'
    assert event_lines(limited) == ["! usage limit : rejected"]


def test_any_line_of_a_stream_can_be_shown() -> None:
    assert event_lines(b"plain \xff text") == ["plain \ufffd text"]
    assert event_lines(b"{not json") == ["{not json"]
    assert event_lines(b"") == []
    for strange in (
        b'{"type":7}',
        b'{"type":"assistant","message":3}',
        b'{"type":"user","message":{"content":[1,{"type":"tool_result"}]}}',
        b'{"type":"result","permission_denials":4}',
        b'{"type":"rate_limit_event","rate_limit_info":[]}',
        b'{"type":"stream_event"}',
        b'{"type":"assistant","message":{"content":7}}',
    ):
        assert isinstance(event_lines(strange), list)
