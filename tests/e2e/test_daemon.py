"""Near-live: ``claude-tasks daemon`` fires on cron and records what the agent did.

The same cases go through the simulated agent (always) and the real Claude CLI against a loopback
API (``make e2e-claude``): the record must agree.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State
from e2e.agents import MADE_UP_KEY, claude_environment
from e2e.messages_api import MessagesApi
from support.installation import Installation
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.domain.run import Run


class Setting:
    """An installation whose daemon starts one of the two agents."""

    def __init__(self, installation: Installation, binary: Path, api: MessagesApi) -> None:
        self.installation = installation
        self.environment = {
            **claude_environment(api, installation.folder / "home", subscriber=False),
            "CLAUDE_TASKS_CLAUDE_BIN": str(binary),
            "CLAUDE_TASKS_DISABLE_USAGE_CHECK": "1",
        }
        del self.environment["PATH"]

    def start(self) -> None:
        self.installation.start_leader(**self.environment)

    def run(self, prompt: str, **fields: Any) -> Run:
        """One run of a one-off, from its tick to its end."""
        at = time.time_ns() // 1_000_000 + 200
        task = self.installation.add(prompt=prompt, scheduled_at=at, **fields)

        def ended() -> list[Run]:
            mine = [run for run in self.installation.runs() if run.task_id == task.id]
            return [run for run in mine if run.state.is_terminal]

        return wait_until(ended, seconds=60, what=f"the run of {prompt!r} ends")[0]


@pytest.fixture(
    params=["simulated", pytest.param("real", marks=pytest.mark.e2e_claude)],
)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    binary = request.getfixturevalue(f"{request.param}_claude")
    installation = Installation(tmp_path)
    with MessagesApi() as api:
        yield Setting(installation, binary, api)
        installation.close()


def test_a_recurring_task_fires_on_cron_and_is_recorded(setting: Setting) -> None:
    task = setting.installation.add(cron_expr="*/2 * * * * *", prompt="say hello", name="hourly")
    setting.start()
    runs = setting.installation.wait_for_runs(3, State.COMPLETED, seconds=60)
    setting.installation.settle()
    ticks = [run.scheduled_for for run in runs]
    assert all(tick is not None and tick % 2000 == 0 for tick in ticks)
    assert len(set(ticks)) == len(ticks)
    assert len({run.session_id for run in runs}) == len(runs)
    for run in runs:
        assert run.output
        assert run.exit_code == 0
        assert run.cost_usd is not None
        assert run.cost_usd > 0
        assert run.input_tokens
        assert run.output_tokens
        assert run.num_turns == 1
        assert run.log_path is not None
        record = json.loads(Path(run.log_path).read_text())
        assert (record["run_id"], record["task_id"]) == (run.id, task.id)
        assert record["session_id"] == run.session_id
        assert record["output"] == run.output
        events = Path(run.log_path).with_name(f"{run.id}.events.jsonl").read_text()
        kinds = [json.loads(line)["type"] for line in events.split("\n") if line]
        assert kinds[0] == "system"
        assert "result" in kinds
    setting.installation.check()


def test_a_background_command_is_waited_for_and_its_result_counts(setting: Setting) -> None:
    setting.environment["CLAUDE_TASKS_LINGER"] = "0.5"  # less than the command takes
    setting.start()
    run = setting.run("[case:background seconds=3]", allowed_tools=("Bash",))
    assert (run.state, run.reason, run.error) == (State.COMPLETED, None, None)
    assert run.num_turns == 1, "the last result is the second one's"
    assert run.duration_ms is not None
    assert run.duration_ms >= 3000
    setting.installation.check()


def test_a_session_that_is_gone_after_the_reset_is_begun_anew(setting: Setting) -> None:
    home = setting.installation.folder / "home"
    setting.environment["CLAUDE_TASKS_ON_USAGE_LIMIT"] = "defer"
    setting.environment["CLAUDE_TASKS_DISABLE_USAGE_CHECK"] = "0"
    setting.environment["ANTHROPIC_API_KEY"] = MADE_UP_KEY  # usage windows do not apply
    setting.start()
    soon = time.strftime("%FT%TZ", time.gmtime(time.time() + 4))
    prompt = f"[case:usage_text text=You've_hit_your_limit_·_resets_{soon}]"
    task = setting.installation.add(prompt=prompt, scheduled_at=time.time_ns() // 1_000_000 + 200)

    def waiting() -> list[Run]:
        runs = [run for run in setting.installation.runs() if run.task_id == task.id]
        return [run for run in runs if run.resume_of is not None]

    [run] = wait_until(waiting, seconds=60, what="the run waits for the reset")
    assert run.session_id == run.resume_of
    for kept in home.rglob(f"*{run.session_id}*"):
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    [ended] = setting.installation.wait_for_runs(1, State.FAILED, seconds=60)
    assert (ended.id, ended.attempt, ended.reason) == (run.id, 3, Reason.USAGE_LIMIT)
    assert "begun anew" in (ended.error or "")
    assert ended.session_id not in (None, run.session_id)
    setting.installation.check()


def test_a_network_that_is_away_is_tried_again_in_the_same_row(setting: Setting) -> None:
    setting.environment["CLAUDE_TASKS_RETRY_BACKOFF"] = "1"
    setting.start()
    task = setting.installation.add(cron_expr="* * * * * *", prompt="[case:unreachable]")

    def tried() -> list[Run]:
        return [run for run in setting.installation.runs() if run.attempt > 2]

    [run, *_] = wait_until(tried, seconds=60, what="a third attempt in the same row")
    assert (run.task_id, run.retries) == (task.id, 0)
    assert run.unreachable_since is not None
    assert "ECONNRESET" in (run.error or "")


@pytest.mark.parametrize(
    ("prompt", "fields", "state", "reason"),
    [
        ("[case:success]", {}, State.COMPLETED, None),
        ("[case:denied]", {}, State.COMPLETED, Reason.DENIED),
        ("[case:api_error status=401]", {}, State.FAILED, Reason.AGENT_ERROR),
        ("[case:api_error status=529]", {}, State.FAILED, Reason.AGENT_ERROR),
        ("[case:max_turns]", {"max_turns": 1}, State.FAILED, Reason.AGENT_ERROR),
        ("- --help\n[case:echo] -x", {}, State.COMPLETED, None),
        ("hello", {"extra_args": ("--no-such-flag",)}, State.FAILED, Reason.EXIT),
        ("[case:slow_tool seconds=7]", {"timeout_seconds": 3}, State.FAILED, Reason.TIMEOUT),
    ],
    ids=["success", "denied", "401", "529", "turns", "dash", "flag", "timeout"],
)
def test_what_is_recorded_is_the_same_for_both(
    setting: Setting,
    prompt: str,
    fields: dict[str, Any],
    state: State,
    reason: Reason | None,
) -> None:
    setting.start()
    run = setting.run(prompt, **fields)
    assert (run.state, run.reason) == (state, reason), run.error
    assert bool(run.permission_denials) is ("denied" in prompt)
    if "echo" in prompt:
        assert run.output.strip() == prompt
    if reason in (Reason.AGENT_ERROR, Reason.EXIT):
        assert run.exit_code == 1
        assert run.error
    setting.installation.check()
