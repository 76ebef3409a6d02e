"""Rows that somebody else wrote: they stop their own task, visibly, and no other."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from claude_tasks.domain.run import Reason, State
from support.installation import EVERY_SECOND
from support.waiting import wait_until

if TYPE_CHECKING:
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
