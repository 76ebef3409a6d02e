from __future__ import annotations

import itertools
import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from claude_tasks import __version__
from claude_tasks.cli import exit_codes
from claude_tasks.cli.catalog import COMMANDS, GROUPS, PLAIN, STAYING
from claude_tasks.cli.main import load_command, parse
from claude_tasks.cli.scheduler_mode import mode_line, parse_scheduler_mode
from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SpawnError,
    StorageBusyError,
)

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
    lines = [line.partition("claude-tasks ")[2] for line in examples.strip().splitlines()]
    for line in lines:
        assert parse(_first_command(line)).command in (command, "export")


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


@pytest.mark.parametrize("text", ["true", "TRUE", "True", " true "])
def test_scheduler_mode_in_any_case(text: str) -> None:
    assert parse_scheduler_mode(text) is True
    assert parse_scheduler_mode(text.lower().replace("true", "FALSE")) is False


def test_unknown_scheduler_mode_lists_the_choices(cli: CommandLine) -> None:
    outcome = cli("daemon", "--scheduler=maybe")
    assert outcome.code == exit_codes.INVALID
    assert "one of: true, false" in outcome.err


def test_mode_line_leaves_out_what_is_not_known() -> None:
    assert mode_line("daemon", schedules=True, leader=None) == "Daemon scheduler: enabled"
    assert mode_line("tui", schedules=False, leader=None) == "Tui scheduler: disabled"
    line = mode_line("daemon", schedules=True, leader=True)
    assert line == "Daemon scheduler: enabled (leader=true)"
