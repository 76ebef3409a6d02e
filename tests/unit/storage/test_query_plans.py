"""Statements that run at every pass must not walk the history of runs, however long it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.storage.named_sql import fragment, load
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.storage.tables.tasks import select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = {
    "task_runs_active",
    "task_runs_running",
    "task_runs_by_state",
    "tasks_agenda",
    "tasks_furthest",
    "changes_by_instant",
    "task_runs_given_again",
    "task_runs_covering",
    "INTEGER PRIMARY KEY",
    "sqlite_autoindex_task_runs_1",
    "sqlite_autoindex_scheduler_leases_1",
}
COLUMNS = [("run_columns", "runs"), ("fact_columns", "runs")]
HOT = [
    ("ticks", "due_tasks"),
    ("ticks", "next_tick_at"),
    ("ticks", "term_stands"),
    ("ticks", "advance_cursor"),
    ("ticks", "count_active"),
    ("ticks", "cancel_running_for_next"),
    ("ticks", "cancel_queued_for_next"),
    ("tasks", "drop_queued"),
    ("runs", "startable"),
    ("runs", "claim_run"),
    ("runs", "count_running"),
    ("runs", "count_own_running"),
    ("runs", "count_waiting"),
    ("runs", "next_start_at"),
    ("runs", "finish_run"),
    ("runs", "requeue_run"),
    ("runs", "running_of"),
    ("runs", "running_elsewhere"),
    ("runs", "cancel_requests"),
    ("runs", "assigned_nodes"),
    ("clock", "furthest_instant"),
    ("clock", "row_of_tick"),
    ("clock", "row_before"),
    ("clock", "is_given_again"),
    ("clock", "future_changes"),
    ("clock", "waiting_beyond"),
]


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Any]:
    store = open_store(str(tmp_path / "tasks.db"), at=0)
    connection = store._connection  # type: ignore[attr-defined]

    def explain(room: str, name: str) -> list[str]:
        sql = select(load(room)[name])
        for columns, source in COLUMNS:
            sql = sql.replace(f"{{{columns}}}", fragment(source, columns))
        sql = sql.replace("{ids}", ":one, :two").replace("{conditions}", "1 = 1")
        sql = sql.replace("{says}", fragment("run_filter", "says")).replace("{columns}", "r.id")
        rows = connection.rows(
            f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(re.findall(r":([a-z_]+)", sql), 1)
        )
        return [row[3] for row in rows]

    yield explain
    store.close()


@pytest.mark.parametrize(("room", "name"), HOT)
def test_a_statement_of_every_pass_uses_an_index_that_stays_small(
    plan: Any, room: str, name: str
) -> None:
    steps = [step for step in plan(room, name) if " r" in step or "task" in step]
    for step in steps:
        if "task_runs" in step or step.startswith(("SEARCH r ", "SCAN r")):
            assert any(index in step for index in ALLOWED), f"{name}: {step}"
            assert "task_runs_by_task " not in step, f"{name}: {step}"


def test_the_agenda_is_read_from_its_head(plan: Any) -> None:
    assert plan("ticks", "next_ticks") == ["SEARCH tasks USING INDEX tasks_agenda (next_run_at<?)"]


def test_figures_read_what_is_not_counted_yet_and_no_more(plan: Any) -> None:
    steps = [step for step in plan("history", "uncounted") if "task_runs" in step]
    assert [step.partition(" (")[0] for step in steps] == [
        "SEARCH task_runs USING INDEX task_runs_by_state",
        "SEARCH task_runs USING INTEGER PRIMARY KEY",
    ]


def test_a_search_reads_the_index_from_its_end(plan: Any) -> None:
    steps = plan("history", "search_indexed")
    assert steps[0].startswith("SCAN run_texts VIRTUAL TABLE INDEX")
    assert steps[1:] == [
        "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
    ], "no sorting"
