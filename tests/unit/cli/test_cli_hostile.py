"""Hostile words for every flag of every command, which the parsers themselves name."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.cli import main
from claude_tasks.cli.catalog import COMMANDS, STAYING
from claude_tasks.cli.main import load_command
from claude_tasks.domain.errors import ConfigurationError, InvalidInputError
from claude_tasks.settings import load_settings

if TYPE_CHECKING:
    from argparse import Action
    from pathlib import Path

    from unit.cli.command_line import CommandLine

_NUMBERS = ("-1", "9" * 400, "1" * 5000, "1e300", "inf", "nan", "²")
_WORDS = ("--", "", " ", "\0", "\udcff", "\x1b[2J", "a\nb", "\x9b", "-", "--json", *_NUMBERS)
_FEW = ("--", "", "\0", "\udcff", "a\nb")
"""For flags that every command has, and for those that take no value."""
_REFUSED_EVERYWHERE = ("--", "", " ", "\0", "\udcff")
_TAKEN = {("--host", ""), ("--host", " ")}
"""No host is every address."""
_NEEDED = {
    "add": ("n", "p", "--every", "1d"), "edit": ("1",), "notify": ("test",), "token": ("new",),
    "import": ("-",), "next": ("--cron", "@daily"), **dict.fromkeys(
        ("show", "rm", "restore", "enable", "disable", "run", "cancel", "logs", "why"), ("1",)
    ),
}  # fmt: skip
"""What a command wants besides the flag that is tried."""
_WITHOUT = {"--prompt": "p", "--prompt-file": "p", "--cron": "1", "--task": "1"}
"""A flag in the place of a word."""
_SCHEDULES = ("--cron", "--every", "--at")
_ONLY_PARSED = (STAYING | {"tui"}) - {"cancel", "logs"}
"""With good words they would stay."""
_TRACES = {
    "--prompt": "prompt", "--model": "model", "--tag": "tags", "--name": "name",
    "--append-system-prompt": "append_system_prompt", "--allow-tool": "allowed_tools",
    "--deny-tool": "disallowed_tools",
}  # fmt: skip
"""Fields that hold a value as it was said."""


_TRIED = [command for command in COMMANDS if command not in ("help", "version")]


def _actions(command: str) -> list[Action]:
    parser, _ = load_command(command)
    return parser._actions


def _takes_value(command: str, flag: str) -> bool:
    return any(flag in it.option_strings and it.nargs is None for it in _actions(command))


def _line(command: str, flag: str, value: str) -> list[str]:
    words = list(_NEEDED.get(command, ()))
    if _WITHOUT.get(flag) in words and command != "next":
        words.remove(_WITHOUT[flag])
    if flag in _SCHEDULES:
        words = [word for word in words if word not in ("--every", "1d", "--cron", "@daily")]
    return [command, *words, f"{flag}={value}"]


@pytest.fixture
def hostile(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    """One task; relative paths end in a throw-away folder; no usage source and no agent."""
    monkeypatch.chdir(tmp_path)
    cli.environment |= {"HOME": str(tmp_path), "CLAUDE_TASKS_CLAUDE_BIN": "/bin/false"}
    cli.good("add", "t", "p", "--every", "1d")
    return cli


def _outcome(cli: CommandLine, argv: list[str]) -> tuple[int, str]:
    """Exit code and what was said; of commands that would stay only whether it is understood."""
    if argv[0] not in _ONLY_PARSED:
        outcome = cli(*argv, stdin="p")
        return outcome.code, outcome.err
    try:
        asked = main.parse(argv)
        given: Any = asked.arguments
        names = ("data", "host", "port")
        flags = {name: getattr(given, name) for name in names if hasattr(given, name)}
        load_settings(cli.environment, flags)
    except (InvalidInputError, ConfigurationError) as error:
        return 2, error.message
    return 0, ""


@pytest.mark.parametrize("command", _TRIED)
def test_a_flag_takes_what_makes_sense_and_says_what_does_not(
    hostile: CommandLine, command: str
) -> None:
    for flag in (it.option_strings[-1] for it in _actions(command) if it.option_strings):
        takes = _takes_value(command, flag)
        for value in _WORDS if takes and flag != "--data" else _FEW:
            code, said = _outcome(hostile, _line(command, flag, value))
            assert code in range(5 if flag not in ("--data", "--output") else 6), (value, said)
            if (value in _REFUSED_EVERYWHERE or not takes) and (flag, value) not in _TAKEN:
                assert code == 2, (value, said)
                assert flag in said
            if code == 0 and flag in _TRACES and command in ("add", "edit"):
                field = _TRACES[flag]
                kept = hostile(*_line(command, flag, value), "--json").json[field]
                assert kept in (value, [value])


def test_a_word_that_nobody_expects_is_no_traceback(hostile: CommandLine) -> None:
    for command in (it for it in _TRIED if it not in _ONLY_PARSED):
        for value in ("\udcff", "\x1b[2J", "9" * 400, "1" * 5000, "-1"):
            for argv in ([command, "--", value], [command, "1", value]):
                outcome = hostile(*argv, stdin="p")
                assert outcome.code in range(5), (argv, outcome.err)


@pytest.mark.parametrize("word", ["\udcff", "\0", "x\udcff"])
def test_words_for_the_agent_are_text_too(hostile: CommandLine, word: str) -> None:
    assert hostile("add", "x", "y", "--now", "--", word).code == 2


def test_a_tag_or_a_tool_is_one_line_that_says_something(hostile: CommandLine) -> None:
    for flag in ("--tag", "--allow-tool", "--deny-tool", "--model"):
        for value in ("a\nb", "\x1b[2J", "\x9b", "a\u2028b"):
            outcome = hostile("add", "x", "y", "--now", flag, value)
            assert outcome.code == 2
            assert "control characters" in outcome.err


def test_a_task_kept_with_less_stays_editable(hostile: CommandLine) -> None:
    import sqlite3  # noqa: PLC0415 (here alone)

    file = sqlite3.connect(f"{hostile.environment['CLAUDE_TASKS_DATA']}/tasks.db")
    file.execute("UPDATE tasks SET tags = ?", [json.dumps(["", "a\nb"])])
    file.commit()
    file.close()
    hostile.good("edit", "1", "--prompt", "another")


def test_standard_input_that_is_no_text_is_refused(hostile: CommandLine) -> None:
    for argv in (
        ["add", "x", "-", "--now"],
        ["import", "-"],
        ["add", "x", "--prompt-file", "-", "--now"],
    ):
        err = io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")
        code = main.run(argv, hostile.environment, stdin=stdin, stdout=io.StringIO(), stderr=err)
        assert code == 2
        assert "standard input: not UTF-8 text" in err.getvalue()


_LINES = [
    [it, *(("1",) if it == "next" else _NEEDED.get(it, ()))]
    for it in _TRIED
    if it not in _ONLY_PARSED
]


@pytest.fixture
def nowhere(hostile: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """In a folder that was removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    return hostile


def test_a_current_folder_that_is_gone_hinders_who_needs_none(nowhere: CommandLine) -> None:
    for argv in _LINES:
        outcome = nowhere(*argv, stdin='{"tasks": []}')
        assert ("current folder" in outcome.err) == (argv[0] == "add"), outcome.err
        assert "No such file" not in outcome.err
    nowhere.good("add", "x", "p", "--now", "--dir", "/tmp")
    for argv in (["add", "x", "p", "--now"], ["edit", "x", "--dir", "."]):
        outcome = nowhere(*argv)
        assert outcome.code == 2
        assert "give an absolute path with --dir" in outcome.err


def test_a_relative_data_folder_is_refused_where_it_is_relative_to_nothing(
    nowhere: CommandLine,
) -> None:
    for line in _LINES:
        argv = [*line, "--dir", "/tmp"] if line[0] == "add" else line
        outcome = nowhere(*argv, "--data", "here", stdin='{"tasks": []}')
        assert outcome.code == 2
        assert "--data: here is relative, and the current folder no longer exists" in outcome.err
        if argv[0] == "completion":
            continue  # it looks at nothing
        outcome = nowhere(*argv, stdin='{"tasks": []}', CLAUDE_TASKS_DATA="here")
        assert outcome.code == 2
        assert "CLAUDE_TASKS_DATA: here is relative" in outcome.err


def test_a_word_that_is_not_utf8_is_shown_as_its_bytes(hostile: CommandLine) -> None:
    err = hostile("add", "long " * 20 + os.fsdecode(b"na\xffme"), "Look.", "--every", "1h").err
    assert "long na\\xff': not UTF-8 text" in err


def test_a_data_folder_that_is_not_utf8_is_refused_by_every_command(
    hostile: CommandLine, tmp_path: Path
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(folder)
    for argv in _LINES:
        outcome = hostile(*argv, "--data", folder, stdin='{"tasks": []}')
        assert (outcome.code, "not UTF-8" in outcome.err) == (2, True)
        if argv[0] != "completion":
            outcome = hostile(*argv, stdin='{"tasks": []}', CLAUDE_TASKS_DATA=folder)
            assert (outcome.code, "not UTF-8" in outcome.err) == (2, True)
    assert os.listdir(folder) == []
