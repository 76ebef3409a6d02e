"""The invariants of the design, checked over a whole database after whatever happened to it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

from claude_tasks.domain.schedule import parse_schedule

if TYPE_CHECKING:
    from pathlib import Path

TERMINAL = ("completed", "failed", "cancelled", "skipped")


def check_invariants(
    database: Path | str, *, settled: bool = True, starts: Path | None = None
) -> None:
    """Raise `AssertionError` for whatever does not hold.

    With ``settled`` nothing may be left in progress. ``starts`` is a file into which agents wrote
    ``<run>.<claim>`` as they started.
    """
    # Before the rows: an agent that starts meanwhile has its row by the time they are read.
    started = starts.read_text().split() if starts is not None and starts.exists() else []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        runs = connection.execute("SELECT * FROM task_runs ORDER BY id").fetchall()
        tasks = connection.execute("SELECT * FROM tasks").fetchall()
        lease = connection.execute("SELECT * FROM scheduler_leases").fetchall()
        steps = connection.execute("SELECT * FROM clock_steps ORDER BY id").fetchall()
    finally:
        connection.close()
    assert len(lease) == 1, "the lease is a singleton"
    _check_rows(runs, settled=settled)
    _check_epochs(runs, lease[0]["epoch"])
    _check_given_again(runs, steps)
    for task in tasks:
        _check_every_tick_has_its_row(task, [run for run in runs if run["task_id"] == task["id"]])
    _check_starts(started, runs)


def _check_rows(runs: list[Any], *, settled: bool) -> None:
    for run in runs:
        where = f"run {run['id']} ({run['state']}, {run['reason']})"
        if run["state"] in TERMINAL:
            assert run["ended_at"] is not None, where
        elif settled:
            raise AssertionError(f"left in progress: {where}")
        if run["state"] in ("failed", "cancelled", "skipped"):
            assert run["reason"], f"{where} gives no reason"
        if run["state"] in ("completed", "failed"):
            noted = "run log could not be written" in (run["error"] or "")
            assert run["log_path"] or noted, f"{where} has no run log"
        if run["state"] == "skipped":
            assert run["started_at"] is None, f"{where} was started"
    keys = Counter(
        (run["task_id"], run["scheduled_for"]) for run in runs if run["scheduled_for"] is not None
    )
    assert not [key for key, count in keys.items() if count > 1], "a tick with two rows"


def _check_epochs(runs: list[Any], current: int) -> None:
    epochs = [run["lease_epoch"] for run in runs if run["trigger"] != "manual"]
    written = [epoch for epoch in epochs if epoch is not None]
    assert all(epoch <= current for epoch in written), "an epoch from the future"


def _check_given_again(runs: list[Any], steps: list[Any]) -> None:
    """A second row of a tick only where a step of the clock gave it again, and no second start.

    The tick must lie in a collapsed row that is older than the step, and the step older than the
    row that runs it.
    """
    collapsed = [run for run in runs if run["skipped_until"] is not None]
    again = [run for run in runs if run["covers"] is not None and run["skipped_until"] is None]
    for run in runs:
        assert (run["covers"] is not None) == (run["trigger"] == "clock_set"), f"run {run['id']}"
    for run in again:
        counted = [
            (row["id"], step["id"])
            for row in collapsed
            for step in steps
            if row["task_id"] == run["task_id"]
            and _first(row) <= run["covers"] <= row["skipped_until"]
            and row["id"] <= step["last_run_id"] < run["id"]
        ]
        assert counted, f"run {run['id']} gives tick {run['covers']} again, and nobody counted it"
    ticks = Counter(
        (run["task_id"], run["covers"] or run["scheduled_for"])
        for run in runs
        if run["trigger"] != "manual" and run["skipped_until"] is None
    )
    doubled = [tick for tick, count in ticks.items() if count > 1]
    assert not doubled, f"ticks with two rows of their own: {doubled}"


def _first(row: Any) -> int:
    """The first tick that a collapsed row counts."""
    first: int = row["scheduled_for"] if row["covers"] is None else row["covers"]
    return first


def _check_every_tick_has_its_row(task: Any, runs: list[Any]) -> None:
    """From the schedule's anchor to the cursor, every tick is a row or part of a collapsed skip."""
    if task["cron_expr"] == "":
        # Moved to an instant that a schedule of its own already took, it finds that tick's row:
        # also the one that gave the tick again after the clock was set back.
        fired = [
            run for run in runs if task["scheduled_at"] in (run["scheduled_for"], run["covers"])
        ]
        spent = task["cursor_at"] >= task["scheduled_at"]
        assert fired or not spent, f"task {task['id']}: a spent one-off without its row"
        return
    schedule = parse_schedule(
        task["cron_expr"], timezone=task["timezone"], anchor_at=task["anchor_at"]
    )
    if task["next_run_at"] is not None:
        assert task["next_run_at"] == schedule.next_after(task["cursor_at"]), (
            f"task {task['id']}: armed for what is not its next tick"
        )
    keys = {run["scheduled_for"] for run in runs} | {run["covers"] for run in runs}
    ranges = [(_first(run), run["skipped_until"]) for run in runs if run["skipped_until"]]
    tick = schedule.next_after(task["anchor_at"])
    while tick is not None and tick <= task["cursor_at"]:
        counted = [last for first, last in ranges if first <= tick <= last]
        assert counted or tick in keys, f"task {task['id']}: tick {tick} has no row"
        tick = schedule.next_after(max([tick, *counted]))  # years of seconds in one step


def _check_starts(lines: list[str], runs: list[Any]) -> None:
    """No claim started two agents, no row more than its attempts, and no skipped row any."""
    doubled = [line for line, count in Counter(lines).items() if count > 1]
    assert not doubled, f"started twice: {doubled}"
    attempts = {str(run["id"]): run["attempt"] for run in runs}
    per_run = Counter(line.partition(".")[0] for line in lines)
    often = {run_id: count for run_id, count in per_run.items() if count > attempts[run_id]}
    assert not often, f"started more often than there were attempts: {often}"
    states = {str(run["id"]): run["state"] for run in runs}
    for line in lines:
        run_id = line.partition(".")[0]
        assert states.get(run_id) not in (None, "skipped", "queued"), (
            f"{line} has no row to its name"
        )
