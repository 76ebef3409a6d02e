"""The store's contract: finding runs, and the facts that figures are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import StorageValueError
from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.store_records import Finish, RunFilter
from support.builders import add_task, completed
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store


def queue(store: Store, *, at: int = START, **fields: Any) -> int:
    task = add_task(store, at=START, **fields)
    return store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="node-a", at=at).id


def run(store: Store, *, at: int = START, name: str = "review", **outcome: Any) -> int:
    """A run that ended as told."""
    run_id = queue(store, at=at, name=name)
    store.claim_runs("node-a", term=None, limit=1, per_node=True, at=at)
    end = completed(at=at)._replace(**outcome)
    assert store.finish_runs([Finish(run_id, 1, end, None)], at=at) == [True]
    return run_id


def found(store: Store, **wanted: Any) -> set[int]:
    """The ids that a filter finds; the count must agree."""
    asked = RunFilter(**{"limit": 100, **wanted})
    ids = {entry.id for entry in store.list_runs(asked)}
    assert store.count_runs(asked) == len(ids)
    return ids


def test_runs_are_found_by_their_reasons(store: Store) -> None:
    failed: dict[str, Any] = {"state": State.FAILED}
    late = run(store, reason=Reason.TIMEOUT, **failed)
    gone = run(store, reason=Reason.LOST, **failed)
    fine = run(store)
    assert found(store, reasons=(Reason.TIMEOUT,)) == {late}
    assert found(store, reasons=(Reason.TIMEOUT, Reason.LOST)) == {late, gone}
    assert found(store, reasons=(Reason.EXIT,)) == set()
    assert found(store) == {late, gone, fine}


def test_runs_are_found_by_when_they_began_or_were_queued(store: Store) -> None:
    began = run(store, at=START, started_at=START + 500)
    waits = queue(store, at=START + 100)
    assert found(store, since=START + 100) == {began, waits}
    assert found(store, since=START + 101) == {began}
    assert found(store, since=START + 501) == set()
    assert found(store, until=START + 100) == set()
    assert found(store, until=START + 101) == {waits}
    assert found(store, since=START + 100, until=START + 500) == {waits}
    assert found(store, since=START + 500, until=START + 501) == {began}


def test_runs_are_found_by_what_they_say_and_the_name_of_their_task(store: Store) -> None:
    said = run(store, output="All tests pass.\nNothing else to do")
    failed = run(store, state=State.FAILED, reason=Reason.EXIT, error="Überlauf: disk FULL")
    named = run(store, name="Nightly Größe")
    waits = queue(store, name="nothing yet")
    assert found(store, text="TESTS pass") == {said}
    assert found(store, text="full") == {failed}
    assert found(store, text="überLAUF") == {failed}
    assert found(store, text="nIGHTLY grÖ") == {named}
    assert found(store, text="NOTHING") == {said, waits}
    assert found(store, text="") == {said, failed, named, waits}
    assert found(store, text="not there") == set()


@pytest.mark.parametrize("text", ["100%", "a_b", "back\\slash", "it's", '"quoted"', "[x]*?"])
def test_no_character_of_a_search_has_a_meaning_of_its_own(store: Store, text: str) -> None:
    run(store, output="100 a-b axb backslash its quoted x 1000")
    holds = run(store, output=f"before {text} after")
    assert found(store, text=text) == {holds}


def test_a_long_search_is_as_good_as_a_short_one(store: Store) -> None:
    long = "% and on " * 10_000
    run(store, output="short")
    holds = run(store, output=f"it says {long}, over and out")
    assert found(store, text=long) == {holds}


def test_all_parts_of_a_filter_must_hold(store: Store) -> None:
    failed = {"state": State.FAILED, "reason": Reason.EXIT, "output": "boom"}
    wanted = run(store, at=START + 10, **failed)
    run(store, at=START, **failed)
    run(store, at=START + 10, output="boom")
    run(store, at=START + 10, state=State.FAILED, reason=Reason.EXIT)
    filter_ = {"states": (State.FAILED,), "reasons": (Reason.EXIT,), "since": START + 10}
    task_id = store.get_run(wanted).task_id
    assert found(store, **filter_, text="boom") == {wanted}
    assert found(store, **filter_, text="boom", task_id=task_id) == {wanted}
    assert found(store, **filter_, text="boom", task_id=task_id + 1) == set()
    page = RunFilter(**filter_, text="boom", before_id=wanted)  # type: ignore[arg-type]
    assert (store.list_runs(page), store.count_runs(page)) == ([], 1)


@pytest.mark.parametrize(
    "wanted", [{"task_id": 10**30}, {"before_id": 2**63}, {"since": -(10**30)}, {"text": "\ud800"}]
)
def test_a_value_no_column_takes_is_refused_in_our_words(store: Store, wanted: Any) -> None:
    with pytest.raises(StorageValueError):
        store.list_runs(RunFilter(**wanted))


def test_the_runs_that_wait_for_a_node_are_counted(store: Store) -> None:
    queue(store)
    queue(store)
    common = add_task(store, at=START)
    store.add_run(common.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    assert (store.count_waiting("node-a"), store.count_waiting("node-b")) == (2, 0)
    store.claim_runs("node-a", term=None, limit=1, per_node=True, at=START)
    assert store.count_waiting("node-a") == 1
