"""``token new``: the token alone on standard output, the advice beside it."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from claude_tasks.settings import Settings
from claude_tasks.tokens import Tokens, load_tokens
from unit.cli.command_line import CommandLine

if TYPE_CHECKING:
    from pathlib import Path

    from cli.program import Program


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "data")


def _tokens(cli: CommandLine) -> Tokens:
    return load_tokens(Settings(cli.environment["CLAUDE_TASKS_DATA"]))


def test_the_token_stands_alone_on_standard_output(program: Program) -> None:
    done = program("token", "new")
    assert done.returncode == 0
    settings = Settings(program.environment["CLAUDE_TASKS_DATA"])
    assert done.stdout == f"{load_tokens(settings).full}\n"
    assert stat.S_IMODE(os.stat(settings.folder.auth_token).st_mode) == 0o600
    assert settings.folder.auth_token in done.stderr
    assert "a serve that runs already knows it" in done.stderr
    assert "Authorization: Bearer" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_json_names_token_path_and_scope(cli: CommandLine) -> None:
    made = cli.good("token", "new", "--json").json
    assert made["token"] == _tokens(cli).full
    assert made["path"].endswith("/auth_token")
    assert made["scope"] == "full"


def test_a_read_only_token_has_a_file_of_its_own(cli: CommandLine) -> None:
    alone = cli.good("token", "new", "--read-only", "--json")
    assert alone.json["scope"] == "read"
    assert alone.json["path"].endswith("/read_token")
    assert "there is no full token" in alone.err
    full = cli.good("token", "new")
    assert _tokens(cli) == Tokens(full.out.strip(), alone.json["token"])
    again = cli.good("token", "new", "--read-only", "--replace")
    assert "there is no full token" not in again.err


def test_an_existing_token_stays_unless_replaced(cli: CommandLine) -> None:
    first = cli.good("token", "new").out.strip()
    refused = cli("token", "new", "--json")
    assert refused.code == 4
    assert refused.out == ""
    assert json.loads(refused.err)["code"] == "conflict"
    assert "--replace" in json.loads(refused.err)["hint"]
    assert _tokens(cli).full == first
    second = cli.good("token", "new", "--replace").out.strip()
    assert second != first
    assert _tokens(cli).full == second


def test_a_setting_that_wins_over_the_file_is_named(cli: CommandLine, tmp_path: Path) -> None:
    given = "in-the-environment-0123"
    outcome = cli("token", "new", CLAUDE_TASKS_AUTH_TOKEN=given)
    assert outcome.code == 0
    assert "CLAUDE_TASKS_AUTH_TOKEN is set and wins" in outcome.err
    assert given not in outcome.err
    assert "is set and wins" not in cli.good("token", "new", "--replace").err
    (tmp_path / "data" / "config.toml").write_text(f'auth_token = "{given}"\n')
    assert "config.toml is set and wins" in cli.good("token", "new", "--replace").err


@pytest.mark.parametrize(("argv", "said"), [((), "are required: new"), (("show",), "one of: new")])
def test_anything_but_new_exits_2_and_lists_what_there_is(
    cli: CommandLine, tmp_path: Path, argv: tuple[str, ...], said: str
) -> None:
    outcome = cli("token", *argv)
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "data").exists()


def test_the_command_loads_no_web_server(program: Program) -> None:
    done = program("token", "new", python=("-X", "importtime"))
    assert "claude_tasks.tokens" in done.stderr
    assert not any(name in done.stderr for name in ("starlette", "msgspec", "claude_tasks.api"))
