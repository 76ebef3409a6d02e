"""The store's contract: what becomes of a running row that somebody spoiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.errors import ClaudeTasksError
from claude_tasks.domain.node import is_node_id
from claude_tasks.domain.run import Run, State, Trigger
from support.builders import add_task
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Store

TELLING = ("claim", "queued_at", "launched_by")
"""By these a claim is known: nobody makes them up."""
WISHES = {"cancel_requested_at": START + 1, "claimed_by": "node-b"}
KEPT = [name for name in Run._fields if name not in ("id", "task_id", "task_name")]


@pytest.fixture
def spoil(open_another: Callable[[], Store]) -> Callable[[str, str], None]:
    connection = open_another()._connection  # type: ignore[attr-defined]

    def write(column: str, value: str) -> None:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE task_runs SET {column} = {value}")

    return write


def running(store: Store) -> Run:
    task = add_task(store, at=START)
    run = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="node-a", at=START)
    [claimed] = store.claim_runs("node-a", term=None, limit=1, per_node=False, at=START)
    assert claimed.run.id == run.id
    return claimed.run


def is_legible(store: Store, run: Run) -> bool:
    try:
        return is_node_id(store.get_run(run.id).claimed_by)
    except ClaudeTasksError:
        return False


@pytest.mark.parametrize("value", ["X'ff00'", "'zzz'", "'[' || hex(zeroblob(50))", "NULL"])
@pytest.mark.parametrize("column", KEPT)
def test_a_row_is_set_right_but_for_what_tells_one_claim_from_another(
    store: Store, spoil: Callable[[str, str], None], column: str, value: str
) -> None:
    before = running(store)
    try:
        spoil(column, value)
    except ClaudeTasksError:
        assert value == "NULL", "the database itself refuses that, and nothing else"
        return
    if is_legible(store, before):  # a text in a column of texts
        assert not store.mend_run(before.id, node_id="node-b", lives=False, at=START + 1)
        return
    found = [run.run_id for run in store.illegible_running()]
    assert found == [before.id]
    assert store.mend_run(before.id, node_id="node-b", lives=False, at=START + 1) is (
        column not in TELLING
    )
    if column in TELLING:
        assert not is_legible(store, before)
        return
    after = store.get_run(before.id)
    assert after.state is State.RUNNING
    rest = {name: getattr(before, name) for name in Run._fields if name != column}
    assert {name: getattr(after, name) for name in rest} == rest
    if column in WISHES:
        assert getattr(after, column) == WISHES[column]


@pytest.mark.parametrize(
    ("also", "lives", "state"),
    [
        ("started_at = started_at", False, State.RUNNING),
        ("started_at = NULL", False, State.RUNNING),
        ("ended_at = 5", False, State.FAILED),
        ("ended_at = 5", True, State.RUNNING),
        ("started_at = NULL, claimed_by = NULL", False, State.FAILED),
        ("started_at = NULL, claimed_by = NULL", True, State.RUNNING),
    ],
)
def test_a_run_in_no_state_never_starts_anew(
    store: Store,
    open_another: Callable[[], Store],
    also: str,
    lives: bool,  # noqa: FBT001 (a parameter of the table above)
    state: State,
) -> None:
    run = running(store)
    connection = open_another()._connection  # type: ignore[attr-defined]
    connection.execute(f"UPDATE task_runs SET state = 'pending', {also}")
    assert store.mend_run(run.id, node_id="node-b", lives=lives, at=START)
    after = store.get_run(run.id)
    assert (after.state, after.claim) == (state, run.claim)
    assert (after.ended_at is None) == (state is State.RUNNING)


def test_a_tick_whose_trigger_cannot_be_read_stays_one(
    store: Store, spoil: Callable[[str, str], None]
) -> None:
    run = running(store)
    spoil("scheduled_for", str(START))
    spoil("trigger", "'odd'")
    assert store.mend_run(run.id, node_id="node-b", lives=False, at=START)
    assert store.get_run(run.id).trigger is Trigger.SCHEDULE
