"""Preflight with real processes: every run that usage stands in the way of says so, everywhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Reason, State
from cli.program import Program
from support.installation import EVERY_SECOND, SOURCE
from support.server import Server
from support.usage_endpoint import UsageEndpoint, log_in, windows
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.domain.run import Run
    from support.installation import Installation

FAR = "0 3 1 1 *"


@pytest.fixture
def endpoint() -> Iterator[UsageEndpoint]:
    made = UsageEndpoint()
    yield made
    made.close()


@pytest.fixture
def checked(installation: Installation, endpoint: UsageEndpoint) -> Installation:
    """An installation whose usage is checked, by somebody who is logged in."""
    installation.environment |= {
        "HOME": str(installation.folder),
        "CLAUDE_CONFIG_DIR": "",
        "CLAUDE_CODE_OAUTH_TOKEN": "",
        "CLAUDE_TASKS_DISABLE_USAGE_CHECK": "0",
        "CLAUDE_TASKS_USAGE_URL": endpoint.url,
        "CLAUDE_TASKS_USAGE_TIMEOUT": "2",
    }
    log_in(installation.folder)
    return installation


def command(installation: Installation, *argv: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "claude_tasks", *argv, "--json"],
        env={**installation.environment, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCE)},
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def agents_started(installation: Installation) -> list[str]:
    """Claims whose agent was started; asking the agent about usage leaves an empty line."""
    return installation.starts.read_text().split() if installation.starts.exists() else []


def ended(installation: Installation, task_id: int) -> Run:
    def look() -> Run | None:
        runs = [r for r in installation.runs() if r.task_id == task_id and r.state.is_terminal]
        return runs[-1] if runs else None

    run = wait_until(look, seconds=30, what=f"a run of task {task_id} ended")
    assert run is not None
    return run


def test_without_credentials_a_run_fails_at_once_and_is_seen_everywhere(
    checked: Installation,
) -> None:
    (checked.folder / ".claude" / ".credentials.json").unlink()
    server = Server(checked)
    task = server.add(working_dir=str(checked.folder))
    run_id = server.run(task["id"])
    shown = server.ended(run_id)
    assert (shown["status"], shown["state"], shown["reason"]) == ("failed", "failed", "preflight")
    assert "no credentials" in shown["error"]
    assert shown["started_at"]
    assert shown["ended_at"]
    record = json.loads(Path(shown["log_path"]).read_text())
    assert (record["reason"], record["error"]) == ("preflight", shown["error"])
    assert server.get(f"/tasks/{task['id']}/runs/latest")["error"] == shown["error"]
    assert command(checked, "runs", str(task["id"]))["runs"][0]["error"] == shown["error"]
    answer = server.client.get("/usage")
    assert answer.status_code == 503
    assert "no credentials" in answer.json()["error"]
    assert agents_started(checked) == []
    server.close()
    checked.check()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b"{}", "usage_unauthorized"),
        (429, b"{}", "usage_rate_limited"),
        (500, b"oops", "usage_http"),
        (200, b"<html>", "usage_garbage"),
    ],
)
def test_every_trouble_of_the_source_ends_in_a_named_reason(
    checked: Installation, endpoint: UsageEndpoint, status: int, body: bytes, code: str
) -> None:
    endpoint.status, endpoint.body = status, body
    task = checked.add(prompt="hello", scheduled_at=0)
    checked.start_leader()
    run = ended(checked, task.id)
    assert (run.state, run.reason) == (State.FAILED, Reason.PREFLIGHT)
    assert f"({code})" in (run.error or "")


def test_a_hanging_source_delays_no_tick(checked: Installation, endpoint: UsageEndpoint) -> None:
    endpoint.delay = 30
    checked.environment["CLAUDE_TASKS_USAGE_TIMEOUT"] = "14"
    checked.add(prompt="hello", cron_expr=EVERY_SECOND, overlap="allow")
    checked.start_leader()
    wait_until(lambda: endpoint.asked, what="the source is asked")
    asked_at = time.time_ns() // 1_000_000  # what was due before that waited for the node's start
    sql = "SELECT queued_at - scheduled_for FROM task_runs WHERE scheduled_for > ?"
    wait_until(
        lambda: len(checked.query(sql, asked_at)) >= 4, seconds=12, what="ticks are taken meanwhile"
    )
    assert max(late for (late,) in checked.query(sql, asked_at)) < 1000
    assert agents_started(checked) == []


def test_a_full_window_skips_with_both_windows_and_the_reset(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(50, 93)
    server = Server(checked)
    task = server.add(working_dir=str(checked.folder))
    shown = server.ended(server.run(task["id"]))
    assert (shown["status"], shown["state"]) == ("failed", "skipped")
    assert shown["reason"] == "usage_threshold"
    assert "7-day window is at the threshold of 80 %" in shown["error"]
    assert "5-hour 50 %, resets in" in shown["error"]
    usage = server.get("/usage")
    assert usage["seven_day"]["utilization"] == 93
    assert (usage["blocked_by"], usage["source"], usage["threshold"]) == ("seven_day", "oauth", 80)
    told = command(checked, "usage")
    assert (told["seven_day"], told["blocked_by"]) == (usage["seven_day"], "seven_day")
    assert server.client.put("/settings", json={"usage_threshold": 95}).status_code == 200
    assert server.ended(server.run(task["id"]))["state"] == "completed"
    server.close()


def test_a_deferred_run_says_so_and_starts_after_the_reset(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(99, 10, hours=4 / 3600)
    server = Server(checked)
    task = server.add(working_dir=str(checked.folder), on_usage_limit="defer")
    run_id = server.run(task["id"])

    def deferred() -> Any:
        run = server.get(f"/runs/{run_id}")
        return run if run["reason"] == "usage_threshold" else None

    waiting: Any = wait_until(deferred, what="the run is deferred")
    assert (waiting["state"], waiting["status"]) == ("queued", "pending")
    assert "deferred until" in waiting["error"]
    why = " ".join(line["text"] for line in server.get(f"/tasks/{task['id']}/why")["findings"])
    assert "usage" in why
    assert server.ended(run_id)["state"] == "completed"
    server.close()


def a_deferred_run(server: Server, installation: Installation, **fields: Any) -> int:
    """The id of a run that waits for a reset an hour from now."""
    task = server.add(working_dir=str(installation.folder), on_usage_limit="defer", **fields)
    run_id = server.run(task["id"])
    wait_until(lambda: server.get(f"/runs/{run_id}")["deferred_until"], what="it is deferred")
    return run_id


def test_a_deferred_run_is_seen_to_wait_wherever_one_looks(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(99, 10)
    checked.start_leader()
    task = checked.add(name="once", prompt="hello", scheduled_at=0)
    wait_until(lambda: checked.runs() and checked.runs()[0].deferred_until, what="it is deferred")
    until = command(checked, "list")["tasks"][0]["deferred_until"]
    assert command(checked, "show", str(task.id))["deferred_until"] == until
    program = Program(checked)
    listed = program("list").stdout
    assert "waits" in listed
    assert "deferred, " in listed
    assert "done" not in listed
    assert "a run waits until" in program("show", str(task.id)).stdout
    status = program("status").stdout
    assert "5-hour window is at the threshold of 80 %" in status.partition("Queued")[0]
    assert "usage, until the reset in " in status.partition("Queued")[2]
    checked.operations.tasks.disable(task.id)
    [run] = checked.wait_for_runs(1, State.SKIPPED)
    assert run.reason is Reason.DISABLED


def test_a_deferred_run_starts_as_soon_as_the_threshold_lets_it(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(90, 10)
    server = Server(checked)
    run_id = a_deferred_run(server, checked)
    assert server.client.put("/settings", json={"usage_threshold": 95}).status_code == 200
    assert server.ended(run_id)["state"] == "completed"
    server.close()


def test_a_deferred_run_starts_once_the_check_is_turned_off(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(90, 10)
    server = Server(checked)
    run_id = a_deferred_run(server, checked)
    assert server.stop() == 0
    checked.environment["CLAUDE_TASKS_DISABLE_USAGE_CHECK"] = "1"
    server = Server(checked)
    assert server.ended(run_id)["state"] == "completed"
    server.close()


def test_ctrl_c_ends_a_run_in_the_foreground_that_waits_for_a_reset(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(90, 10)
    checked.add(name="later", prompt="hello", cron_expr=FAR, on_usage_limit="defer")
    program = Program(checked)
    process = program.open("run", "later", "--wait")
    assert process.stderr is not None
    told = ""
    while "Run 1 waits. usage: " not in told:
        told = process.stderr.readline()
    assert "deferred until" in told
    process.send_signal(signal.SIGINT)
    assert (process.wait(timeout=20), process.communicate()[0]) == (130, "")
    program.close()
    assert checked.runs()[0].state is State.CANCELLED


def test_settings_defer_where_a_task_says_nothing(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(90, 10)
    checked.start_leader(CLAUDE_TASKS_ON_USAGE_LIMIT="defer")
    task = checked.add(prompt="hello", cron_expr=FAR)
    checked.operations.runs.start(task.id)
    wait_until(lambda: checked.runs()[0].deferred_until, what="it is deferred")
    assert checked.runs()[0].state is State.QUEUED


def test_a_reset_that_nobody_can_tell_of_does_not_lose_what_waited_for_it(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    checked.start_leader()
    task = checked.add(
        prompt="[case:usage_limit resets_in=3]", cron_expr=FAR, on_usage_limit="defer"
    )
    run = checked.operations.runs.start(task.id)
    waiting = wait_until(
        lambda: next((r for r in checked.runs() if r.deferred_until is not None), None),
        what="it waits for the reset",
    )
    assert waiting is not None
    _age_the_reading(checked, by_ms=30 * 60_000)  # as after hours of waiting
    endpoint.status, endpoint.headers = 500, {"retry-after": "1"}
    wait_until(
        lambda: "asked again at" in (checked.runs()[0].error or ""), what="it goes on waiting"
    )
    endpoint.status = 200
    _age_the_reading(checked, by_ms=0)  # the back-off is over, and
    checked.rewrite("UPDATE task_runs SET not_before = 0")  # the half minute has passed
    [done] = checked.wait_for_runs(1, State.COMPLETED)
    assert (done.id, done.session_id, done.resumes) == (run.id, waiting.session_id, 1)


def test_what_pays_for_one_process_says_nothing_to_another(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    endpoint.body = windows(10, 97)
    mine = Program(checked)
    mine.environment["ANTHROPIC_API_KEY"] = "sk-made-up"
    assert "billed by ANTHROPIC_API_KEY" in mine.json("usage")["source"]
    assert endpoint.asked == []
    checked.start_leader()
    task = checked.add(prompt="hello", cron_expr=FAR)
    checked.operations.runs.start(task.id)
    assert ended(checked, task.id).reason is Reason.USAGE_THRESHOLD
    assert mine.json("usage")["blocked_by"] is None


def test_whoever_looks_at_usage_has_it_asked_for(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    assert command(checked, "usage")["five_hour"]["utilization"] == 10
    assert len(endpoint.asked) == 1
    _age_the_reading(checked, by_ms=90_000)
    endpoint.body = windows(11, 20)
    server = Server(checked)
    assert server.get("/usage")["five_hour"]["utilization"] == 11
    server.close()


def test_a_source_that_hangs_keeps_neither_other_requests_nor_the_end_waiting(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    checked.environment["CLAUDE_TASKS_USAGE_TIMEOUT"] = "14"
    endpoint.delay = 60
    server = Server(checked)
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(server.client.get, "/usage") for _ in range(40)]
        wait_until(lambda: endpoint.asked, what="the source is asked")
        assert server.get("/doctor")["findings"]
        assert len(endpoint.asked) == 1
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=8) == 0
        for each in asked:
            each.exception()
    server.close()


def test_the_last_good_answer_serves_while_the_source_fails(
    checked: Installation, endpoint: UsageEndpoint
) -> None:
    checked.start_leader()
    task = checked.add(prompt="hello", scheduled_at=0)
    assert ended(checked, task.id).state is State.COMPLETED
    endpoint.status = 500
    checked.query("SELECT 1")
    _age_the_reading(checked, by_ms=5 * 60_000)
    later = checked.add(prompt="hello", scheduled_at=0)
    assert ended(checked, later.id).state is State.COMPLETED
    shown = command(checked, "usage")
    assert shown["age_seconds"] >= 300
    assert "usage_http" in shown["trouble"]
    _age_the_reading(checked, by_ms=15 * 60_000)
    last = checked.add(prompt="hello", scheduled_at=0)
    assert ended(checked, last.id).reason is Reason.PREFLIGHT


def _age_the_reading(installation: Installation, *, by_ms: int) -> None:
    installation.rewrite("UPDATE usage_snapshot SET read_at = read_at - ?", by_ms)
    installation.rewrite("UPDATE usage_snapshot SET failed_at = NULL, failure_code = NULL")


def test_a_new_token_counts_without_a_restart_and_the_one_off_is_not_lost(
    checked: Installation,
) -> None:
    log_in(checked.folder, expires_in=-1)
    checked.start_leader()
    task = checked.add(prompt="hello", scheduled_at=0)
    run = ended(checked, task.id)
    assert run.reason is Reason.PREFLIGHT
    assert "expired" in (run.error or "")
    again = wait_until(lambda: checked.operations.tasks.get(task.id).next_run_at, what="rearmed")
    assert again is not None
    log_in(checked.folder)
    now = "(julianday('now') - 2440587.5) * 86400000"
    sql = f"SELECT retry_at < CAST({now} AS INTEGER) FROM usage_snapshot"
    wait_until(lambda: checked.query(sql)[0][0], what="the failure is over")
    other = checked.add(prompt="hello", scheduled_at=0)
    wait_until(
        lambda: (
            any(r.state is State.COMPLETED for r in checked.runs() if r.task_id == other.id) or None
        ),
        seconds=30,
        what="the new token is used",
    )
    assert checked.operations.tasks.get(task.id).spec.enabled


def test_a_run_that_meets_the_limit_goes_on_in_its_session_after_the_reset(
    checked: Installation,
) -> None:
    checked.start_leader()
    task = checked.add(
        prompt="[case:usage_limit resets_in=2]", cron_expr=FAR, on_usage_limit="defer"
    )
    started = checked.operations.runs.start(task.id)
    [run] = checked.wait_for_runs(1, State.COMPLETED)
    assert (run.id, run.attempt, run.resumes) == (started.id, 2, 1)
    assert checked.starts.read_text().split() == [f"{run.id}.1", f"{run.id}.2"]
    assert run.session_id is not None
    checked.settle()
    checked.check()


def test_a_run_that_meets_the_limit_ends_with_that_reason_where_nothing_is_deferred(
    checked: Installation,
) -> None:
    checked.start_leader()
    task = checked.add(prompt="[case:usage_limit resets_in=2]", cron_expr=FAR)
    checked.operations.runs.start(task.id)
    [run] = checked.wait_for_runs(1, State.FAILED)
    assert run.reason is Reason.USAGE_LIMIT


def test_an_api_key_is_limited_by_no_window(checked: Installation, endpoint: UsageEndpoint) -> None:
    checked.environment["ANTHROPIC_API_KEY"] = "sk-made-up"
    (checked.folder / ".claude" / ".credentials.json").unlink()
    checked.start_leader()
    task = checked.add(prompt="hello", scheduled_at=0)
    assert ended(checked, task.id).state is State.COMPLETED
    assert endpoint.asked == []
