"""The store's contract: tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import NotFoundError, StorageError
from claude_tasks.domain.planned import PlannedRow
from claude_tasks.domain.revision import HIDDEN, Actor, Face
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter, TaskEdit
from claude_tasks.domain.task_fields import Overlap
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.operations.tasks import arm
from support.builders import ME, MINUTELY, add_task, completed, lead, spec
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task


def edit_of(task: Task, **columns: object) -> TaskEdit:
    return TaskEdit(task.id, task.revision, task.cursor_at, task.next_run_at, columns)


def test_a_task_comes_back_as_it_was_given(store: Store) -> None:
    wanted = spec(
        name="Überprüfung 🚀",
        prompt="line one\nline two — with “quotes”",
        cron_expr=MINUTELY,
        timezone="Europe/Berlin",
        allowed_tools=("Bash(git log:*)", "Read"),
        extra_args=("--add-dir", "/srv"),
        tags=("nightly",),
        overlap=Overlap.QUEUE,
        max_budget_usd=1.25,
        max_turns=7,
    )
    [task_id] = store.add_tasks([arm(wanted, at=START)], actor=ME, at=START)
    task = store.get_task(task_id)
    assert task.spec == wanted
    assert task.revision == 1
    assert task.next_run_at == START + 40_000


def test_adding_many_is_all_or_nothing(store: Store) -> None:
    good = arm(spec(), at=START)
    bad = good._replace(spec=good.spec._replace(timezone=None))  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        store.add_tasks([good, bad], actor=ME, at=START)
    assert store.list_tasks() == []


def test_ids_are_given_in_order_and_lists_are_newest_first(store: Store) -> None:
    ids = store.add_tasks([arm(spec(name=str(n)), at=START) for n in range(3)], actor=ME, at=START)
    assert ids == sorted(ids)
    assert [summary.task.id for summary in store.list_tasks()] == ids[::-1]


def test_an_unknown_task_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="Task not found"):
        store.get_task(999)


def test_an_edit_writes_only_the_columns_it_names(store: Store) -> None:
    task = add_task(store, at=START, prompt="old", model="opus")
    assert store.edit_task(edit_of(task, prompt="new"), actor=ME, at=START + 1)
    edited = store.get_task(task.id)
    assert (edited.spec.prompt, edited.spec.model, edited.revision) == ("new", "opus", 2)
    assert edited.updated_at == START + 1


def test_an_edit_of_a_stale_reading_changes_nothing(store: Store) -> None:
    task = add_task(store, at=START)
    assert store.edit_task(edit_of(task, prompt="first"), actor=ME, at=START)
    assert not store.edit_task(edit_of(task, prompt="second"), actor=ME, at=START)
    assert store.get_task(task.id).spec.prompt == "first"


def test_an_edit_loses_against_a_tick_taken_meanwhile(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    term = lead(store, at=START)
    store.record_ticks(term, [plan_ticks(task, at=START + 60_000)], at=START + 60_000)
    assert not store.edit_task(edit_of(task, prompt="late"), actor=ME, at=START + 60_000)


def test_withdrawn_ticks_become_skips_in_the_same_transaction(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    row = PlannedRow(START + 40_000, START, Reason.DISABLED, "off", 1, START + 40_000)
    edit = edit_of(task, enabled=False, next_run_at=None)._replace(withdrawn=(row,))
    assert store.edit_task(edit, actor=ME, at=START + 50_000)
    [run] = store.list_runs(RunFilter(task_id=task.id))
    assert (run.state, run.reason, run.scheduled_for) == (
        State.SKIPPED,
        Reason.DISABLED,
        START + 40_000,
    )


def test_queued_scheduled_runs_are_dropped_manual_ones_stay(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, overlap=Overlap.QUEUE)
    term = lead(store, at=START)
    store.record_ticks(term, [plan_ticks(task, at=START + 60_000)], at=START + 60_000)
    manual = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    edit = edit_of(store.get_task(task.id), enabled=False, next_run_at=None)
    edit = edit._replace(drop_queued=(State.SKIPPED, Reason.DISABLED))
    assert store.edit_task(edit, actor=ME, at=START + 61_000)
    assert store.get_run(manual.id).state is State.QUEUED
    [scheduled] = store.list_runs(RunFilter(states=(State.SKIPPED,)))
    assert scheduled.reason is Reason.DISABLED
    assert scheduled.ended_at == START + 61_000


def test_a_deleted_task_is_gone_from_lists_and_can_be_seen_on_demand(store: Store) -> None:
    task = add_task(store, at=START, name="gone")
    store.edit_task(edit_of(task, deleted_at=START, next_run_at=None), actor=ME, at=START)
    assert store.list_tasks() == []
    assert store.find_tasks("gone") == []
    with pytest.raises(NotFoundError):
        store.get_task(task.id)
    assert store.get_task(task.id, include_deleted=True).deleted_at == START
    assert len(store.list_tasks(include_deleted=True)) == 1


def test_a_disabled_or_deleted_task_cannot_be_on_the_agenda(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    with pytest.raises(StorageError):
        store.edit_task(edit_of(task, enabled=False), actor=ME, at=START)


def test_the_list_shows_the_last_run_that_began_not_skips(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="node-a", at=START)
    [claimed] = store.claim_runs("node-a", term=None, limit=8, per_node=False, at=START + 5)
    skipped = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="node-a", at=START + 6)
    assert skipped.reason is Reason.OVERLAP

    store.finish_runs(
        [Finish(claimed.run.id, claimed.run.claim, completed(at=START + 9), None)], at=START + 9
    )
    [summary] = store.list_tasks()
    assert (summary.last_run_state, summary.last_run_at) == (State.COMPLETED, START + 9)


def test_another_store_sees_a_task_at_once(open_another: Callable[[], Store]) -> None:
    one, other = open_another(), open_another()
    task = add_task(one, at=START)
    assert other.get_task(task.id) == task


def test_live_tasks_are_counted_by_whether_they_are_enabled(store: Store) -> None:
    assert store.count_tasks() == (0, 0)
    for enabled in (True, True, False):
        add_task(store, at=START, cron_expr=MINUTELY, enabled=enabled)
    gone = add_task(store, at=START, cron_expr=MINUTELY)
    assert store.edit_task(edit_of(gone, deleted_at=START, next_run_at=None), actor=ME, at=START)
    assert store.count_tasks() == (2, 1)


def test_each_revision_says_who_made_it_and_what_changed(store: Store) -> None:
    task = add_task(store, at=START, prompt="old", slack_webhook="https://s.example/one")
    agent = Actor(Face.AGENT, "run 12")
    assert store.edit_task(edit_of(task, prompt="new", tags=("a",)), actor=agent, at=START + 1)
    task = store.get_task(task.id)
    addresses = {"slack_webhook": "https://s.example/two", "webhook_url": "https://w.example"}
    assert store.edit_task(edit_of(task, **addresses), actor=ME, at=START + 2)
    task = store.get_task(task.id)
    assert store.edit_task(edit_of(task, slack_webhook=None), actor=ME, at=START + 3)
    assert store.get_task(task.id).spec.webhook_url == "https://w.example"
    last, second, first, added = store.task_revisions(task.id, limit=9)
    assert (added.revision, added.at, added.actor, added.changes) == (1, START, "cli:me", {})
    assert (first.revision, first.at, first.actor) == (2, START + 1, "agent:run 12")
    assert first.changes == {"prompt": ("old", "new"), "tags": ([], ["a"])}
    assert second.changes == {"slack_webhook": (HIDDEN, HIDDEN), "webhook_url": (None, HIDDEN)}
    assert last.changes == {"slack_webhook": (HIDDEN, None)}
    assert [each.revision for each in store.task_revisions(task.id, limit=1)] == [4]


def test_an_edit_that_lost_records_nothing(store: Store) -> None:
    task = add_task(store, at=START)
    assert store.edit_task(edit_of(task, prompt="first"), actor=ME, at=START)
    assert not store.edit_task(edit_of(task, prompt="second"), actor=ME, at=START)
    assert [each.revision for each in store.task_revisions(task.id, limit=9)] == [2, 1]
