"""Words of others on a terminal: whoever they came from, they are shown and steer nothing."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from typing import TYPE_CHECKING

import pytest

from claude_tasks.cli.json_text import json_text
from claude_tasks.cli.main import run
from claude_tasks.cli.render import Printer
from claude_tasks.cli.results import Result
from claude_tasks.domain.control_characters import CONTROLS
from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.task_fields import ADDRESS_FIELDS
from claude_tasks.text.blocks import Column, Pairs, Raw, Table, Toned
from unit.cli.command_line import CommandLine, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.text.blocks import Block

HOSTILE = "x\x1b]52;c;ZXZpbA==\x07\x9b31m\x1b[31m\x1b[2J\r\u202e\u2028\x7f\x85y"
_OURS = re.compile(r"\x1b\[(?:0|1|2|31|32|33)m")
_STEERING = frozenset(map(chr, CONTROLS)) - set("\n\t")
_TASK_TEXTS = (
    "name", "prompt", "model", "permission_mode", "append_system_prompt", "working_dir",
)  # fmt: skip
_CHANGES = json.dumps({"prompt": [HOSTILE, HOSTILE], HOSTILE: [HOSTILE, [HOSTILE]]})
_TASK_LISTS = ("tags", "allowed_tools", "disallowed_tools", "extra_args")
_RUN_TEXTS = ("output", "error", "session_id", "model", "log_path")


@pytest.fixture
def hostile(cli: CommandLine) -> CommandLine:
    """One task and one run of it, everything in them as somebody else might have put it there."""
    cli.good("add", "nightly", "work", "--every", "1d")
    cli.good("add", "once", "work", "--at", "in 3 days", "--disabled")
    with (
        contextlib.closing(
            sqlite3.connect(f"{cli.environment['CLAUDE_TASKS_DATA']}/tasks.db")
        ) as file,
        file,
    ):
        file.execute(
            "INSERT INTO task_runs (task_id, trigger, state, reason, attempt, claim,"
            " not_before, queued_at, started_at, ended_at, permission_denials)"
            " VALUES (1, 'manual', 'failed', 'exit', 1, 1, 0, 0, 0, 9, ?)",
            [json.dumps([HOSTILE])],
        )
        file.execute("DROP TRIGGER task_runs_terminal_is_final")
        for table, names in (("tasks", _TASK_TEXTS), ("task_runs", _RUN_TEXTS)):
            for name in names:
                file.execute(f"UPDATE {table} SET {name} = ?", [HOSTILE])
        for name in _TASK_LISTS:
            file.execute(f"UPDATE tasks SET {name} = ?", [json.dumps([HOSTILE])])
        file.execute("UPDATE tasks SET last_run_id = 1 WHERE id = 1")
        for channel in (*ADDRESS_FIELDS.values(), HOSTILE):
            file.execute("INSERT INTO task_addresses VALUES (1, ?, ?)", [channel, HOSTILE])
        file.execute("UPDATE task_revisions SET actor = ?, changes = ?", [HOSTILE, _CHANGES])
    return cli


_COMMANDS = (
    ("list",), ("show", "1"), ("show", "1", "--history"), ("runs",), ("runs", "1"), ("logs", "1"),
    ("logs", "-f", "1"),
    ("logs", "--task", "1"), ("why", "1"), ("next", "1"), ("status",), ("doctor",), ("usage",),
    ("notify", "test", "--task", "1"), ("export",), ("disable", "1"), ("enable", "1"),
    ("edit", "1", "--tag", "x"), ("cancel", "1"), ("rm", "1"), ("completion", "--task-names"),
    ("show", HOSTILE), (HOSTILE,), ("show", f"--{HOSTILE}"), ("list", HOSTILE), ("logs", HOSTILE),
    ("add", HOSTILE, "work", "--now"), ("add", "x", "work", "--tz", HOSTILE, "--now"),
    ("add", "x", "work", "--cron", HOSTILE), ("add", "x", "--prompt-file", HOSTILE, "--now"),
    ("list", "--data", f"/proc/{HOSTILE}"), ("import", HOSTILE), ("export", "--output", "/"),
)  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("argv", _COMMANDS, ids=lambda argv: ascii(" ".join(argv))[:40])
def test_no_command_sends_control_sequences_of_others(
    hostile: CommandLine, argv: tuple[str, ...], *, as_json: bool
) -> None:
    out, err = Terminal(), Terminal()
    environment = {**hostile.environment, "TERM": "xterm", "CLAUDE_TASKS_CLAUDE_BIN": HOSTILE}
    words = [*argv, "--json"] if as_json else argv
    run(words, environment, stdin=io.StringIO(), stdout=out, stderr=err)
    shown = out.getvalue() + err.getvalue()
    assert not _STEERING & set(_OURS.sub("", shown)), shown
    assert "\x1b[31m\x1b[2J" not in shown


def test_nothing_that_prints_can_forget_it() -> None:
    """Every way to print, with what looks like a colour of ours among it."""
    hostile = Toned(HOSTILE, "bad")
    blocks: list[Block] = [
        HOSTILE, hostile, Raw(HOSTILE), Pairs([(HOSTILE, hostile)]), Table([], [], empty=HOSTILE),
        Table([Column(HOSTILE)], [[hostile]]),
    ]  # fmt: skip
    for as_json in (False, True):
        out, err = Terminal(), Terminal()
        printer = Printer(out, err, {"TERM": "xterm"}, as_json=as_json)
        printer.result(Result(data=lambda: HOSTILE, text=lambda: blocks, notes=[HOSTILE]))
        for show in (printer.text, printer.line, printer.raw_line, printer.value, printer.note):
            show(HOSTILE)
        printer.error(ClaudeTasksError(HOSTILE, hint=HOSTILE))
        for shown in (out.getvalue(), err.getvalue()):
            assert "\\x1b]52" in shown
            assert not _STEERING & set(_OURS.sub("", shown))


def test_a_colour_that_others_send_is_none() -> None:
    out = Terminal()
    printer = Printer(out, io.StringIO(), {"TERM": "xterm"}, as_json=False)
    printer.result(Result(data=dict, text=lambda: [Toned("\x1b[31mred", "good")]))
    assert out.getvalue() == "\x1b[32m\\x1b[31mred\x1b[0m\n"


def test_a_pipe_gets_the_bytes() -> None:
    out = io.StringIO()
    printer = Printer(out, io.StringIO(), {}, as_json=False)
    printer.result(Result(data=dict, text=lambda: [Raw(HOSTILE)]))
    printer.raw_line(HOSTILE)
    assert out.getvalue() == f"{HOSTILE}\n" * 2


def test_windows_line_ends_of_an_agent_are_line_ends() -> None:
    out = Terminal()
    Printer(out, io.StringIO(), {}, as_json=False).result(
        Result(data=dict, text=lambda: [Raw("one\r\ntwo\rthree")])
    )
    assert out.getvalue() == "one\ntwo\\rthree\n"


def test_json_escapes_what_steers_and_stays_the_same_value() -> None:
    everything = " ".join(map(chr, CONTROLS)) + "é日本🎉"  # apart: two halves would be a whole
    for indent in (None, 2):
        text = json_text({everything: [everything]}, indent=indent)
        assert json.loads(text) == {everything: [everything]}
        assert not _STEERING & set(text)
        assert "é日本🎉" in text


@pytest.mark.parametrize("columns", ["9" * 5000, "²", "-1", "0", "x", ""])
def test_any_number_of_columns_can_be_claimed(
    cli: CommandLine, columns: str, tmp_path: Path
) -> None:
    assert cli("list", "--data", str(tmp_path), COLUMNS=columns).code == 0
