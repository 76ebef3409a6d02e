"""The stand-in and the real CLI, through one table: they must show the same from outside."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.permission import remedy_for
from claude_tasks.execution.agent_environment import NO_SCHEDULING_VARIABLE
from claude_tasks.execution.command import NOT_UNATTENDED
from e2e.agents import (
    STREAM,
    Agent,
    Observed,
    Started,
    claude_environment,
    is_alive,
    run,
    run_case,
    until,
)
from e2e.cases import AS_ROOT, CASES, Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.messages_api import MessagesApi

BOTH = ("simulated", pytest.param("real", marks=pytest.mark.e2e_claude))


@pytest.fixture(params=BOTH)
def make_agent(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Agent]:
    """``make_agent(subscriber=False, environment=())``: the agent under test, ready to run."""
    if request.param == "simulated":
        path, api = request.getfixturevalue("simulated_claude"), None
    else:
        path = request.getfixturevalue("real_claude")
        api = request.getfixturevalue("messages_api")

    def make(*, subscriber: bool = False, environment: tuple[tuple[str, str], ...] = ()) -> Agent:
        home = tmp_path / "home"
        merged = claude_environment(api, home, subscriber=subscriber) | dict(environment)
        return Agent(path, {key: value for key, value in merged.items() if value}, home)

    return make


@pytest.fixture
def agent(make_agent: Callable[..., Agent]) -> Agent:
    return make_agent()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_run_shows_what_the_table_says(case: Case, make_agent: Callable[..., Agent]) -> None:
    if case.only_as_root and not AS_ROOT:
        pytest.skip("only root is refused")
    subject = make_agent(subscriber=case.subscriber, environment=case.environment)
    observed = run_case(subject, case)
    assert observed.exit_code == case.exit_code, observed
    assert re.search(case.stderr, observed.stderr, re.MULTILINE), observed
    assert re.search(case.stdout, observed.stdout, re.DOTALL), observed
    assert _first_missing(case.kinds, observed.kinds) is None, observed.kinds
    if case.fields is not None:
        assert observed.result is not None, observed
        _check_result(case, observed.result)


def _first_missing(wanted: tuple[str, ...], seen: list[str]) -> str | None:
    """The first of ``wanted`` that does not come after the ones before it."""
    rest = iter(seen)
    return next((kind for kind in wanted if kind not in rest), None)


def _check_result(case: Case, result: dict[str, Any]) -> None:
    fields = case.fields or {}
    assert {key: result.get(key, "absent") for key in fields} == fields
    assert [key for key in case.absent if key in result] == []
    assert re.search(case.result, result.get("result", "")), result
    assert len(result["permission_denials"]) == case.denials
    assert re.fullmatch(r"[0-9a-f-]{36}", result["session_id"])
    if case.cost:
        assert (result["total_cost_usd"] > 0) == (case.cost == "positive"), result


def test_init_comes_first_and_names_session_folder_and_mode(agent: Agent) -> None:
    flags = ("--output-format", "stream-json", "--verbose", "--permission-mode", "manual")
    observed = run(agent, "[case:success]", flags)
    first, last = observed.events[0], observed.events[-1]
    assert (first["type"], first["subtype"]) == ("system", "init")
    assert first["cwd"] == os.path.realpath(agent.folder)
    assert first["permissionMode"] == "default"
    assert first["session_id"] == last["session_id"]
    assert "Bash" in first["tools"]
    assert first["model"]
    assert first["claude_code_version"].startswith("2.")


def test_usage_of_the_result_adds_up_all_messages(agent: Agent) -> None:
    observed = run(agent, "[case:denied]")
    assert observed.result
    usage = observed.result["usage"]
    assert usage["input_tokens"] == 2400
    assert usage["output_tokens"] == 50
    assert usage["cache_read_input_tokens"] == 600
    assert usage["cache_creation_input_tokens"] == 80
    (per_model,) = observed.result["modelUsage"].values()
    assert per_model["inputTokens"] == 2400
    assert per_model["costUSD"] == pytest.approx(observed.result["total_cost_usd"])


def test_cost_is_cumulative_over_a_resumed_session(agent: Agent) -> None:
    first = run(agent, "[case:success]").result
    assert first
    flags = ("--output-format", "stream-json", "--verbose", "--resume", first["session_id"])
    second = run(agent, "[case:success]", flags).result
    assert second
    assert second["total_cost_usd"] == pytest.approx(2 * first["total_cost_usd"])


def test_a_denial_names_tool_and_input(agent: Agent) -> None:
    observed = run(agent, "[case:denied]")
    assert observed.result
    (denial,) = observed.result["permission_denials"]
    assert denial["tool_name"] == "Bash"
    assert denial["tool_input"]["command"] == "touch made-by-the-agent"


@pytest.mark.parametrize(
    ("prompt", "status"),
    [
        ("[case:usage_limit]", "rejected"),
        ("[case:usage_warning]", "allowed_warning"),
        ("[case:usage_warning utilization=0.4]", "allowed"),
    ],
)
def test_rate_limit_event_tells_window_and_reset(
    prompt: str, status: str, make_agent: Callable[..., Agent]
) -> None:
    observed = run(make_agent(subscriber=True), prompt)
    info = observed.first("rate_limit_event")["rate_limit_info"]
    window = info["unifiedWindows"]["five_hour"]
    assert info["status"] == window["status"] == status
    assert info["rateLimitType"] == "five_hour"
    assert isinstance(info["resetsAt"], int)
    assert info["resetsAt"] == window["resetsAt"]
    assert 0 < window["utilization"] <= 1


def test_an_api_error_marks_its_message_and_names_no_model(agent: Agent) -> None:
    observed = run(agent, "[case:api_error status=529]")
    event = observed.first("assistant")
    assert event["is_api_error_message"] is True
    assert event["api_error_status"] == 529
    assert event["error"] == "server_error"
    assert event["message"]["model"] == "<synthetic>"
    assert observed.result
    assert observed.result["api_error_type"] == "overloaded_error"
    assert observed.result["modelUsage"] == {}


def test_sigterm_while_it_waits_ends_it_with_143_and_no_result(agent: Agent) -> None:
    with Started(agent, "[case:slow seconds=30]") as started:
        started.wait_for(b'"init"')
        observed = started.end(signal.SIGTERM)
    assert (observed.exit_code, observed.result, observed.stderr) == (143, None, "")


def test_sigint_ends_it_with_0_though_nothing_succeeded(agent: Agent) -> None:
    with Started(agent, "[case:slow seconds=30]") as started:
        started.wait_for(b'"init"')
        observed = started.end(signal.SIGINT)
    assert observed.exit_code == 0
    # The real one prints an error result when it was interrupted early, and none later on.
    assert observed.result is None or observed.result["is_error"]
    assert "[Request interrupted by user]" in observed.stdout


def test_a_tool_runs_in_a_session_of_its_own_and_sigterm_ends_both(agent: Agent) -> None:
    with Started(agent, "[case:slow_tool seconds=7]", ("--allowedTools", "Bash")) as started:
        started.wait_for(b'"tool_use"')
        tool = started.tool()
        assert os.getsid(tool.pid) != os.getsid(started.process.pid)
        observed = started.end(signal.SIGTERM)
        until(lambda: not is_alive(tool))
    assert (observed.exit_code, observed.result) == (143, None)
    assert observed.kinds[-1] == "user"
    assert observed.events[-1]["message"]["content"][0]["content"] == "Exit code 137"


def test_sigkill_orphans_the_tool(agent: Agent) -> None:
    with Started(agent, "[case:slow_tool seconds=7]", ("--allowedTools", "Bash")) as started:
        started.wait_for(b'"tool_use"')
        tool = started.tool()
        observed = started.end(signal.SIGKILL)
        was_alive = is_alive(tool)
        tool.kill()
    assert was_alive
    assert (observed.exit_code, observed.result) == (-signal.SIGKILL, None)


def test_version_is_asked_without_a_prompt(agent: Agent) -> None:
    observed: Observed = run(agent, "", ("--version",))
    assert observed.exit_code == 0
    assert re.match(r"2\.1\.330 \(Claude Code[);]", observed.stdout)


def test_what_schedules_behind_our_back_is_taken_from_an_unattended_agent(
    make_agent: Callable[..., Agent],
) -> None:
    agent = make_agent(environment=((NO_SCHEDULING_VARIABLE, "1"),))
    refused = f"--disallowedTools={','.join(NOT_UNATTENDED)}"
    tools = run(agent, "[case:success]", (*STREAM, refused)).events[0]["tools"]
    assert "Bash" in tools
    assert [tool for tool in tools if tool.startswith("Cron") or tool in NOT_UNATTENDED] == []


@pytest.mark.e2e_claude
def test_the_tools_that_are_taken_away_are_called_so(
    real_claude: Path, messages_api: MessagesApi, tmp_path: Path
) -> None:
    environment = claude_environment(messages_api, tmp_path)
    tools = run(Agent(real_claude, environment, tmp_path), "[case:success]").events[0]["tools"]
    assert {*NOT_UNATTENDED, "CronCreate"} <= set(tools)


def _one_word(command: str) -> str:
    return command.replace(" ", "%20")


@pytest.mark.e2e_claude
@pytest.mark.parametrize(
    "command",
    [
        "FOO=1 make $HOME/x",
        "touch a && touch b | tee c",
        "cd sub && make",
        "touch OUTSIDE/a | tee OUTSIDE/b",
        "cd OUTSIDE && make",
    ],
)
def test_what_is_said_to_let_a_command_pass_does(
    real_claude: Path, messages_api: MessagesApi, tmp_path: Path, command: str
) -> None:
    agent = Agent(
        real_claude, claude_environment(messages_api, tmp_path / "home"), tmp_path / "home"
    )
    (agent.folder / "sub").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    asked = command.replace("OUTSIDE", str(outside))
    remedy = remedy_for(f"Bash({asked})", (str(agent.folder),))
    assert remedy is not None
    added = [word for folder in remedy.folders for word in ("--add-dir", folder)]
    flags = (*STREAM, f"--allowedTools={','.join(remedy.rules)}", *added)
    prompt = f"[case:denied command={_one_word(asked)}]"
    for given, denials in ((STREAM, 1), (flags, 0)):
        result = run(agent, prompt, given).result
        assert result is not None
        assert len(result["permission_denials"]) == denials


@pytest.mark.e2e_claude
@pytest.mark.parametrize(
    "command",
    ["cd sub && touch a", "for f in a b; do make $f; done", "touch .git/x", "FOO=1; make $FOO"],
)
def test_where_no_rule_is_offered_rules_for_the_pieces_would_not_do(
    real_claude: Path, messages_api: MessagesApi, tmp_path: Path, command: str
) -> None:
    agent = Agent(
        real_claude, claude_environment(messages_api, tmp_path / "home"), tmp_path / "home"
    )
    (agent.folder / "sub").mkdir()
    assert remedy_for(f"Bash({command})", (str(agent.folder),)) is None
    rules = ",".join(f"Bash({piece.strip()})" for piece in re.split("&&|;", command))
    prompt = f"[case:denied command={_one_word(command)}]"
    result = run(agent, prompt, (*STREAM, f"--allowedTools={rules}")).result
    assert result is not None
    assert len(result["permission_denials"]) == 1


@pytest.mark.e2e_claude
def test_the_loopback_api_is_all_the_real_one_talks_to(
    real_claude: Path, messages_api: MessagesApi, tmp_path: Path
) -> None:
    environment = claude_environment(messages_api, tmp_path)
    observed = run(Agent(real_claude, environment, tmp_path), "[case:denied]")
    assert observed.exit_code == 0
    assert messages_api.message_count == 2
    assert {path for path, _ in messages_api.requests} == {"/v1/messages"}
