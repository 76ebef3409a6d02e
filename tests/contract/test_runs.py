"""The store's contract: the queue, claims and ends of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import (
    ConflictError,
    LeadershipLostError,
    NotFoundError,
    StorageError,
    StorageValueError,
)
from claude_tasks.domain.run import NOT_STORED, Outcome, Reason, Run, State, Trigger
from claude_tasks.domain.store_records import Claimed, Finish, RunFilter, TaskEdit
from claude_tasks.domain.task_fields import Overlap
from support.builders import ME, add_task, completed, lead
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task


def queue(store: Store, task_id: int, *, node: str | None = "node-a") -> Run:
    return store.add_run(task_id, trigger=Trigger.MANUAL, assigned_to=node, at=START)


def delete(store: Store, task: Task, *, drop: bool = True) -> None:
    edit = TaskEdit(
        task.id,
        task.revision,
        task.cursor_at,
        task.next_run_at,
        {"deleted_at": START, "next_run_at": None},
        drop_queued=(State.SKIPPED, Reason.DELETED) if drop else None,
    )
    assert store.edit_task(edit, actor=ME, at=START)


def claim(store: Store, *, term: Term | None = None, limit: int = 8, **more: Any) -> list[Claimed]:
    values: dict[str, Any] = {"per_node": False, "at": START, **more}
    return store.claim_runs("node-a", term=term, limit=limit, **values)


def test_a_run_is_claimed_by_exactly_one_of_many(open_another: Callable[[], Store]) -> None:
    stores = [open_another() for _ in range(4)]
    task = add_task(stores[0], at=START)
    term = lead(stores[0], at=START)
    queue(stores[0], task.id, node=None)
    claims = [claim(store, term=term) for store in stores]
    assert [len(found) for found in claims] == [1, 0, 0, 0]
    [[claimed], *_] = claims
    assert (claimed.run.state, claimed.run.claim) == (State.RUNNING, 1)
    assert claimed.run.claimed_by == "node-a"
    assert claimed.task == stores[0].get_task(task.id)


def test_a_follower_takes_its_own_runs_and_not_the_leaders(store: Store) -> None:
    mine = queue(store, add_task(store, at=START).id)
    queue(store, add_task(store, at=START).id, node=None)
    queue(store, add_task(store, at=START).id, node="node-b")
    assert [entry.run.id for entry in claim(store)] == [mine.id]


def test_a_claim_in_an_old_term_is_refused(store: Store) -> None:
    queue(store, add_task(store, at=START).id, node=None)
    old = lead(store, at=START)
    lead(store, at=START, node_id="node-b")
    with pytest.raises(LeadershipLostError):
        claim(store, term=old)
    assert store.list_runs(RunFilter())[0].state is State.QUEUED


def test_the_global_limit_holds_across_claims(store: Store) -> None:
    for _ in range(5):
        queue(store, add_task(store, at=START).id)
    assert len(claim(store, limit=2)) == 2
    assert len(claim(store, limit=3)) == 1
    assert claim(store, limit=3) == []


def test_a_per_node_limit_does_not_count_the_runs_of_others(store: Store) -> None:
    task = add_task(store, at=START)
    queue(store, task.id, node="node-b")
    store.claim_runs("node-b", term=None, limit=1, per_node=True, at=START)
    queue(store, add_task(store, at=START).id)
    assert len(claim(store, limit=1, per_node=True)) == 1


@pytest.mark.parametrize(
    ("overlap", "max_concurrency", "at_once"),
    [
        (Overlap.QUEUE, None, 1),
        (Overlap.QUEUE, 2, 2),
        (Overlap.ALLOW, None, 4),
        (Overlap.ALLOW, 3, 3),
    ],
)
def test_a_tasks_own_limit_holds(
    store: Store, overlap: Overlap, max_concurrency: int | None, at_once: int
) -> None:
    task = add_task(store, at=START, overlap=overlap, max_concurrency=max_concurrency)
    for _ in range(4):
        queue(store, task.id)
    assert len(claim(store)) == at_once
    assert claim(store) == []


def test_one_tasks_long_queue_does_not_hold_up_another(store: Store) -> None:
    busy = add_task(store, at=START, overlap=Overlap.QUEUE)
    for _ in range(20):
        queue(store, busy.id)
    other = queue(store, add_task(store, at=START).id)
    assert other.id in [entry.run.id for entry in claim(store, limit=2)]


def test_plain_ticks_do_not_starve_a_run_that_had_to_wait(store: Store) -> None:
    waiting = queue(store, add_task(store, at=START).id, node=None)
    term = lead(store, at=START)
    claim(store, term=term)
    store.requeue_run(waiting.id, claim=1, attempt=2, not_before=START + 500, spent=None, at=START)
    for _ in range(3):
        queue(store, add_task(store, at=START).id, node=None)
    [first] = claim(store, term=term, limit=1, at=START + 500)
    assert first.run.id == waiting.id


def test_a_queue_does_not_grow_without_end(store: Store) -> None:
    task = add_task(store, at=START, overlap=Overlap.QUEUE)
    runs = [queue(store, task.id) for _ in range(110)]
    skipped = [run for run in runs if run.state is State.SKIPPED]
    assert len(skipped) == 110 - 101
    assert {run.reason for run in skipped} == {Reason.OVERLAP}
    assert skipped[0].error is not None
    assert "101 runs of this task" in skipped[0].error


def test_a_deleted_tasks_queued_runs_do_not_start(store: Store) -> None:
    task = add_task(store, at=START)
    run = queue(store, task.id)
    delete(store, task)
    assert claim(store) == []
    assert store.get_run(run.id).reason is Reason.DELETED


def test_a_run_going_back_into_the_queue_of_a_deleted_task_ends(store: Store) -> None:
    task = add_task(store, at=START)
    run = queue(store, task.id)
    claim(store)
    delete(store, task, drop=False)
    store.requeue_run(run.id, claim=1, attempt=1, not_before=0, spent=None, at=START + 1)
    ended = store.get_run(run.id)
    assert (ended.state, ended.reason, ended.ended_at) == (
        State.SKIPPED,
        Reason.DELETED,
        START + 1,
    )


def test_what_earlier_attempts_cost_stays_when_no_other_follows(store: Store) -> None:
    task = add_task(store, at=START)
    run = queue(store, task.id)
    claim(store)
    spent = completed(at=START, cost_usd=0.5, input_tokens=7, error="attempt 1 failed: overload")
    store.requeue_run(run.id, claim=1, attempt=2, not_before=START, spent=spent, at=START)
    delete(store, task)
    ended = store.get_run(run.id)
    assert (ended.state, ended.cost_usd, ended.input_tokens) == (State.CANCELLED, 0.5, 7)
    assert ended.error is not None
    assert ended.error.startswith("attempt 1 failed: overload; no further attempt")


def test_a_value_no_column_takes_is_an_error_and_nothing_is_written(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    absurd = completed(at=START, num_turns=10**30)
    with pytest.raises(StorageValueError):
        store.finish_runs([Finish(run.id, 1, absurd, None)], at=START)
    assert store.get_run(run.id).state is State.RUNNING


def test_a_run_waits_for_its_time(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    assert store.requeue_run(
        run.id, claim=1, attempt=2, not_before=START + 500, spent=None, at=START
    )
    term = lead(store, at=START)
    assert claim(store, term=term, at=START + 499) == []
    assert store.next_start_at("node-a", leading=True, after=START) == START + 500
    [again] = claim(store, term=term, at=START + 500)
    assert (again.run.attempt, again.run.claim) == (2, 2)


def test_an_end_is_recorded_with_all_its_facts(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    outcome = Outcome(
        state=State.FAILED,
        reason=Reason.AGENT_ERROR,
        started_at=START + 7,
        ended_at=START + 1007,
        exit_code=1,
        output="said",
        error="why",
        session_id="s",
        model="m",
        cost_usd=0.5,
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=3,
        cache_creation_tokens=4,
        num_turns=5,
        permission_denials=("Bash(rm)",),
    )
    assert store.finish_runs([Finish(run.id, 1, outcome, "/log")], at=START) == [True]
    ended = store.get_run(run.id)
    for name in set(Outcome._fields) - set(NOT_STORED):
        assert getattr(ended, name) == getattr(outcome, name), name
    assert (ended.log_path, ended.duration_ms) == ("/log", 1000)


def test_a_run_that_ended_is_never_rewritten(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    first = completed(at=START, output="first")
    store.finish_runs([Finish(run.id, 1, first, None)], at=START)
    late = first._replace(state=State.FAILED, reason=Reason.LOST, output="late")
    assert store.finish_runs([Finish(run.id, 1, late, None)], at=START) == [False]
    assert not store.requeue_run(run.id, claim=1, attempt=2, not_before=START, spent=None, at=START)
    assert store.get_run(run.id).output == "first"
    with pytest.raises(ConflictError, match="ended already"):
        store.request_cancel(run.id, at=START)


def test_the_database_itself_refuses_to_rewrite_an_ended_run(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    store.finish_runs([Finish(run.id, 1, completed(at=START), None)], at=START)
    connection = store._connection  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="never rewritten"):
        connection.execute("UPDATE task_runs SET output = 'forged'")


def test_an_older_claim_cannot_end_a_newer_one(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    store.requeue_run(run.id, claim=1, attempt=1, not_before=START, spent=None, at=START)
    claim(store, term=lead(store, at=START))
    late = Finish(run.id, 1, completed(at=START), None)
    assert store.finish_runs([late], at=START) == [False]
    assert store.get_run(run.id).state is State.RUNNING


def test_a_queued_run_is_cancelled_at_once(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    cancelled = store.request_cancel(run.id, at=START + 3)
    assert (cancelled.state, cancelled.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert cancelled.ended_at == START + 3
    assert claim(store) == []


def test_a_running_run_is_asked_to_end_once(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    store.request_cancel(run.id, at=START + 1)
    asked = store.request_cancel(run.id, at=START + 2)
    assert (asked.state, asked.cancel_requested_at) == (State.RUNNING, START + 1)
    assert store.cancel_requests("node-a") == [run.id]


def test_a_dead_nodes_runs_go_to_one_adopter(open_another: Callable[[], Store]) -> None:
    store, other = open_another(), open_another()
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    [seen] = store.running_elsewhere("node-b")
    assert store.adopt_run(seen, node_id="node-b", epoch=2, at=START)
    assert not other.adopt_run(seen, node_id="node-c", epoch=3, at=START)
    assert [entry.id for entry in store.running_of("node-b")] == [run.id]
    assert store.running_elsewhere("node-b") == []


def test_queued_runs_of_a_dead_node_go_to_the_leader(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id, node="node-b")
    assert store.assigned_nodes() == ["node-b"]
    assert store.release_assigned("node-b", at=START) == 1
    term = lead(store, at=START)
    assert [entry.run.id for entry in claim(store, term=term)] == [run.id]


def test_a_manual_run_of_a_busy_task_is_skipped_with_its_reason(store: Store) -> None:
    task = add_task(store, at=START)
    queue(store, task.id)
    second = queue(store, task.id)
    assert (second.state, second.reason) == (State.SKIPPED, Reason.OVERLAP)
    assert second.scheduled_for is None


def test_runs_are_listed_by_filter_and_page(store: Store) -> None:
    tasks = [add_task(store, at=START, overlap=Overlap.QUEUE) for _ in range(2)]
    ids = [queue(store, tasks[n % 2].id).id for n in range(10)]
    page = store.list_runs(RunFilter(limit=4))
    assert [run.id for run in page] == ids[:5:-1]
    following = store.list_runs(RunFilter(limit=4, before_id=page[-1].id))
    assert [run.id for run in following] == ids[5:1:-1]
    of_one = RunFilter(task_id=tasks[0].id, limit=2)
    assert store.count_runs(of_one) == 5
    assert {run.task_id for run in store.list_runs(of_one)} == {tasks[0].id}
    assert store.count_runs(RunFilter(states=(State.RUNNING, State.FAILED))) == 0


def test_unknown_runs_and_deleted_tasks_are_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="Run not found"):
        store.get_run(1)
    with pytest.raises(NotFoundError, match="Run not found"):
        store.request_cancel(1, at=START)
    with pytest.raises(NotFoundError, match="Task not found"):
        queue(store, 1)


def numbered() -> Callable[[], str]:
    ids = iter(["s1", "s2", "s3", "s4"])
    return lambda: next(ids)


def test_a_claim_names_its_session_and_a_retry_another(store: Store) -> None:
    new_session = numbered()
    run = queue(store, add_task(store, at=START).id)
    [first] = claim(store, new_session=new_session)
    assert (first.run.session_id, store.get_run(run.id).session_id) == ("s1", "s1")
    spent = completed(at=START, session_id="s1")
    store.requeue_run(
        run.id, claim=1, attempt=2, not_before=START, spent=spent, at=START, retries=1
    )
    [second] = claim(store, new_session=new_session)
    assert (second.run.session_id, second.run.resume_of, second.run.retries) == ("s2", None, 1)


def test_a_resume_keeps_its_session_until_it_is_begun_anew(store: Store) -> None:
    new_session = numbered()
    run = queue(store, add_task(store, at=START).id)
    claim(store, new_session=new_session)
    again: dict[str, Any] = {"not_before": START, "at": START}
    spent = completed(at=START, session_id="told")
    store.requeue_run(run.id, claim=1, attempt=2, spent=spent, resumes=True, **again)
    [resumed] = claim(store, new_session=new_session)
    assert (resumed.run.session_id, resumed.run.resume_of) == ("told", "told")
    store.requeue_run(run.id, claim=2, attempt=3, spent=spent, **again)
    [retried] = claim(store, new_session=new_session)
    assert retried.run.session_id == "told", "a retry of what goes on in a session does so too"
    store.requeue_run(run.id, claim=3, attempt=4, spent=spent, anew=True, **again)
    [anew] = claim(store, new_session=new_session)
    assert anew.run.resume_of is None
    assert anew.run.session_id not in (None, "told")


@pytest.mark.parametrize("own", [("--resume", "x"), ("--session-id=x",), ("-c",), ("-r", "x")])
def test_a_task_that_names_its_session_gets_no_other(store: Store, own: tuple[str, ...]) -> None:
    queue(store, add_task(store, at=START, extra_args=own).id)
    [claimed] = claim(store, new_session=numbered())
    assert claimed.run.session_id is None


def test_a_run_whose_agent_is_not_started_has_no_session(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    [refused] = claim(store, new_session=None)
    assert refused.run.session_id is None
    store.requeue_run(run.id, claim=1, attempt=1, not_before=START, spent=None, at=START)
    claim(store, new_session=numbered())
    failed = completed(at=START, state=State.FAILED, reason=Reason.SPAWN)
    store.finish_runs([Finish(run.id, 2, failed, None)], at=START)
    assert store.get_run(run.id).session_id is None


def test_a_network_that_is_away_is_remembered_until_the_run_got_through(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    claim(store)
    spent = completed(at=START)
    again: dict[str, Any] = {"not_before": START, "at": START, "spent": spent}
    store.requeue_run(run.id, claim=1, attempt=2, unreachable_since=START, **again)
    [claimed] = claim(store)
    assert (claimed.run.unreachable_since, claimed.run.retries) == (START, 0)
    store.requeue_run(run.id, claim=2, attempt=3, **again)
    assert store.get_run(run.id).unreachable_since is None


def test_runs_wait_for_a_network_that_is_away_but_not_for_ever(store: Store) -> None:
    run = queue(store, add_task(store, at=START).id)
    rule: dict[str, Any] = {"term": None, "text": "no network"}
    later = START + 60_000
    wait = store.postpone_unreachable
    assert wait("node-a", since=START - 900_000, look_at=later, at=START, **rule) == 1
    waiting = store.get_run(run.id)
    assert (waiting.unreachable_since, waiting.not_before) == (START, later)
    assert waiting.error == "no network"
    assert wait("node-a", since=START - 1, look_at=later + 1, at=later, **rule) == 1
    assert store.get_run(run.id).unreachable_since == START
    assert wait("node-a", since=START, look_at=later + 2, at=later + 1, **rule) == 0
