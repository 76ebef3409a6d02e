"""Tables in a terminal that is too narrow for them, and their times in one zone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.cli.main import run
from claude_tasks.domain.run import Reason, Run, State, Trigger
from claude_tasks.text.blocks import Column, Table, Toned
from claude_tasks.text.layout import table_lines
from claude_tasks.text.run_text import ending, record, run_table

if TYPE_CHECKING:
    from unit.cli.command_line import CommandLine

_NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
_LONG = "a name that goes on for a good deal longer than anybody would want to read"


def a_run(**fields: Any) -> Run:
    known = {
        "id": 1, "task_id": 1, "task_name": "n", "trigger": Trigger.MANUAL, "attempt": 1,
        "claim": 1, "not_before": 0, "queued_at": _NOON, "output": "", "permission_denials": (),
        "skipped_count": 0,
    }  # fmt: skip
    return Run(**{**dict.fromkeys(Run._fields), **known, **fields})


def _plain(text: str, _tone: str) -> str:
    return text


def _list(cli: CommandLine, columns: int) -> list[str]:
    return cli("list", COLUMNS=str(columns)).out.splitlines()


@pytest.mark.parametrize("columns", [60, 80])
def test_list_fits_a_narrow_terminal_and_keeps_the_schedule(cli: CommandLine, columns: int) -> None:
    cli.good("add", _LONG, "p", "--cron", "0 2 * * *")
    head, row = _list(cli, columns)
    assert max(len(head), len(row)) <= columns
    assert "0 2 * * *" in row
    assert "…" in row
    assert "(in" not in row
    assert "NEXT RUN (CE" in head


def test_list_drops_the_relative_time_before_it_cuts_a_name(cli: CommandLine) -> None:
    cli.good("add", "twenty letters long!", "p", "--cron", "0 2 * * *")
    wide, narrow = _list(cli, 200)[1], _list(cli, 70)[1]
    assert "(in" in wide
    assert "(in" not in narrow
    assert "twenty letters long!" in narrow


def test_list_shows_every_time_in_the_zone_it_names(cli: CommandLine) -> None:
    cli.good("add", "berlin", "p", "--cron", "0 2 1 1 *", "--tz", "Europe/Berlin")
    cli.good("add", "tokyo", "p", "--cron", "0 2 1 1 *", "--tz", "Asia/Tokyo")
    out = cli("list", TZ="Asia/Tokyo").out
    head, tokyo, berlin = out.splitlines()
    assert "NEXT RUN (Asia/Tokyo)" in head
    assert " 02:00 (in" in tokyo
    assert " 10:00 (in" in berlin
    assert "02:00 CET" in cli("show", "berlin", TZ="Asia/Tokyo").out


def test_a_column_keeps_its_words_while_others_can_give_way() -> None:
    columns = (Column("NAME", flexible=1), Column("WHEN (Europe/Berlin)", short="WHEN (CET)"))
    table = Table(columns, [("a name", Toned("13:00:00 (in 5m)", short="13:00:00"))])
    assert table_lines(table, 80, _plain)[1] == "a name  13:00:00 (in 5m)"
    assert table_lines(table, 20, _plain) == ["NAME    WHEN (CET)", "a name  13:00:00"]


def test_note_uses_the_room_there_is_and_marks_its_cut() -> None:
    failed = a_run(state=State.FAILED, reason=Reason.EXIT, error="why " * 100)
    table = run_table([failed], "UTC", now=_NOON, empty="")
    assert "WHEN (UTC)" in table_lines(table, None, _plain)[0]
    for width in (100, 160):
        line = table_lines(table, width, _plain)[1]
        assert line.endswith("…")
        assert width - 4 <= len(line) <= width
    assert table_lines(table, None, _plain)[1].endswith("…")


def test_skipped_run_without_an_end_shows_no_empty_until() -> None:
    skipped = a_run(state=State.SKIPPED, reason=Reason.OVERLAP, skipped_count=1)
    [_, facts] = record(skipped, [], "UTC", now=_NOON)
    assert ("skipped", "1 tick") in facts.pairs  # type: ignore[union-attr]


def test_retried_run_mentions_its_attempts() -> None:
    retried = a_run(state=State.FAILED, reason=Reason.EXIT, attempt=3)
    assert ", attempt 3" in ending(retried)
    [_, facts] = record(retried, [], "UTC", now=_NOON)
    assert ("attempts", "3, this is the last") in facts.pairs  # type: ignore[union-attr]
    assert "attempt" not in ending(retried._replace(attempt=1))


@pytest.mark.parametrize("columns", [50, 80])
def test_help_fits_the_terminal(columns: int) -> None:
    out = io.StringIO()
    words, environment = ["runs", "--help"], {"COLUMNS": str(columns)}
    assert run(words, environment, stdin=io.StringIO(), stdout=out, stderr=io.StringIO()) == 0
    text = out.getvalue().partition("examples:")[0]
    assert max(map(len, text.splitlines())) <= columns
