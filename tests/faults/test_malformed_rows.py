"""Rows that somebody else wrote: they stop their own task, visibly, and no other."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sqlite3
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.run import Reason, State
from support.installation import EVERY_SECOND
from support.profile import some
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.inbox import Inbox
    from support.installation import Installation

BROKEN = [
    "tags = 'no list'",
    "tags = '[1]'",
    "overlap = X'00'",
    "extra_args = '{'",
    "jitter_seconds = 'soon'",
    "timeout_seconds = 'long'",
    "cron_expr = 'what' || char(0) || 'ever'",
    "timezone = 'Nowhere/At_All'",
    "cursor_at = 'then'",
    "working_dir = '/x' || char(0) || '/y'",
    "prompt = X'ff00fe'",
    "permission_mode = X'ff'",
]


def test_tasks_whose_rows_make_no_sense_stop_no_other(installation: Installation) -> None:
    broken = {}
    for assignment in BROKEN:
        task = installation.add(name=assignment, cron_expr=EVERY_SECOND)
        broken[task.id, assignment] = installation.operations.runs.start(task.id)
    good = installation.add(name="good", cron_expr=EVERY_SECOND)
    with contextlib.closing(sqlite3.connect(installation.database)) as file, file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        for task_id, assignment in broken:
            file.execute(f"UPDATE tasks SET {assignment} WHERE id = ?", (task_id,))
    node = installation.start_leader()
    completed = "SELECT COUNT(*) FROM task_runs WHERE task_id = ? AND state = 'completed'"
    wait_until(lambda: installation.query(completed, good.id)[0][0] >= 2, what="the good one runs")
    open_runs = "SELECT COUNT(*) FROM task_runs WHERE id = ? AND state IN ('queued', 'running')"
    for (_, assignment), run in broken.items():
        wait_until(
            lambda run=run: installation.query(open_runs, run.id)[0][0] == 0,  # type: ignore[misc]
            what=f"the run of the task with {assignment} ends",
        )
    failed = installation.query("SELECT error FROM task_runs WHERE state = 'failed'")
    assert len(failed) >= len(BROKEN) // 2
    assert all(error for (error,) in failed), "each says what is wrong"
    assert node.poll() is None


def test_a_usage_reading_or_threshold_that_makes_no_sense_stops_nothing(
    installation: Installation,
) -> None:
    installation.environment["CLAUDE_TASKS_DISABLE_USAGE_CHECK"] = "0"
    installation.environment["ANTHROPIC_API_KEY"] = "pays by itself"
    installation.rewrite("UPDATE usage_snapshot SET windows = '[1', source = 'x', read_at = 1")
    installation.rewrite("INSERT INTO settings VALUES ('usage_threshold', 'half', 0)")
    installation.add(cron_expr=EVERY_SECOND)
    installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)


def test_a_tick_that_cannot_be_planned_leaves_its_reason(installation: Installation) -> None:
    broken = installation.add(name="broken", cron_expr=EVERY_SECOND)
    installation.rewrite("UPDATE tasks SET tags = 'no list' WHERE id = ?", broken.id)
    installation.start_leader()
    installation.wait_for_runs(1, State.SKIPPED)
    [skip] = installation.runs(State.SKIPPED)
    assert skip.reason is Reason.INVALID_SCHEDULE
    assert "its row cannot be read" in (skip.error or "")
    assert installation.query("SELECT next_run_at FROM tasks") == [(None,)]


BROKEN_RUNS = [
    "not_before = 'soon'",
    "not_before = X'00ff'",
    "trigger = 'nobody'",
    "cancel_reason = 'none'",
    "permission_denials = '[1'",
    "assigned_to = X'ff'",
    "assigned_to = CAST(X'ff61' AS TEXT)",
    "queued_at = 'x'",
]
"""Of a run that waits. All but the last, by which a claim is known, can be set right."""

BROKEN_TICKS = [
    "next_run_at = 'tomorrow'",
    "anchor_at = 9223372036854775807",
    "enabled = 'abc'",
    "deleted_at = 'x'",
]
"""Of a task whose tick is due."""


def test_runs_and_ticks_that_cannot_be_read_or_written_stop_no_other(
    installation: Installation,
) -> None:
    runs = {}
    for assignment in BROKEN_RUNS:
        task = installation.add(name=assignment, enabled=False)
        runs[installation.operations.runs.start(task.id).id] = assignment
    ticks = {
        installation.add(name=assignment, cron_expr="@every 2s").id: assignment
        for assignment in BROKEN_TICKS
    }
    good = installation.add(name="good", cron_expr=EVERY_SECOND)
    with contextlib.closing(sqlite3.connect(installation.database)) as file, file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        for table, broken in (("task_runs", runs), ("tasks", ticks)):
            for number, assignment in broken.items():
                file.execute(f"UPDATE {table} SET {assignment} WHERE id = ?", (number,))
    node = installation.start_leader()
    completed = "SELECT COUNT(*) FROM task_runs WHERE task_id = ? AND state = 'completed'"
    wait_until(lambda: installation.query(completed, good.id)[0][0] >= 4, what="the good one runs")
    for run_id, assignment in runs.items():
        [(state, error)] = installation.query(
            "SELECT state, error FROM task_runs WHERE id = ?", run_id
        )
        ends = ("failed", True) if assignment.startswith("queued_at") else ("completed", False)
        assert (state, bool(error)) == ends, assignment
    parked = "SELECT id FROM tasks WHERE next_run_at IS NULL AND name <> 'good'"
    wait_until(
        lambda: len(installation.query(parked)) == len(BROKEN_RUNS) + len(BROKEN_TICKS) - 1,
        what="each task whose tick cannot be written fires no more; one has no tick at all",
    )
    assert node.poll() is None
    assert "the engine failed" not in installation.log()


def test_a_run_that_cannot_be_read_does_not_keep_a_daemon_from_starting(
    installation: Installation,
) -> None:
    broken = installation.add(name="broken", enabled=False)
    run = installation.operations.runs.start(broken.id)
    installation.add(cron_expr=EVERY_SECOND)
    installation.rewrite(
        "UPDATE task_runs SET permission_denials = '[1', state = 'running', claim = 1, "
        "claimed_by = 'gone' WHERE id = ?",
        run.id,
    )
    node = installation.start_leader()
    wait_until(
        lambda: installation.query("SELECT 1 FROM task_runs WHERE state = 'completed'"),
        what="the other runs",
    )
    wait_until(lambda: "data folder" in installation.log(), what="its start is logged")
    assert node.poll() is None
    assert installation.operations.status.status().running == []


def test_running_rows_that_cannot_be_read_hold_no_place(installation: Installation) -> None:
    installation.environment["CLAUDE_TASKS_MAX_CONCURRENT_RUNS"] = "2"
    installation.add(cron_expr=EVERY_SECOND, overlap="allow")
    broken = installation.add(enabled=False)
    for claimed_by, denials in (
        ("'gone'", "'[1'"),
        ("NULL", "'[]'"),
        ("X'00ff'", "'[]'"),
        ("CAST(X'ff61' AS TEXT)", "'[]'"),
    ):
        installation.rewrite(
            "INSERT INTO task_runs (task_id, trigger, state, attempt, claim, claimed_by,"
            " not_before, queued_at, started_at, permission_denials)"
            f" VALUES (?, 'manual', 'running', 1, 1, {claimed_by}, 0, 1, 1, {denials})",
            broken.id,
        )
    installation.start_leader()
    installation.wait_for_runs(2, State.COMPLETED)
    ends = "SELECT state FROM task_runs WHERE task_id = ?"
    wait_until(  # their agents were never started
        lambda: installation.query(ends, broken.id) == [("completed",)] * 4,
        what="they were set right, went back in line, and ran",
    )


SPOILED_RUNS = [
    "state = 'odd'",
    "state = X'00'",
    "attempt = 'many'",
    "started_at = 'today'",
    "trigger = 'odd'",
    "reason = 'odd'",
    "not_before = X'01'",
    "output = X'ff'",
    "claimed_by = NULL",
    "claimed_by = X'00ff'",
    "claimed_by = CAST(X'ff61' AS TEXT)",
    f"permission_denials = '{'[' * 100_000}'",
]


def test_a_run_in_a_state_that_there_is_not_is_named_until_a_node_sets_it_right(
    installation: Installation,
) -> None:
    task = installation.add(enabled=False)
    run = installation.operations.runs.start(task.id)
    installation.rewrite("UPDATE task_runs SET state = 'odd'")
    finding = installation.finding("runs")
    assert f"run {run.id}: 'odd' is not a valid State; a node that starts" in finding.detail
    assert finding.fix == "claude-tasks daemon"
    installation.start_leader()
    [ended] = installation.wait_for_runs(1, State.FAILED)
    assert (ended.id, ended.reason, installation.starts.exists()) == (run.id, Reason.LOST, False)
    assert "cannot be read" not in installation.finding("runs").detail


@pytest.mark.parametrize(
    ("claim", "fault"), some(itertools.product([5, -1, 0], [None, signal.SIGKILL]), quick=2)
)
def test_a_run_whose_claim_is_another_starts_no_second_agent(
    installation: Installation, claim: int, fault: signal.Signals | None
) -> None:
    task = installation.add(enabled=False, prompt="[case:slow seconds=3]")
    node = installation.start_leader()
    run = installation.operations.runs.start(task.id)
    wait_until(installation.starts.exists, what="its agent started")
    installation.rewrite("UPDATE task_runs SET claim = ? WHERE id = ?", claim, run.id)
    if fault is not None:
        node.send_signal(fault)
        installation.start_leader()
    [lost] = installation.wait_for_runs(1, State.FAILED)
    assert lost.reason is Reason.LOST
    assert len(installation.starts.read_text().splitlines()) == 1


def test_a_claim_that_is_no_number_ends_once_its_agent_has(installation: Installation) -> None:
    task = installation.add(enabled=False, prompt="[case:slow seconds=4]")
    installation.start_leader()
    run = installation.operations.runs.start(task.id)
    supervisor = psutil.Process(installation.supervisor_pid(run))
    installation.rewrite("UPDATE task_runs SET claim = 'x' WHERE id = ?", run.id)
    installation.wait_for_runs(1, State.FAILED)
    assert not supervisor.is_running()


@pytest.mark.parametrize("fault", [None, signal.SIGKILL])
def test_runs_whose_rows_are_spoiled_under_way_end_as_their_agents_did(
    installation: Installation, fault: signal.Signals | None
) -> None:
    runs = {}
    node = installation.start_leader(CLAUDE_TASKS_MAX_CONCURRENT_RUNS="20")
    for assignment in SPOILED_RUNS:
        task = installation.add(enabled=False, prompt="[case:slow seconds=6]")
        runs[installation.operations.runs.start(task.id).id] = assignment
    wait_until(
        lambda: (
            installation.starts.exists()
            and len(installation.starts.read_text().splitlines()) == len(runs)
        ),
        what="their agents started",
    )
    for run_id, assignment in runs.items():
        installation.rewrite(f"UPDATE task_runs SET {assignment} WHERE id = ?", run_id)
    assert installation.runs(State.COMPLETED) == [], "each was spoiled under way"
    if fault is not None:
        node.send_signal(fault)
        installation.start_leader()
    installation.wait_for_runs(len(runs), State.COMPLETED)
    assert {run.claim for run in installation.runs()} == {1}
    assert all(run.cost_usd for run in installation.runs())
    installation.check()


def test_a_run_that_waits_for_a_node_that_cannot_be_starts(installation: Installation) -> None:
    task = installation.add(enabled=False)
    installation.operations.runs.start(task.id)
    installation.rewrite("UPDATE task_runs SET assigned_to = CAST(X'ff62' AS TEXT)")
    installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)


@pytest.mark.parametrize("change", ["DELETE FROM nodes", "UPDATE nodes SET started_at = 'x'"])
def test_a_leader_that_was_struck_from_the_registry_enters_itself_anew(
    installation: Installation, change: str
) -> None:
    node = installation.start_leader()
    installation.rewrite(change)
    wait_until(installation.operations.status.leader, what="its row is back")
    assert installation.operations.status.leader().pid == node.pid  # type: ignore[union-attr]
    assert node.poll() is None


def test_an_ended_row_that_makes_no_sense_keeps_no_message_of_others(
    installation: Installation, inbox: Inbox
) -> None:
    told = installation.add(
        enabled=False, prompt="[case:exit]", webhook_url=inbox.url("/told"), notify_on="always"
    )
    odd = installation.add(enabled=False, prompt="[case:denied]", notify_on="always")
    installation.start_leader()
    installation.operations.runs.start(odd.id)
    installation.wait_for_runs(1, State.COMPLETED)
    with contextlib.closing(sqlite3.connect(installation.database)) as file, file:
        file.execute("DROP TRIGGER task_runs_terminal_is_final")
        file.execute("UPDATE task_runs SET permission_denials = '[1'")
        file.execute("INSERT OR IGNORE INTO outbox SELECT id FROM task_runs")
        file.execute(
            "INSERT INTO task_runs (task_id, trigger, state, reason, attempt, claim, not_before,"
            " queued_at) VALUES (?, 'manual', 'zzz', 'what', 1, 1, 0, 1)",
            (odd.id,),
        )
    installation.operations.runs.start(odd.id)
    installation.operations.runs.start(told.id)
    wait_until(lambda: inbox.got, what="the message about the other task")
    wait_until(lambda: not installation.query("SELECT * FROM outbox"), what="all were looked at")


def test_a_list_shows_the_tasks_beside_one_that_cannot_be_read(installation: Installation) -> None:
    for name in ("one", "two", "three"):
        installation.add(name=name, enabled=False)
    installation.rewrite("UPDATE tasks SET on_usage_limit = '9007199254740993' WHERE name = 'two'")
    names = [summary.task.name for summary in installation.operations.tasks.list()]
    assert names == ["three", "one"]


CHANGED_LEASES = [
    "UPDATE scheduler_leases SET holder = X'00ff'",
    "UPDATE scheduler_leases SET holder = CAST(X'ff' AS TEXT)",
    "UPDATE scheduler_leases SET holder = 'a' || char(0) || '/../../b'",
    "UPDATE scheduler_leases SET epoch = 'zzz'",
    "UPDATE scheduler_leases SET epoch = 9223372036854775807",
    "DELETE FROM scheduler_leases",
    "UPDATE scheduler_leases SET holder = NULL",
    "UPDATE scheduler_leases SET holder = 'nobody'",
    "UPDATE scheduler_leases SET epoch = epoch + 7",
]
FOR_PEOPLE_ONLY = "UPDATE scheduler_leases SET host = X'00', pid = 'x', role = 'zzz'"


def test_a_leader_whose_lease_is_changed_leads_again_at_once_and_says_so_once(
    installation: Installation,
) -> None:
    """With the renewal minutes off: it alone would come too late for the runs waited for."""
    node = installation.start_leader(CLAUDE_TASKS_LEASE_TTL="300", CLAUDE_TASKS_LEASE_RENEW="200")
    installation.add(cron_expr=EVERY_SECOND)
    for change in [FOR_PEOPLE_ONLY, *CHANGED_LEASES]:
        before = len(installation.runs(State.COMPLETED))
        installation.rewrite(change)
        installation.wait_for_runs(before + 2, State.COMPLETED, seconds=10)
    assert node.poll() is None
    epochs = installation.query("SELECT lease_epoch FROM task_runs ORDER BY id")
    assert epochs == sorted(epochs)
    log = installation.log()
    assert log.count("the lease left epoch") <= len(CHANGED_LEASES)
    assert log.count("leadership lost") == len(CHANGED_LEASES)


def test_a_node_whose_id_is_no_name_is_no_path(installation: Installation) -> None:
    outside = installation.data / "outside.lock"
    outside.write_text("somebody else's")
    installation.add(cron_expr=EVERY_SECOND)
    for name in ("'../outside'", "'a' || char(0)", "CAST(X'ff' AS TEXT)", "printf('%.400c', 'x')"):
        installation.rewrite(
            "INSERT INTO nodes (id, role, host, pid, version, scheduler, started_at,"
            f" max_concurrent_runs) VALUES ({name}, 'daemon', 'h', 1, '1', 1, 1, 1)"
        )
        installation.rewrite(f"UPDATE scheduler_leases SET holder = {name}")
    node = installation.start_leader()
    installation.wait_for_runs(2, State.COMPLETED)
    assert outside.exists()
    assert node.poll() is None


def test_texts_that_are_no_utf_8_are_shown_and_stop_nothing(installation: Installation) -> None:
    odd = installation.add(name="odd", enabled=False)
    installation.add(name="good", cron_expr=EVERY_SECOND)
    installation.rewrite("UPDATE tasks SET name = CAST(X'ff6f6464' AS TEXT) WHERE id = ?", odd.id)
    installation.operations.runs.start(odd.id)
    installation.start_leader()
    installation.wait_for_runs(3, State.COMPLETED)
    names = [summary.task.name for summary in installation.operations.tasks.list()]
    assert sorted(names) == ["good", "\ufffdodd"]


@pytest.mark.parametrize("column", ["prompt", "model", "append_system_prompt"])
def test_no_agent_is_told_what_is_no_utf_8(installation: Installation, column: str) -> None:
    task = installation.add(enabled=False)
    installation.rewrite(f"UPDATE tasks SET {column} = CAST(X'ff61' AS TEXT) WHERE id = ?", task.id)
    own = installation.add(enabled=False, **{column: "their own \ufffd"})
    for each in (task, own):
        installation.operations.runs.start(each.id)
    installation.start_leader()
    [refused] = installation.wait_for_runs(1, State.FAILED)
    assert (refused.task_id, refused.reason) == (task.id, Reason.SPAWN)
    assert f"{column} is no UTF-8" in (refused.error or "")
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.task_id == own.id


def test_an_address_that_is_no_text_stops_no_other_task(installation: Installation) -> None:
    odd = installation.add(name="odd", cron_expr=EVERY_SECOND, slack_webhook="https://x.test/")
    good = installation.add(name="good", cron_expr=EVERY_SECOND)
    installation.rewrite("UPDATE task_addresses SET address = X'ff00' WHERE task_id = ?", odd.id)
    installation.start_leader()
    wait_until(
        lambda: [run for run in installation.runs(State.COMPLETED) if run.task_id == good.id],
        what="the good one runs",
    )
    [left_out] = installation.operations.tasks.left_out(installation.operations.tasks.list())
    assert 'task 1 "odd"' in left_out.message
    assert installation.operations.tasks.remove(odd.id) is None


def test_a_node_whose_row_makes_none_is_struck_and_its_runs_go_on(
    installation: Installation,
) -> None:
    task = installation.add(enabled=False)
    installation.rewrite(
        "INSERT INTO nodes (id, role, host, pid, version, scheduler, started_at,"
        " max_concurrent_runs) VALUES (CAST(X'ff61' AS TEXT), 'daemon', 'h', 1, '1', 1, 0, 1)"
    )
    installation.operations.runs.start(task.id)
    installation.rewrite("UPDATE task_runs SET assigned_to = CAST(X'ff61' AS TEXT)")
    installation.start_leader()
    installation.wait_for_runs(1, State.COMPLETED)
    wait_until(lambda: len(installation.query("SELECT rowid FROM nodes")) == 1)


@pytest.mark.parametrize("column", some(["timezone", "cron_expr", "extra_args"], quick=1))
def test_a_task_that_makes_sense_again_fires_again(installation: Installation, column: str) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    [(good,)] = installation.query(f"SELECT {column} FROM tasks")
    installation.rewrite(f"UPDATE tasks SET {column} = 'senseless'")
    installation.start_leader()
    installation.wait_for_runs(1, State.SKIPPED)
    assert installation.query("SELECT next_run_at FROM tasks") == [(None,)]
    installation.rewrite(f"UPDATE tasks SET {column} = ?", good)
    installation.wait_for_runs(2, State.COMPLETED)
    assert f"task {task.id} makes sense again: it fires again" in installation.log()


def test_a_task_that_was_parked_is_armed_when_it_is_switched_on(installation: Installation) -> None:
    task = installation.add(cron_expr=EVERY_SECOND)
    installation.rewrite("UPDATE tasks SET next_run_at = NULL")
    assert installation.operations.tasks.enable(task.id).next_run_at is not None
