"""How the stand-in is installed, chosen, counted and started: what its users build upon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import claude_tasks
from claude_tasks.standin import install
from claude_tasks.standin.directive import parse
from e2e.agents import STREAM, Agent, run

HEAVY = (
    "argparse",
    "asyncio",
    "dataclasses",
    "inspect",
    "logging",
    "pathlib",
    "subprocess",
    "typing",
    "uuid",
)


def test_install_writes_one_executable_and_may_be_repeated(tmp_path: Path) -> None:
    path = install(tmp_path / "new" / "it's a folder")
    assert install(path.parent) == path
    assert path.name == "claude"
    assert path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(path.parent) == ["claude"]


def test_the_wrapper_needs_nothing_from_the_environment(tmp_path: Path) -> None:
    answer = subprocess.run(
        [install(tmp_path), "--version"],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "2.1.330 (Claude Code; simulated agent)\n"


def test_it_runs_as_a_module_too(agent: Agent) -> None:
    package_parent = Path(claude_tasks.__file__).parent.parent
    answer = subprocess.run(
        [sys.executable, "-m", "claude_tasks.standin", "-p"],
        env=dict(agent.environment) | {"PYTHONPATH": str(package_parent)},
        input="hello",
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("Simulated answer")


def test_nothing_heavy_is_imported_by_a_run() -> None:
    package_parent = Path(claude_tasks.__file__).parent.parent
    program = (
        f"import sys; sys.path.insert(0, {str(package_parent)!r});"
        "from claude_tasks.standin.agent import main; main(['-p']);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program],
        input="[case:text]",
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines()[-1] == "[]"


def test_every_place_that_names_a_model_says_simulated(agent: Agent) -> None:
    observed = run(agent, "hello", (*STREAM, "--model", "sonnet"))
    assert observed.result
    names = [observed.events[0]["model"], observed.first("assistant")["message"]["model"]]
    names += list(observed.result["modelUsage"])
    assert names == ["simulated agent (sonnet)"] * 3
    assert "simulated agent" in observed.result["result"]


def test_a_start_leaves_one_line_with_pid_and_time(agent: Agent, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    for _ in range(2):
        run(agent, f"[case:exit code=7 leave_file={starts}]")
    lines = [line.split() for line in starts.read_text().splitlines()]
    assert len({pid for pid, _ in lines}) == 2
    assert int(lines[0][1]) < int(lines[1][1])


def test_every_start_is_counted_by_the_environment_even_a_refused_one(
    agent: Agent, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    counted = agent._replace(
        environment=dict(agent.environment) | {"CLAUDE_TASKS_STANDIN_STARTS": str(starts)}
    )
    run(counted, "hello")
    run(counted, "hello", ("--nonsense",))
    assert len(starts.read_text().splitlines()) == 2


@pytest.mark.parametrize("value", ["exit code=5", "[case:exit code=5]"])
def test_the_environment_chooses_the_case_unless_the_prompt_does(value: str, agent: Agent) -> None:
    chosen = agent._replace(
        environment=dict(agent.environment) | {"CLAUDE_TASKS_STANDIN_CASE": value}
    )
    assert run(chosen, "hello").exit_code == 5
    assert run(chosen, "[case:success]").exit_code == 0


def test_an_unknown_case_is_refused_with_the_list_of_cases(agent: Agent) -> None:
    observed = run(agent, "[case:nonsense]")
    assert observed.exit_code == 1
    assert "no simulated case 'nonsense'; there are: api_error" in observed.stderr


@pytest.mark.parametrize("case", ["bad_flag", "session_in_use", "unknown_session"])
def test_refusals_can_be_had_by_directive(case: str, agent: Agent) -> None:
    observed = run(agent, f"[case:{case}]")
    assert observed.exit_code == 1
    assert observed.stderr


def test_argv_cwd_and_environment_are_reported(agent: Agent) -> None:
    reported = run(agent, "[case:argv]").result
    assert reported
    assert json.loads(reported["result"]) == ["-p", *STREAM]
    reported = run(agent, "[case:cwd]").result
    assert reported
    assert reported["result"] == os.path.realpath(agent.folder)
    reported = run(agent, "[case:env name=TZ]").result
    assert reported
    assert reported["result"] == "UTC"


def test_without_a_sessions_folder_nothing_is_remembered_or_written(agent: Agent) -> None:
    environment = dict(agent.environment)
    del environment["CLAUDE_TASKS_STANDIN_SESSIONS"]
    forgetful = agent._replace(environment=environment)
    session = "6f1f3c3e-5a53-4d0e-9f1e-0a4d4c5b7a01"
    for flag in ("--session-id", "--session-id", "--resume"):
        assert run(forgetful, "hello", (*STREAM, flag, session)).exit_code == 0
    assert sorted(os.listdir(agent.home)) == ["tmp", "work"]


def test_a_fork_of_a_session_gets_an_id_of_its_own(agent: Agent) -> None:
    first = run(agent, "hello").result
    assert first
    flags = (*STREAM, "--resume", first["session_id"], "--fork-session")
    fork = run(agent, "hello", flags).result
    assert fork
    assert fork["session_id"] != first["session_id"]
    assert fork["total_cost_usd"] > first["total_cost_usd"]


def test_control_request_for_usage_is_answered_without_a_run(agent: Agent) -> None:
    request = {"type": "control_request", "request_id": "r1", "request": {"subtype": "get_usage"}}
    flags = (*STREAM, "--input-format", "stream-json")
    observed = run(agent, json.dumps(request) + "\n", flags)
    assert observed.exit_code == 0
    (event,) = observed.events
    assert event["response"]["request_id"] == "r1"
    assert event["response"]["response"]["rate_limits_available"] is False


def test_the_classic_order_puts_the_type_first(agent: Agent) -> None:
    late = run(agent, "[case:success]").stdout.split("\n")[-2]
    early = run(agent, "[case:success order=classic]").stdout.split("\n")[-2]
    assert not late.startswith('{"type"')
    assert early.startswith('{"type":"result","subtype":"success"')


def test_the_reset_time_of_a_usage_limit_can_be_chosen(agent: Agent) -> None:
    observed = run(agent, "[case:usage_limit resets_at=1800000000]")
    info = observed.first("rate_limit_event")["rate_limit_info"]
    assert info["resetsAt"] == 1_800_000_000
    assert observed.result
    assert observed.result["result"] == "You've hit your 5-hour limit · resets 8am (UTC)"


def test_the_last_directive_of_a_prompt_counts() -> None:
    directive = parse("[case:slow seconds=1] and [case:echo x=1 flag]")
    assert directive
    assert (directive.name, directive.options) == ("echo", {"x": "1", "flag": ""})
    assert directive.number("x", 5) == 1
    assert directive.number("y", 5) == 5


def test_a_prompt_without_directive_has_none() -> None:
    assert parse("plain [case] words [case:]") is None
