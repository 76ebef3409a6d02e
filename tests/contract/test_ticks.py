"""The store's contract: the tick transaction."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import IllegibleError, LeadershipLostError, StorageValueError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import NextTick, RunFilter, TaskEdit
from claude_tasks.domain.task_fields import Overlap
from claude_tasks.domain.tick import plan_ticks
from support.builders import ME, MINUTELY, add_task, lead
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from claude_tasks.domain.ports import Store

DUE = START + 40_000  # the first full minute


def test_a_due_tick_becomes_one_queued_run_and_the_cursor_moves(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    outcome = store.record_ticks(term, [plan_ticks(task, at=DUE)], at=DUE)
    assert (outcome.queued, outcome.skipped) == (1, 0)
    [run] = store.list_runs(RunFilter())
    assert (run.state, run.scheduled_for, run.lease_epoch) == (State.QUEUED, DUE, term.epoch)
    after = store.get_task(task.id)
    assert (after.cursor_at, after.next_run_at) == (DUE, DUE + 60_000)
    assert after.revision == task.revision, "the scheduler is no editor"


def test_the_same_plan_twice_writes_one_row(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    plan = plan_ticks(task, at=DUE)
    store.record_ticks(term, [plan], at=DUE)
    again = store.record_ticks(term, [plan], at=DUE)
    assert again.edited_meanwhile == 1
    assert store.count_runs(RunFilter()) == 1


def test_a_leader_of_an_older_epoch_writes_nothing(open_another: Callable[[], Store]) -> None:
    paused, taker = open_another(), open_another()
    task = add_task(paused, at=START, cron_expr=MINUTELY)
    old_term = lead(paused, at=START)
    plan = plan_ticks(task, at=DUE)
    lead(taker, at=START, node_id="node-b")
    with pytest.raises(LeadershipLostError):
        paused.record_ticks(old_term, [plan], at=DUE)
    assert taker.count_runs(RunFilter()) == 0
    assert taker.get_task(task.id).cursor_at == task.cursor_at


def test_a_task_edited_since_it_was_planned_is_left_for_the_next_look(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    plan = plan_ticks(task, at=DUE)
    edit = TaskEdit(task.id, task.revision, task.cursor_at, task.next_run_at, {"prompt": "new"})
    assert store.edit_task(edit, actor=ME, at=DUE)
    assert store.record_ticks(term, [plan], at=DUE).edited_meanwhile == 1
    assert store.due_tasks(at=DUE, limit=10)[0].spec.prompt == "new"


def test_what_is_due_now_comes_before_a_backlog(store: Store) -> None:
    old = add_task(store, at=START - 86_400_000, name="old", cron_expr="@daily")
    new = add_task(store, at=START, name="new", cron_expr=MINUTELY)
    due = store.due_tasks(at=DUE, limit=10)
    assert [task.id for task in due] == [new.id, old.id]
    assert store.next_tick_at() == old.next_run_at


def test_a_one_off_is_spent_in_the_transaction_that_makes_its_run(store: Store) -> None:
    task = add_task(store, at=START, scheduled_at=DUE)
    term = lead(store, at=START)
    store.record_ticks(term, [plan_ticks(task, at=DUE)], at=DUE)
    after = store.get_task(task.id)
    assert (after.spec.enabled, after.next_run_at) == (False, None)
    assert store.due_tasks(at=DUE + 10_000, limit=10) == []
    assert store.count_runs(RunFilter()) == 1


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        (Overlap.SKIP, [State.SKIPPED, State.QUEUED]),
        (Overlap.QUEUE, [State.QUEUED, State.QUEUED]),
        (Overlap.ALLOW, [State.QUEUED, State.QUEUED]),
        (Overlap.CANCEL_OTHER, [State.QUEUED, State.CANCELLED]),
    ],
)
def test_a_tick_while_the_last_run_waits_follows_the_overlap_rule(
    store: Store, overlap: Overlap, states: list[State]
) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, overlap=overlap)
    term = lead(store, at=START)
    for at in (DUE, DUE + 60_000):
        store.record_ticks(term, [plan_ticks(store.get_task(task.id), at=at)], at=at)
    runs = store.list_runs(RunFilter())
    assert [run.state for run in runs] == states
    if overlap is Overlap.SKIP:
        assert runs[0].reason is Reason.OVERLAP
        assert runs[0].error
    if overlap is Overlap.CANCEL_OTHER:
        assert runs[1].reason is Reason.CANCELLED_BY_NEXT


def test_cancel_other_asks_the_running_run_to_make_way(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, overlap=Overlap.CANCEL_OTHER)
    term = lead(store, at=START)
    store.record_ticks(term, [plan_ticks(task, at=DUE)], at=DUE)
    [claimed] = store.claim_runs("node-a", term=term, limit=8, per_node=False, at=DUE)
    at = DUE + 60_000
    store.record_ticks(term, [plan_ticks(store.get_task(task.id), at=at)], at=at)
    assert store.cancel_requests("node-a") == [claimed.run.id]
    assert store.get_run(claimed.run.id).cancel_reason is Reason.CANCELLED_BY_NEXT
    assert store.claim_runs("node-a", term=term, limit=8, per_node=False, at=at) == []


def test_the_agenda_is_told_from_its_head(store: Store) -> None:
    hourly = add_task(store, at=START, name="hourly", cron_expr="@hourly")
    soon = add_task(store, at=START, name="soon", cron_expr=MINUTELY)
    also = add_task(store, at=START, name="also", cron_expr=MINUTELY)
    add_task(store, at=START, name="off", cron_expr=MINUTELY, enabled=False)
    assert hourly.next_run_at is not None
    agenda = [
        NextTick(soon.id, "soon", DUE),
        NextTick(also.id, "also", DUE),
        NextTick(hourly.id, "hourly", hourly.next_run_at),
    ]
    assert store.next_ticks(limit=10) == agenda
    assert store.next_ticks(limit=2) == agenda[:2]


def test_a_task_whose_plan_cannot_be_written_is_parked_with_the_reason(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    plan = plan_ticks(task, at=DUE)._replace(next_run_at=1 << 63)
    with pytest.raises(StorageValueError):
        store.record_ticks(term, [plan], at=DUE)
    store.park_task(term, task, "why", at=DUE)
    assert store.get_task(task.id).next_run_at is None
    [skip] = store.list_runs(RunFilter())
    assert (skip.reason, skip.error, skip.scheduled_for) == (Reason.INVALID_SCHEDULE, "why", DUE)


def test_a_page_of_runs_is_full_whatever_rows_cannot_be_read(store: Store, tmp_path: Path) -> None:
    task = add_task(store, at=START, overlap="allow")
    runs = [
        store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START) for _ in range(6)
    ]
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as file, file:
        file.execute("UPDATE task_runs SET trigger = 'nobody' WHERE id IN (3, 5, 6)")
        file.execute("UPDATE task_runs SET queued_at = 'then' WHERE id = 1")
    assert [run.id for run in store.list_runs(RunFilter(limit=2))] == [4, 2]
    assert [run.id for run in store.list_runs(RunFilter(limit=len(runs)))] == [4, 2]
    with pytest.raises(IllegibleError):
        store.get_run(1)


def test_tasks_without_a_next_tick_are_read_page_by_page_and_resumed(
    store: Store, open_another: Callable[[], Store]
) -> None:
    ids = [add_task(store, at=START, cron_expr="@every 1h").id for _ in range(5)]
    other = open_another()._connection  # type: ignore[attr-defined]
    other.execute("UPDATE tasks SET next_run_at = NULL")
    other.execute("UPDATE tasks SET extra_args = 'x' WHERE id = ?".replace("?", str(ids[1])))
    term = lead(store, at=START)
    found, last = store.parked_tasks(after=0, limit=2)
    assert ([task.id for task in found], last) == ([ids[0]], ids[1])
    found, last = store.parked_tasks(after=last, limit=9)
    assert ([task.id for task in found], last) == (ids[2:], 0)
    store.resume_task(term, found[0], START + 5, at=START + 1)
    resumed = store.get_task(ids[2])
    assert (resumed.next_run_at, resumed.cursor_at) == (START + 5, START + 1)
    other.execute(f"UPDATE tasks SET enabled = 0 WHERE id = {ids[3]}")
    store.resume_task(term, found[1], START + 5, at=START + 1)
    assert store.get_task(ids[3]).next_run_at is None
