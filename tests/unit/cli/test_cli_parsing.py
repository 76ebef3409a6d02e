from __future__ import annotations

import itertools
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks import __version__
from claude_tasks.cli import exit_codes
from claude_tasks.cli.catalog import COMMANDS, GROUPS, PLAIN, STAYING
from claude_tasks.cli.main import load_command, parse
from claude_tasks.cli.scheduler_mode import (
    CHOICE,
    SWITCH,
    Mode,
    mode_line,
    parse_mode,
    switch_line,
)
from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SpawnError,
    StorageBusyError,
)
from claude_tasks.domain.node import Role
from support.builders import node

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.command_line import CommandLine


def test_parsing_does_nothing_yet(tmp_path: Path) -> None:
    data = tmp_path / "data"
    invocation = parse(["--data", str(data), "add", "n", "p", "--every", "5m"])
    assert invocation.command == "add"
    assert invocation.arguments is not None
    assert invocation.arguments.data == str(data)
    assert not data.exists()


@pytest.mark.parametrize(
    "argv",
    [["--data", "X", "list"], ["--data=X", "list"], ["list", "--data", "X"], ["list", "--data=X"]],
)
def test_data_flag_stands_before_or_after_the_command(argv: list[str]) -> None:
    arguments = parse(argv).arguments
    assert arguments is not None
    assert arguments.data == "X"


def test_words_and_flags_come_in_any_order() -> None:
    for argv in (
        ["n", "p", "--every", "5m"],
        ["--every", "5m", "n", "p"],
        ["n", "--every=5m", "p"],
    ):
        arguments = parse(["add", *argv]).arguments
        assert arguments is not None
        assert (arguments.name, arguments.prompt_word, arguments.every) == ("n", "p", "5m")


def test_words_after_two_dashes_go_to_the_agent() -> None:
    arguments = parse(["add", "n", "p", "--now", "--", "--add-dir", "x", "--json"]).arguments
    assert arguments is not None
    assert arguments.extra_args == ("--add-dir", "x", "--json")
    assert not arguments.json


@pytest.mark.parametrize("command", PLAIN)
def test_the_short_way_of_reading_flags_says_what_argparse_says(command: str) -> None:
    parser, _ = load_command(command)
    for words in ([], ["--json"], ["--data", "X"], ["--data=X", "--json"]):
        assert vars(parse([command, *words]).arguments) | {"help": False} == vars(
            parser.read(words)
        )
    for words in (["--data"], ["--data", "--json"], ["--surplus"]):
        with pytest.raises(InvalidInputError):
            parse([command, *words])
    assert parse([command, "--help"]).help


def test_mistyped_command_gets_a_suggestion(cli: CommandLine) -> None:
    outcome = cli("lst")
    assert outcome.code == exit_codes.INVALID
    assert "did you mean list?" in outcome.err
    assert outcome.out == ""


def test_mistyped_flag_gets_a_suggestion(cli: CommandLine) -> None:
    outcome = cli("add", "n", "p", "--crn", "0 9 * * *")
    assert outcome.code == exit_codes.INVALID
    assert "add has no flag --crn" in outcome.err
    assert "--cron" in outcome.err


def test_flags_are_not_abbreviated(cli: CommandLine) -> None:
    assert cli("add", "n", "p", "--eve", "5m").code == exit_codes.INVALID


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["show"], "required: TASK"),
        (["list", "surplus"], "one word too many: 'surplus'"),
        (["runs", "--limit", "many"], "--limit: 'many' is not a whole number"),
        (["--jsn", "list"], "there is no flag --jsn"),
        (["add", "n", "p", "--every"], "--every: expected one argument"),
        (["add", "n", "p", "--timeout", "soon", "--now"], "--timeout: Invalid duration 'soon'"),
        (["help", "lst"], "there is no command lst"),
    ],
)
def test_usage_errors_exit_2_and_name_what_is_wrong(
    cli: CommandLine, argv: list[str], words: str
) -> None:
    outcome = cli(*argv)
    assert outcome.code == exit_codes.INVALID
    assert words in outcome.err


def test_error_is_an_object_with_json(cli: CommandLine) -> None:
    outcome = cli("show", "nobody", "--json")
    assert outcome.code == exit_codes.NOT_FOUND
    assert outcome.out == ""
    error = json.loads(outcome.err)
    assert error["code"] == "not_found"
    assert error["error"] == "Task not found"
    assert "claude-tasks list" in error["hint"]


def test_usage_error_is_an_object_too(cli: CommandLine) -> None:
    assert json.loads(cli("lst", "--json").err)["code"] == "usage"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(cli: CommandLine, command: str) -> None:
    text = cli.good("help", command).out
    if command != "help":
        assert f"usage: claude-tasks {command}" in text
        assert "examples:" in text
        assert cli.good(command, "--help").out == text


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "help"])
def test_examples_parse(command: str) -> None:
    _, module = load_command(command)
    examples = getattr(module, "EXAMPLES_OF", {}).get(command) or module.EXAMPLES
    for line in examples.strip().splitlines():
        parts = line.split("claude-tasks ")[1:]
        parsed = [parse(_first_command(part)).command for part in parts]
        assert command in parsed


def test_the_overview_begins_with_commands_that_can_do_their_work(cli: CommandLine) -> None:
    begin = cli.good().out.partition("begin:\n")[2].partition("\n\n")[0]
    lines = begin.replace("\\\n", "").strip().splitlines()
    parsed = [parse(_first_command(line.split("claude-tasks ")[1])) for line in lines]
    assert [each.command for each in parsed] == ["demo", "add", "daemon"]
    add: Any = parsed[1].arguments
    assert add.permission_mode == "acceptEdits"
    [tool] = add.allowed_tools
    assert tool.removeprefix("Bash(").removesuffix(")") in add.prompt_word


def _first_command(line: str) -> list[str]:
    """The words up to a pipe, a redirection or the end of a substitution."""
    lexer = shlex.shlex(line.partition(")'")[0], posix=True, punctuation_chars="|<>&;()")
    lexer.whitespace_split = True
    words = itertools.takewhile(lambda word: not set(word) <= set("|<>&;()"), lexer)
    return [word for word in words if word != "2"]


def test_overview_names_every_command_and_exit_code(cli: CommandLine) -> None:
    text = cli.good().out
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)
    for code in exit_codes.MEANINGS:
        assert re.search(rf"^  {code} ", text, re.MULTILINE)
    assert sorted(sum(GROUPS.values(), ())) == sorted(COMMANDS)
    assert set(COMMANDS) >= STAYING


def test_version_in_every_spelling(cli: CommandLine) -> None:
    for word in ("version", "--version", "-V"):
        assert cli.good(word).out == f"claude-tasks {__version__}\n"
    assert cli.good("version", "--json").json == {"version": __version__}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("x"), 2),
        (ConfigurationError("x"), 2),
        (NotFoundError("x"), 3),
        (ConflictError("x", code="revision_conflict"), 4),
        (StorageBusyError("x"), 5),
        (SpawnError("x"), 1),
    ],
)
def test_errors_have_their_exit_code(error: ClaudeTasksError, code: int) -> None:
    assert exit_codes.exit_code_of(error) == code


def test_unusable_data_folder_is_a_storage_error(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    outcome = cli("list", "--data", str(file / "data"))
    assert outcome.code == exit_codes.STORAGE
    assert str(file) in outcome.err


LEADER = node(role=Role.DAEMON, pid=123, host="host")


@pytest.mark.parametrize("words", [SWITCH, CHOICE], ids=["switch", "choice"])
def test_scheduler_mode_in_any_case(words: dict[str, Mode]) -> None:
    convert = parse_mode(words)
    for word, mode in words.items():
        for text in (word, word.upper(), word.title(), f" {word} "):
            assert convert(text) is mode


def test_every_mode_but_off_stands_for_the_lease() -> None:
    assert [mode for mode in Mode if not mode.schedules] == [Mode.OFF]
    assert (SWITCH["true"], SWITCH["false"]) == (Mode.ON, Mode.OFF)
    assert CHOICE == {"auto": Mode.AUTO, "off": Mode.OFF, "on": Mode.ON}


@pytest.mark.parametrize("value", ["maybe", "", "1", "yes", "tru", "true,false", "none"])
@pytest.mark.parametrize(
    ("command", "choices"),
    [
        (["daemon"], "true, false"),
        (["serve"], "true, false"),
        (["tui"], "auto, off, on"),
        ([], "auto, off, on"),
    ],
    ids=["daemon", "serve", "tui", "bare"],
)
def test_unknown_scheduler_mode_exits_2_and_lists_the_choices(
    cli: CommandLine, command: list[str], choices: str, value: str
) -> None:
    for words in ([f"--scheduler={value}"], ["--scheduler", value]):
        outcome = cli(*command, *words)
        assert outcome.code == exit_codes.INVALID
        assert f"--scheduler: {value!r}" in outcome.err
        assert f"one of: {choices}" in outcome.err
        assert outcome.out == ""
    error = json.loads(cli(*command, f"--scheduler={value}", "--json").err)
    assert (error["code"], error["hint"]) == ("usage", f"one of: {choices}")


def test_words_of_one_vocabulary_are_no_words_of_the_other(cli: CommandLine) -> None:
    for argv in (["daemon", "--scheduler=auto"], ["serve", "--scheduler=on"], ["--scheduler=true"]):
        assert cli(*argv).code == exit_codes.INVALID


@pytest.mark.parametrize(
    "argv",
    [
        ["--scheduler=Off"],
        ["--scheduler", "OFF"],
        ["--json", "--scheduler=off"],
        ["--data", "X", "--scheduler=off"],
        ["tui", "--scheduler=oFF"],
    ],
)
def test_the_bare_command_with_a_scheduler_mode_is_the_terminal_ui(argv: list[str]) -> None:
    invocation = parse(argv)
    assert invocation.command == "tui"
    assert invocation.arguments is not None
    assert invocation.arguments.scheduler is Mode.OFF


@pytest.mark.parametrize(
    ("command", "mode"), [("daemon", Mode.ON), ("serve", Mode.ON), ("tui", Mode.AUTO)]
)
def test_scheduler_mode_without_the_flag(command: str, mode: Mode) -> None:
    arguments = parse([command]).arguments
    assert arguments is not None
    assert arguments.scheduler is mode


@pytest.mark.parametrize(
    ("name", "mode", "leads", "line"),
    [
        ("Serve", Mode.ON, True, "Serve scheduler: enabled (leader=true)"),
        ("Daemon", Mode.OFF, False, "Daemon scheduler: disabled"),
        (
            "Daemon",
            Mode.ON,
            False,
            "Daemon scheduler: enabled (leader=false), leader is daemon pid 123 on host",
        ),
    ],
)
def test_line_of_a_daemon_or_server(name: str, mode: Mode, leads: bool, line: str) -> None:  # noqa: FBT001 (a parameter of the table)
    assert switch_line(name, mode, leads=leads, leader=None if leads else LEADER) == line


def test_line_of_a_daemon_that_follows_nobody() -> None:
    line = switch_line("Daemon", Mode.ON, leads=False, leader=None)
    assert line == "Daemon scheduler: enabled (leader=false)"


@pytest.mark.parametrize(
    ("mode", "leads", "line"),
    [
        (Mode.AUTO, False, "auto (follower; leader is daemon pid 123 on host)"),
        (Mode.AUTO, True, "auto (leader)"),
        (Mode.ON, False, "on (follower; leader is daemon pid 123 on host)"),
        (Mode.ON, True, "on (leader)"),
        (Mode.OFF, False, "off"),
    ],
)
def test_line_of_the_terminal_ui(mode: Mode, leads: bool, line: str) -> None:  # noqa: FBT001 (a parameter of the table)
    leader = None if leads else LEADER
    assert mode_line("TUI", mode, leads=leads, leader=leader) == f"TUI scheduler mode: {line}"


def test_line_of_a_terminal_ui_without_any_leader() -> None:
    line = mode_line("TUI", Mode.ON, leads=False, leader=None)
    assert line == "TUI scheduler mode: on (follower; no leader)"
