"""What the command line says to somebody who is lost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.cli.main import run
from claude_tasks.cli.process import program_name
from claude_tasks.cli.render import Printer
from claude_tasks.cli.results import Result
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.system.local_zone import local_zone
from claude_tasks.text.blocks import Pairs, Toned

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.command_line import CommandLine

_CRON = ("--cron", "0 2 * * *")


def _add(cli: CommandLine, name: str, *flags: str) -> Any:
    return cli.good("add", name, "do it", *(flags or _CRON), "--json").json


def test_name_of_digits_is_added_and_referred_to_by_id(cli: CommandLine) -> None:
    outcome = cli.good("add", "42", "do it", "--now")
    assert "refer to this one as 1" in outcome.err
    assert cli.good("show", "1", "--json").json["name"] == "42"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("delete", "rm"),
        ("remove", "rm"),
        ("ls", "list"),
        ("ps", "status"),
        ("pause", "disable"),
        ("unpause", "enable"),
        ("resume", "enable"),
        ("trigger", "run"),
    ],
)
def test_words_of_other_programs_lead_to_ours(cli: CommandLine, word: str, meant: str) -> None:
    assert f"did you mean {meant}?" in cli(word).err


@pytest.mark.parametrize("words", [("edit", "1", "x"), ("disable", "1"), ("run", "1"),
                                   ("next", "1"), ("rm", "gone")])  # fmt: skip
def test_deleted_task_hints_at_restore(cli: CommandLine, words: tuple[str, ...]) -> None:
    _add(cli, "gone")
    cli.good("rm", "gone")
    outcome = cli(*words)
    assert outcome.code == 3
    assert "restore 1" in outcome.err


def test_restore_prefers_the_deleted_task_of_that_name(cli: CommandLine) -> None:
    _add(cli, "n")
    cli.good("rm", "n")
    _add(cli, "n")
    assert cli.good("restore", "n", "--json").json["id"] == 1
    assert cli("restore", "1").code == 4
    for number in (1, 2):
        cli.good("rm", str(number))
    ambiguous = cli("restore", "n")
    assert ambiguous.code == 4
    assert "use an id: 2, 1" in ambiguous.err


def test_clear_takes_the_names_of_flags_and_of_fields(cli: CommandLine) -> None:
    _add(cli, "n", "--now", "--timeout", "1m", "--tag", "a", "--allow-tool", "Read", "--jitter=5s")
    words = ("--clear", "timeout", "--clear=--tag", "--clear", "allow-tool")
    view = cli.good("edit", "n", *words, "--clear", "jitter_seconds", "--json").json
    assert (view["timeout_seconds"], view["jitter_seconds"]) == (1800, 0)
    assert (view["tags"], view["allowed_tools"]) == ([], [])
    assert "timeout, overlap" in " ".join(cli.good("edit", "--help").out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--enabled", "--disabled"), "--enabled and --disabled"),
        (("--clear", "model", "--model", "opus"), "--model is set and cleared"),
        (("--clear", "dir"), "--dir"),
        (("--clear", "nothing"), "allow-tool"),
        (("--max-turns", "0"), "--max-turns must be between 1"),
        (("--timeout", "8d"), "--timeout must be between 1 and 604800 seconds"),
        (("--revision", "x"), "--revision: 'x' is not a whole number"),
        (("--notify-on", "never"), "--notify-on: 'never'"),
        (("--on-usage-limit", "wait"), "--on-usage-limit: 'wait'"),
    ],
)
def test_edit_refuses_and_names_the_flag(
    cli: CommandLine, words: tuple[str, ...], said: str
) -> None:
    _add(cli, "n")
    outcome = cli("edit", "n", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert cli.good("show", "n", "--json").json["revision"] == 1


def test_fields_without_a_flag_can_be_imported(cli: CommandLine) -> None:
    document = '{"tasks": [{"name": "a", "prompt": "p", "notify_on": "always"}]}'
    cli.good("import", "-", stdin=document)
    assert cli.good("show", "a", "--json").json["notify_on"] == "always"


@pytest.mark.parametrize("flags", [("--data", ""), ("--data=",), ("--data", " ")])
@pytest.mark.parametrize("command", ["list", "runs"])
def test_empty_data_folder_is_refused(
    cli: CommandLine, flags: tuple[str, ...], command: str
) -> None:
    outcome = cli(command, *flags)
    assert outcome.code == 2
    assert "--data: it is empty" in outcome.err


@pytest.mark.parametrize("command", ["add", "edit"])
def test_help_shows_defaults(cli: CommandLine, command: str) -> None:
    text = " ".join(cli.good(command, "--help").out.split())
    for default in ("skip", "latest", "30m", "1d"):
        assert f"(default: {default})" in text
    assert "--retries N after a transient failure (default: 0)" in text


def test_unknown_tz_is_said_once_and_known_ones_are_not(cli: CommandLine) -> None:
    outcome = cli("add", "n", "p", "--every", "5m", TZ="Europe/Berln")
    assert outcome.code == 0
    assert outcome.err.count("TZ=Europe/Berln") == 1
    assert "TZ=" not in cli("add", "m", "p", "--every", "5m", TZ="Europe/Berlin").err
    assert "TZ=" not in cli("add", "o", "p", "--now", "--tz", "UTC", TZ="Europe/Berln").err
    assert local_zone({"TZ": "Europe/Berln"}) == "UTC"


def test_hints_name_the_program_as_it_was_started(cli: CommandLine, tmp_path: Path) -> None:
    def said(**environment: str) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        run(
            ["status"], cli.environment | environment,
            stdin=io.StringIO(), stdout=out, stderr=err, program=".venv/bin/claude-tasks",
        )  # fmt: skip
        run(
            ["show", "nobody"], cli.environment | environment,
            stdin=io.StringIO(), stdout=out, stderr=err, program=".venv/bin/claude-tasks",
        )  # fmt: skip
        return out.getvalue(), err.getvalue()

    out, err = said(PATH=str(tmp_path))
    assert "start one with: .venv/bin/claude-tasks daemon" in out
    assert ": .venv/bin/claude-tasks list" in err
    (tmp_path / "claude-tasks").touch(mode=0o755)
    out, err = said(PATH=str(tmp_path))
    assert "start one with: claude-tasks daemon" in out
    assert ": claude-tasks list" in err


def test_program_is_named_so_that_it_can_be_typed() -> None:
    assert program_name(["/x/claude_tasks/__main__.py"], "/py") == "/py -m claude_tasks"
    assert program_name([".venv/bin/claude-tasks"], "/py") == ".venv/bin/claude-tasks"
    assert program_name(["/my dir/claude-tasks"], "/py") == "'/my dir/claude-tasks'"
    assert program_name(["claude-tasks"], "/py") == "claude-tasks"


def _printer(out: io.StringIO, program: str, *, data: str | None = None) -> Printer:
    printer = Printer(out, out, {}, as_json=False, program=program)
    printer.data = data
    return printer


def test_commands_are_called_as_the_program_was_started_and_prose_stays() -> None:
    hint = Hint("claude-tasks list in prose: ", Command("list"), " && ", Command("daemon"))
    printer = _printer(io.StringIO(), "./ct", data="/a b")
    said = "claude-tasks list in prose: ./ct --data '/a b' list && ./ct --data '/a b' daemon"
    assert printer.called(hint) == said
    assert printer.called(str(hint)) == hint
    assert printer.for_this_data(Command("list")) == "claude-tasks --data '/a b' list"


def test_pairs_and_notes_call_their_commands_and_keep_their_tone() -> None:
    out = io.StringIO()
    toned = Toned(Hint("start one: ", Command("daemon")), "bad")
    printer = _printer(out, "./ct")
    pairs = Pairs([("scheduler", toned)])
    printer.result(Result(data=dict, text=lambda: [pairs], notes=[Command("list")]))
    assert out.getvalue() == "  scheduler  start one: ./ct daemon\n./ct list\n"
    called = printer.called(toned)
    assert isinstance(called, Toned)
    assert called.tone == "bad"


def test_import_says_what_looks_like_a_duplicate_and_can_skip_it(cli: CommandLine) -> None:
    _add(cli, "a")
    _add(cli, "b")
    document = cli.good("export").out
    again = cli.good("import", "-", "--json", stdin=document)
    assert again.json["imported"] == 2
    assert "2 look like duplicates" in again.err
    skipping = cli.good("import", "-", "--skip-existing", "--json", stdin=document)
    assert (skipping.json["imported"], skipping.json["skipped"]) == (0, 2)
    assert "duplicate" not in skipping.err
    other = '{"tasks": [{"name": "c", "prompt": "p", "cron_expr": "0 2 * * *"}]}'
    assert "duplicate" not in cli.good("import", "-", stdin=other).err


def test_import_says_which_one_offs_are_past(cli: CommandLine) -> None:
    def said(when: str) -> str:
        task = f'{{"name": "once", "prompt": "p", "scheduled_at": "{when}"}}'
        return cli.good("import", "-", stdin=f'{{"tasks": [{task}]}}').err

    assert "the time of 'once' has passed" in said("2020-01-01T00:00:00Z")
    assert "has passed" not in said("2199-01-01T00:00:00Z")


def test_status_names_the_agent_or_what_is_wrong_with_it(cli: CommandLine, tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    assert f"! the claude binary {agent}" in cli("status", CLAUDE_TASKS_CLAUDE_BIN=str(agent)).out
    cli.good("add", "n", "p", "--now")
    why = cli("why", "n", CLAUDE_TASKS_CLAUDE_BIN=str(agent)).out
    assert "! agent" in why
    agent.touch(mode=0o755)
    lines = cli("status", CLAUDE_TASKS_CLAUDE_BIN=str(agent)).out.splitlines()
    assert ["agent", str(agent)] in [line.split() for line in lines]


def test_demo_with_a_missing_agent_fails_before_it_begins(cli: CommandLine) -> None:
    environment = {"AGENT": "claude", "CLAUDE_TASKS_CLAUDE_BIN": "/not/there"}
    outcome = cli("demo", **environment)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("/not/there") == 1
    assert "--agent simulated" in outcome.err
