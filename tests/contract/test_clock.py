"""The store's contract: what a clock that was ahead left, and setting it right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.clock_step import Left
from claude_tasks.domain.errors import ConflictError, LeadershipLostError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.set_back import set_back
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.domain.task_fields import Catchup, Overlap
from claude_tasks.domain.tick import plan_ticks
from claude_tasks.operations.tasks import TaskOperations
from support.builders import ME, MINUTELY, add_task, completed, lead, spec
from support.clock import START, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task

HOUR = 3_600_000
AHEAD = START + HOUR
FIRST = START + 40_000


def take(store: Store, term: Term, task: Task, *, at: int) -> None:
    store.record_ticks(term, [plan_ticks(store.get_task(task.id), at=at)], at=at)


def settle(store: Store, term: Term, *, at: int, back_ms: int | None = HOUR) -> int:
    ahead = store.tasks_ahead(at=at, limit=100)
    tasks = [set_back(task, counted, at=at) for task, counted in ahead]
    return store.set_clock_back(term, tasks, back_ms=back_ms, at=at)


@pytest.fixture
def term(store: Store) -> Term:
    return lead(store, at=START)


@pytest.fixture
def task(store: Store, term: Term) -> Task:
    """A task whose ticks of an hour to come were taken."""
    made = add_task(store, at=START, cron_expr=MINUTELY, overlap=Overlap.ALLOW)
    take(store, term, made, at=AHEAD)
    return store.get_task(made.id)


def test_what_lies_in_the_future_is_found_and_then_is_no_more(
    store: Store, term: Term, task: Task
) -> None:
    assert store.furthest_instant() == AHEAD
    assert [entry.task.id for entry in store.tasks_ahead(at=START, limit=10)] == [task.id]
    assert [left.left for left in store.left_by_clock(at=START)] == [Left.STUCK]
    assert settle(store, term, at=START) == 1
    assert store.furthest_instant() <= START
    assert store.tasks_ahead(at=START, limit=10) == []
    assert store.left_by_clock(at=START) == []
    assert store.last_clock_step() == (START, HOUR)


def test_a_leader_whose_term_is_over_sets_nothing_back(
    open_another: Callable[[], Store], store: Store, term: Term, task: Task
) -> None:
    lead(open_another(), at=START, node_id="node-b")
    with pytest.raises(LeadershipLostError):
        settle(store, term, at=START)
    assert store.get_task(task.id).cursor_at == task.cursor_at
    assert store.last_clock_step() is None


def test_a_task_edited_since_it_was_looked_at_is_left_alone(
    store: Store, term: Term, task: Task
) -> None:
    tasks = [
        set_back(found, counted, at=START)
        for found, counted in store.tasks_ahead(at=START, limit=9)
    ]
    TaskOperations(store, FakeClock(START), actor=ME).edit(task.id, {"prompt": "another"})
    assert store.set_clock_back(term, tasks, back_ms=HOUR, at=START) == 0


def test_a_counted_tick_runs_once_and_a_tick_that_ran_never_again(
    store: Store, term: Term, task: Task
) -> None:
    [run, gap] = store.list_runs(RunFilter())
    assert (gap.scheduled_for, gap.reason) == (FIRST, Reason.MISSED)
    settle(store, term, at=START)
    take(store, term, task, at=FIRST)
    [again] = store.list_runs(RunFilter(limit=1))
    assert (again.trigger, again.scheduled_for, again.covers) == (Trigger.CLOCK_SET, None, FIRST)
    # The clock is ahead once more, and right once more, before anything else happens.
    take(store, term, task, at=AHEAD)
    settle(store, term, at=START)
    take(store, term, task, at=FIRST)
    covered = [run.covers for run in store.list_runs(RunFilter()) if run.skipped_until is None]
    assert covered.count(FIRST) == 1
    before = store.count_runs(RunFilter())
    assert run.scheduled_for is not None
    for tick in range(FIRST + 60_000, run.scheduled_for + 1, 60_000):
        take(store, term, task, at=tick)
    ticks = [each.tick for each in store.list_runs(RunFilter(limit=1000)) if not each.skipped_until]
    assert len(ticks) == len(set(ticks))
    assert run.scheduled_for in ticks
    assert store.count_runs(RunFilter()) > before


def test_an_edit_cannot_lose_ticks_to_a_key_that_a_collapsed_row_has(
    store: Store, term: Term, task: Task
) -> None:
    settle(store, term, at=START)
    clock = FakeClock(FIRST + 10_000)
    TaskOperations(store, clock, actor=ME).edit(task.id, {"enabled": False})
    [row] = store.list_runs(RunFilter(limit=1))
    assert (row.reason, row.trigger, row.covers) == (Reason.DISABLED, Trigger.CLOCK_SET, FIRST)


@pytest.mark.parametrize("kind", ["jitter", "retry"])
def test_a_queued_run_waits_as_long_as_it_was_to_from_the_true_now(
    store: Store, term: Term, kind: str
) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    take(store, term, task, at=FIRST)
    run_id = store.list_runs(RunFilter())[0].id
    [claimed] = store.claim_runs("node-a", term=term, limit=1, per_node=False, at=FIRST)
    attempt = 2 if kind == "retry" else 1
    store.requeue_run(
        run_id,
        claim=claimed.run.claim,
        attempt=attempt,
        not_before=AHEAD + 30_000,
        spent=completed(at=AHEAD) if kind == "retry" else None,
        at=AHEAD,
    )
    settle(store, term, at=FIRST, back_ms=None)
    assert store.get_run(run_id).not_before == FIRST + 30_000
    assert store.last_clock_step() is None, "no cursor moved"


def test_a_wait_that_was_meant_is_kept(store: Store, term: Term, task: Task) -> None:
    run = store.list_runs(RunFilter())[0]
    settle(store, term, at=START)
    [claimed] = store.claim_runs("node-a", term=term, limit=1, per_node=False, at=START)
    assert claimed.run.id == run.id
    store.requeue_run(
        run.id, claim=1, attempt=2, not_before=START + 60_000, spent=completed(at=START), at=START
    )
    take(store, term, task, at=AHEAD + HOUR)
    settle(store, term, at=START)
    assert store.get_run(run.id).not_before == START + 60_000


def test_a_retry_of_a_wrong_future_starts_where_nobody_leads(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="own", at=START)
    store.claim_runs("own", term=None, limit=1, per_node=False, at=START)
    store.requeue_run(
        run.id, claim=1, attempt=2, not_before=AHEAD, spent=completed(at=AHEAD), at=AHEAD
    )
    assert [
        entry.run.id
        for entry in store.claim_runs("own", term=None, limit=1, per_node=False, at=START)
    ] == [run.id]


def test_a_one_off_to_run_at_once_does(store: Store, term: Term) -> None:
    at_once = TaskOperations(store, FakeClock(AHEAD), actor=ME).add_all([_one_off(None)])[0]
    meant = TaskOperations(store, FakeClock(AHEAD), actor=ME).add_all([_one_off(AHEAD + HOUR)])[0]
    settle(store, term, at=START, back_ms=None)
    assert store.get_task(at_once).next_run_at == START
    assert store.get_task(at_once).runs_at_once, "nobody named a time for it"
    assert store.get_task(meant).next_run_at == AHEAD + HOUR
    assert [(left.task_id, left.left) for left in store.left_by_clock(at=START)] == [
        (meant, Left.DOUBTFUL)
    ]
    edited = TaskOperations(store, FakeClock(START), actor=ME).edit(
        meant, {"scheduled_at": AHEAD + HOUR}
    )
    assert edited.revision == 2
    assert store.left_by_clock(at=START) == []


def test_a_one_off_to_run_at_once_does_whatever_else_was_edited(store: Store, term: Term) -> None:
    clock = FakeClock(AHEAD)
    operations = TaskOperations(store, clock, actor=ME)
    [at_once] = operations.add_all([_one_off(None)])
    clock.set_wall(AHEAD + 1000)
    operations.edit(at_once, {"prompt": "another"})
    settle(store, term, at=START, back_ms=None)
    task = store.get_task(at_once)
    assert (task.next_run_at, task.runs_at_once) == (START, True)
    assert store.left_by_clock(at=START) == []


@pytest.mark.parametrize("change", [{"enabled": True}, {"scheduled_at": START + 60_000}])
def test_a_one_off_that_was_only_skipped_can_be_armed_again(
    store: Store, term: Term, change: dict[str, Any]
) -> None:
    task = add_task(store, at=START, scheduled_at=START + 60_000, catchup=Catchup.NONE)
    take(store, term, task, at=AHEAD)
    assert [left.left for left in store.left_by_clock(at=START)] == [Left.MISSED]
    TaskOperations(store, FakeClock(START), actor=ME).edit(task.id, change)
    assert store.left_by_clock(at=START) == []
    take(store, term, task, at=START + 60_001)
    assert store.list_runs(RunFilter(limit=1))[0].state is State.QUEUED


def test_a_one_off_whose_run_started_is_spent(store: Store, term: Term) -> None:
    task = add_task(store, at=START, scheduled_at=START + 60_000)
    take(store, term, task, at=AHEAD)
    assert store.left_by_clock(at=START) == []
    with pytest.raises(ConflictError):
        TaskOperations(store, FakeClock(START), actor=ME).enable(task.id)


@pytest.mark.parametrize("change", [{"cron_expr": MINUTELY}, {"enabled": True}])
def test_an_edit_that_asks_for_the_same_schedule_sets_a_stuck_task_right(
    store: Store, task: Task, change: dict[str, Any]
) -> None:
    edited = TaskOperations(store, FakeClock(START), actor=ME).edit(task.id, change)
    assert edited.revision == task.revision + 1
    assert (edited.cursor_at, edited.next_run_at) == (START, FIRST)
    step = store.last_clock_step()
    assert step is not None
    assert step.back_ms == task.cursor_at - START, "a cursor goes back beside the record only"


def test_a_time_is_doubtful_by_when_it_was_given_not_by_other_edits(
    store: Store,
) -> None:
    clock = FakeClock(START)
    operations = TaskOperations(store, clock, actor=ME)
    [meant] = operations.add_all([_one_off(AHEAD + 2 * HOUR)])
    clock.set_wall(AHEAD)
    [doubtful] = operations.add_all([_one_off(AHEAD + 2 * HOUR)])
    operations.edit(meant, {"prompt": "another"})
    clock.set_wall(START)
    operations.edit(doubtful, {"prompt": "another"})
    [left] = store.left_by_clock(at=START)
    assert (left.task_id, left.left, left.instant) == (doubtful, Left.DOUBTFUL, AHEAD)
    operations.edit(doubtful, {"scheduled_at": AHEAD + 2 * HOUR})
    assert store.left_by_clock(at=START) == []


def test_a_one_off_to_run_at_once_whose_false_time_is_confirmed_keeps_it(
    store: Store, term: Term
) -> None:
    [at_once] = TaskOperations(store, FakeClock(AHEAD), actor=ME).add_all([_one_off(None)])
    TaskOperations(store, FakeClock(START), actor=ME).edit(at_once, {"scheduled_at": AHEAD})
    assert store.left_by_clock(at=START) == []
    settle(store, term, at=START, back_ms=None)
    assert store.get_task(at_once).next_run_at == AHEAD


def _one_off(scheduled_at: int | None) -> Any:

    return spec(scheduled_at=scheduled_at)
