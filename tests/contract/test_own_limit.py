"""The store's contract: how many runs a node takes for itself, and what that leaves to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_tasks.domain.run import State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter
from claude_tasks.domain.task_fields import Overlap
from support.builders import add_task, completed, lead
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task

ME = "node-a"


def queue(store: Store, task: Task, *, node: str | None = ME) -> int:
    return store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=node, at=START).id


def claim(
    store: Store, *, own_limit: int | None, limit: int = 8, term: Term | None = None
) -> list[int]:
    claimed = store.claim_runs(
        ME, term=term, limit=limit, per_node=False, own_limit=own_limit, at=START
    )
    return [entry.run.id for entry in claimed]


def end(store: Store, run_id: int) -> None:
    assert store.finish_runs([Finish(run_id, 1, completed(at=START), None)], at=START) == [True]


def test_a_nodes_own_limit_holds_across_claims(store: Store) -> None:
    ids = [queue(store, add_task(store, at=START)) for _ in range(4)]
    assert claim(store, own_limit=2) == ids[:2]
    assert claim(store, own_limit=2) == []
    end(store, ids[0])
    assert claim(store, own_limit=2) == ids[2:3]
    assert claim(store, own_limit=None) == ids[3:]


def test_an_own_limit_of_zero_starts_none_of_them(store: Store) -> None:
    queue(store, add_task(store, at=START))
    common = queue(store, add_task(store, at=START), node=None)
    assert claim(store, own_limit=0, term=lead(store, at=START)) == [common]


def test_runs_over_the_own_limit_hold_up_nothing_else(store: Store) -> None:
    own = [queue(store, add_task(store, at=START)) for _ in range(12)]
    common = [queue(store, add_task(store, at=START), node=None) for _ in range(3)]
    term = lead(store, at=START)
    assert claim(store, own_limit=1, limit=4, term=term) == [own[0], *common]


def test_a_run_over_the_own_limit_leaves_its_tasks_place_to_the_common_queue(store: Store) -> None:
    term = lead(store, at=START)
    task = add_task(store, at=START, overlap=Overlap.QUEUE)
    queue(store, task)
    common = queue(store, task, node=None)
    assert claim(store, own_limit=0, term=term) == [common]


def test_a_run_that_its_task_holds_back_takes_no_own_place(store: Store) -> None:
    term = lead(store, at=START)
    busy = add_task(store, at=START, overlap=Overlap.QUEUE)
    first = queue(store, busy, node=None)
    for _ in range(5):
        queue(store, busy)
    free = queue(store, add_task(store, at=START))
    assert claim(store, own_limit=1, limit=2, term=term) == [first, free]


def test_a_tasks_limit_holds_over_both_queues(store: Store) -> None:
    task = add_task(store, at=START, overlap=Overlap.QUEUE, max_concurrency=3)
    ids = [queue(store, task, node=ME if n % 2 else None) for n in range(6)]
    assert claim(store, own_limit=8, term=lead(store, at=START)) == ids[:3]


def test_the_global_limit_holds_over_both_queues_oldest_first(store: Store) -> None:
    nodes = [None, ME, None, ME, None, ME]
    ids = [queue(store, add_task(store, at=START), node=node) for node in nodes]
    assert claim(store, own_limit=2, limit=5, term=lead(store, at=START)) == ids[:5]
    assert claim(store, own_limit=2, limit=5) == []


def test_common_runs_do_not_count_against_the_own_limit(store: Store) -> None:
    queue(store, add_task(store, at=START), node=None)
    claim(store, own_limit=1, term=lead(store, at=START))
    own = queue(store, add_task(store, at=START))
    assert claim(store, own_limit=1) == [own]


class Planned(NamedTuple):
    """A run to queue."""

    task: int
    own: bool


def greedy(
    store: Store, tasks: dict[int, Task], *, limit: int, own_limit: int, leading: bool
) -> list[int]:
    """The rule in plain words: oldest first, each run that no limit forbids."""
    runs = store.list_runs(RunFilter(limit=1000))[::-1]
    running: list[Run] = [run for run in runs if run.state is State.RUNNING]
    started: list[int] = []
    for run in runs:
        if run.state is not State.QUEUED or not (leading or run.assigned_to == ME):
            continue
        of_task = sum(other.task_id == run.task_id for other in running)
        own = sum(other.assigned_to == ME and other.claimed_by == ME for other in running)
        if (
            len(running) < limit
            and of_task < (tasks[run.task_id].spec.max_concurrency or 1)
            and not (run.assigned_to == ME and own >= own_limit)
        ):
            running.append(run._replace(claimed_by=ME))
            started.append(run.id)
    return started


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    concurrency=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    planned=st.lists(st.builds(Planned, st.integers(0, 3), st.booleans()), max_size=14),
    limits=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 4), st.booleans()), min_size=1, max_size=4
    ),
)
def test_what_starts_is_what_a_plain_walk_from_the_oldest_would_start(
    open_another: Callable[[], Store],
    concurrency: list[int],
    planned: list[Planned],
    limits: list[tuple[int, int, bool]],
) -> None:
    store = open_another()
    for left in store.list_runs(RunFilter(states=(State.QUEUED, State.RUNNING), limit=1000)):
        if left.state is State.QUEUED:
            store.request_cancel(left.id, at=START)
        else:
            end(store, left.id)
    made = [
        add_task(store, at=START, overlap=Overlap.QUEUE, max_concurrency=most)
        for most in concurrency
    ]
    for entry in planned:
        queue(store, made[entry.task % len(made)], node=ME if entry.own else None)
    tasks = {task.id: task for task in made}
    term = lead(store, at=START)
    for limit, own_limit, leading in limits:
        expected = greedy(store, tasks, limit=limit, own_limit=own_limit, leading=leading)
        told = term if leading else None
        assert claim(store, own_limit=own_limit, limit=limit, term=told) == expected
    store.close()
