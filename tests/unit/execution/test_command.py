"""The agent's command line: a pure function of the task; and where the agent is found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import SpawnError
from claude_tasks.execution import agent_binary
from claude_tasks.execution.agent_binary import find_agent_binary, find_node
from claude_tasks.execution.agent_environment import agent_environment, with_binary_folder
from claude_tasks.execution.command import agent_argv, unattended_environment
from support.builders import add_task
from support.clock import START

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.domain.ports import Store

BASE = ["claude", "-p", "--output-format", "stream-json", "--verbose"]
UNATTENDED = "ScheduleWakeup,SendMessage"


@pytest.fixture
def argv(store: Store) -> Any:
    def build(**fields: Any) -> list[str]:
        return agent_argv("claude", add_task(store, at=START, **fields))

    return build


def test_a_plain_task_asks_for_a_stream_and_nothing_else(argv: Any) -> None:
    assert argv() == [*BASE, f"--disallowedTools={UNATTENDED}"]


def test_every_field_becomes_its_flag(argv: Any) -> None:
    assert argv(
        model="opus",
        permission_mode="acceptEdits",
        allowed_tools=("Bash(git log:*)", "Read"),
        disallowed_tools=("WebFetch",),
        max_turns=5,
        max_budget_usd=2.5,
        append_system_prompt="Be brief.",
        extra_args=("--add-dir", "/srv"),
    ) == [
        *BASE,
        "--model",
        "opus",
        "--permission-mode",
        "acceptEdits",
        "--allowedTools=Bash(git log:*),Read",
        f"--disallowedTools=WebFetch,{UNATTENDED}",
        "--max-turns",
        "5",
        "--max-budget-usd",
        "2.5",
        "--append-system-prompt",
        "Be brief.",
        "--add-dir",
        "/srv",
    ]


def test_the_prompt_is_not_on_the_command_line(argv: Any) -> None:
    assert not [word for word in argv(prompt="--version secret") if "secret" in word]


def test_a_value_that_looks_like_a_flag_stays_a_value(argv: Any) -> None:
    assert "--append-system-prompt=--model evil" in argv(append_system_prompt="--model evil")


@pytest.mark.parametrize(
    ("budget", "text"),
    [(12.345678, "12.345678"), (123456.78, "123456.78"), (0.0000019, "0.0000019"), (2.0, "2")],
)
def test_a_budget_is_neither_rounded_nor_written_in_powers_of_ten(
    argv: Any, budget: float, text: str
) -> None:
    assert argv(max_budget_usd=budget)[-1] == text


def test_a_session_is_resumed_by_its_id(store: Store) -> None:
    task = add_task(store, at=START)
    assert agent_argv("claude", task, resume_session="s")[5:7] == ["--resume", "s"]


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({}, UNATTENDED),
        ({"extra_args": ("--disallowedTools", "ScheduleWakeup CronList")}, UNATTENDED),
        ({"extra_args": ("--disallowed-tools=CronCreate,SendMessage",)}, UNATTENDED),
        ({"extra_args": ("--append-system-prompt", "CronCreate")}, UNATTENDED),
        ({"extra_args": ("--append-system-prompt", "--allowedTools=CronCreate")}, UNATTENDED),
        ({"extra_args": ("--allowedTools", "Bash(CronCreate SendMessage)")}, UNATTENDED),
        ({"extra_args": ("--", "--allowedTools", "CronCreate")}, UNATTENDED),
        ({"disallowed_tools": ("CronCreate",)}, f"CronCreate,{UNATTENDED}"),
    ],
)
def test_naming_a_tool_that_schedules_runs_does_not_allow_it(
    store: Store, argv: Any, fields: dict[str, Any], refused: str
) -> None:
    assert f"--disallowedTools={refused}" in argv(**fields)
    added = unattended_environment(add_task(store, at=START, **fields))
    assert added == {"CLAUDE_CODE_DISABLE_CRON": "1"}


@pytest.mark.parametrize(
    "fields",
    [
        {"allowed_tools": ("CronCreate", "ScheduleWakeup", "SendMessage")},
        {"extra_args": ("--allowedTools", "CronCreate ScheduleWakeup", "SendMessage")},
        {"extra_args": ("--allowed-tools=Bash(a b),CronList,ScheduleWakeup SendMessage",)},
        {"extra_args": ("--tools", "CronDelete(x),ScheduleWakeup,SendMessage", "--ide")},
    ],
)
def test_a_task_may_allow_its_agent_to_schedule_runs(
    store: Store, argv: Any, fields: dict[str, Any]
) -> None:
    assert not [word for word in argv(**fields) if word.startswith("--disallowedTools")]
    assert unattended_environment(add_task(store, at=START, **fields)) == {}


def test_no_agent_inherits_what_its_task_decides() -> None:
    around = {"CLAUDE_CODE_DISABLE_CRON": "1", "CLAUDECODE": "1", "HOME": "/h"}
    assert agent_environment(around) == {"HOME": "/h"}


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_setting_wins(tmp_path: Path) -> None:
    chosen = executable(tmp_path / "mine")
    assert find_agent_binary(str(chosen)) == str(chosen)


def test_then_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = executable(tmp_path / "bin" / "claude")
    monkeypatch.setenv("PATH", str(found.parent))
    assert find_agent_binary(None) == str(found)


def test_then_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under launchd, cron and systemd the PATH is bare."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = executable(tmp_path / ".nvm/versions/node/v20.1.0/bin/claude")
    only_below_home(monkeypatch)
    assert find_agent_binary(None) == str(found)


def only_below_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has installed."""
    places = [place for place in agent_binary._USUAL_PLACES if place.startswith("~")]
    monkeypatch.setattr(agent_binary, "_USUAL_PLACES", places)


@pytest.mark.parametrize(
    "place",
    [
        ".nvm/versions/node/{}/bin",
        ".local/share/fnm/node-versions/{}/installation/bin",
        ".asdf/installs/nodejs/{}/bin",
        ".local/share/mise/installs/node/{}/bin",
    ],
)
def test_of_several_versions_the_newest_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path))
    only_below_home(monkeypatch)
    oldest_first = ["lts", "v0.12.18", "v9.11.2", "v22.9.0", "v22.10.0-rc.1", "v22.10.0"]
    (tmp_path / place.format("v24.0.0")).mkdir(parents=True)  # it has no claude
    for version in oldest_first:
        found = executable(tmp_path / place.format(version) / "claude")
        assert find_agent_binary(None) == str(found)
    node = executable(tmp_path / place.format("v24.0.0") / "node")
    assert find_node() == str(node)


@pytest.mark.parametrize("name", ["a[b]", "a*", "a?", "[!x]*"])
def test_a_home_with_the_name_of_a_pattern_finds_its_own_claude(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / name))
    only_below_home(monkeypatch)
    place = ".nvm/versions/node/{}/bin/claude"
    for other in ("ab", "a1"):
        executable(tmp_path / other / place.format("v99.0.0"))
    for version in ("v9.11.2", "v22.9.0"):
        found = executable(tmp_path / name / place.format(version))
        assert find_agent_binary(None) == str(found)


def test_what_lies_beside_the_agent_is_on_its_path(tmp_path: Path) -> None:
    claude = str(executable(tmp_path / "bin" / "claude"))
    folder = str(tmp_path / "bin")
    assert with_binary_folder({"PATH": "/usr/bin", "A": "b"}, claude) == {
        "PATH": f"{folder}:/usr/bin",
        "A": "b",
    }
    for unset in ({}, {"PATH": ""}):
        assert with_binary_folder(unset, claude)["PATH"] == f"{folder}:{os.defpath}"
    for given in (f"/usr/bin:{folder}", folder):
        assert with_binary_folder({"PATH": given}, claude)["PATH"] == given, "it keeps its place"


def test_links_lead_to_the_folder_that_has_a_node(tmp_path: Path) -> None:
    """As npm makes one, and somebody another to it; the script itself lies deep in its package."""
    script = executable(tmp_path / "v22/lib/node_modules/claude-code/cli.js")
    executable(tmp_path / "v22/bin/node")
    (tmp_path / "v22/bin/claude").symlink_to("../lib/node_modules/claude-code/cli.js")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/claude").symlink_to(tmp_path / "v22/bin/claude")
    npm, mine = str(tmp_path / "v22/bin"), str(tmp_path / "mine")
    for agent, folders in (("v22/bin/claude", [npm]), ("mine/claude", [mine, npm])):
        path = with_binary_folder({"PATH": "/bin"}, str(tmp_path / agent))["PATH"]
        assert path.split(":") == [*folders, "/bin"]
        assert str(script.parent) not in path


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "claude").symlink_to(tmp_path / "claude")
    assert with_binary_folder({"PATH": "/bin"}, str(tmp_path / "claude"))["PATH"] == (
        f"{tmp_path}:/bin"
    )


def test_nowhere_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(agent_binary, "_USUAL_PLACES", ())
    with pytest.raises(SpawnError) as caught:
        find_agent_binary(None)
    assert "CLAUDE_TASKS_CLAUDE_BIN" in (caught.value.hint or "")


def test_a_setting_that_leads_nowhere_says_why(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="does not exist"):
        find_agent_binary(str(tmp_path / "gone"))
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(SpawnError, match="is not executable"):
        find_agent_binary(str(plain))
