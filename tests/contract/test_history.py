"""The store's contract: search and figures over a history, whatever of it was announced by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.run_figures import RunFigures
from claude_tasks.domain.store_records import Finish, RunFilter
from claude_tasks.domain.tick import plan_ticks
from support.builders import MINUTELY, add_task, completed, lead
from support.clock import START
from support.profile import examples

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store

TEXTS = st.text(st.sampled_from('abAB äÄéİßẞΣς"%*_\n\t\x07\u200b猫🐈'), max_size=12)


def ended(store: Store, task_id: int, *, output: str = "", error: str | None = None) -> int:
    run = store.add_run(task_id, trigger=Trigger.MANUAL, assigned_to="node-a", at=START)
    store.claim_runs("node-a", term=None, limit=1, per_node=True, at=START + 20)
    end = completed(at=START + 5020)._replace(output=output, error=error)
    assert store.finish_runs([Finish(run.id, 1, end, None)], at=START + 5020) == [True]
    return run.id


def announce(store: Store, *, limit: int = 500) -> None:
    ids = [each.run_id for each in store.unannounced(limit=limit)]
    store.announce(ids, [], at=START)


def found(store: Store, text: str, **wanted: Any) -> list[int]:
    asked = RunFilter(**{"limit": 100, **wanted}, text=text)
    ids = [run.id for run in store.list_runs(asked)]
    assert ids == sorted(ids, reverse=True)
    return ids


@settings(
    max_examples=examples(quick=15, full=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_search_finds_what_holds_the_text_whatever_is_indexed(
    store: Store, data: st.DataObject
) -> None:
    task = add_task(store, at=START, name=f"task {data.draw(TEXTS)}".strip().replace("\n", " ")
                    .replace("\t", " ").replace("\x07", "").replace("\u200b", ""),
                    max_concurrency=1000)  # fmt: skip
    said: dict[int, tuple[str, str]] = {}
    for _ in range(data.draw(st.integers(1, 6))):
        output, error = data.draw(TEXTS), data.draw(TEXTS)
        run_id = ended(store, task.id, output=output, error=error or None)
        said[run_id] = (output, error)
        if data.draw(st.booleans()):
            announce(store, limit=data.draw(st.integers(1, 3)))
    for text in data.draw(st.lists(TEXTS, min_size=1, max_size=5)):
        wanted = text.lower()
        expected = {
            run_id
            for run_id, texts in said.items()
            if any(wanted in each.lower() for each in (*texts, task.name))
        }
        assert set(found(store, text, task_id=task.id)) == expected, text
        assert store.count_runs(RunFilter(task_id=task.id, text=text)) == len(expected)


def test_a_page_of_what_is_found_ends_where_the_next_begins(store: Store) -> None:
    task = add_task(store, at=START, max_concurrency=1000)
    ids = [ended(store, task.id, output=f"the needle, number {n}") for n in range(7)]
    announce(store, limit=4)
    open_one = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START).id
    assert found(store, "needle", limit=3) == ids[:3:-1]
    assert found(store, "NEEDLE, num", limit=3, before_id=ids[4]) == ids[3:0:-1]
    assert found(store, "needle", limit=9, before_id=ids[1]) == [ids[0]]
    assert open_one not in found(store, "needle")
    assert store.count_runs(RunFilter(text="needle"), most=4) == 4


@pytest.mark.parametrize("text", ["x" * 5000, '"; DROP', "a AND b", "NEAR(", "*", "^a", "a:b", ""])
def test_no_text_is_a_query(store: Store, text: str) -> None:
    task = add_task(store, at=START)
    holds = ended(store, task.id, output=f"before {text} after")
    announce(store)
    assert found(store, text) == [holds]
    assert found(store, f"{text}!") == []


def all_figures(store: Store) -> RunFigures:
    """Counted from the rows themselves."""
    figures = RunFigures()
    wanted = RunFilter(limit=1000)
    for run in store.list_runs(wanted):
        figures.enter(_facts(run))
    return figures


def _facts(run: Any) -> Any:
    from claude_tasks.domain.store_records import RunFacts  # noqa: PLC0415

    values = {name: getattr(run, name) for name in RunFacts._fields}
    if values["scheduled_for"] is None:
        values["scheduled_for"] = run.covers
    return RunFacts(**values)


def cells(figures: RunFigures) -> list[tuple[str, str, float]]:
    return sorted(figures.cells())


def test_figures_are_those_of_all_rows_before_and_after_they_were_announced(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY, catchup_window_seconds=60)
    term, at = lead(store, at=START), START + 400_250
    store.record_ticks(term, [plan_ticks(task, at=at)], at=at)
    assert (store.run_figures().open[State.QUEUED], store.run_figures().ticks["run"]) == (1, 0)
    [claimed] = store.claim_runs("node-a", term=term, limit=1, per_node=False, at=at + 10)
    assert (store.run_figures().open[State.RUNNING], store.run_figures().ticks["run"]) == (1, 1)
    announce(store)
    end = completed(at=at + 10, cost_usd=0.125, input_tokens=3, output_tokens=4)
    store.finish_runs([Finish(claimed.run.id, 1, end, None)], at=at)
    by_hand = add_task(store, at=START, name="other", max_concurrency=9)
    for _ in range(3):
        ended(store, by_hand.id, output="x", error="y")
        assert cells(store.run_figures()) == cells(all_figures(store))
        announce(store, limit=1)
        assert cells(store.run_figures()) == cells(all_figures(store))
    announce(store)
    figures = store.run_figures()
    assert cells(figures) == cells(all_figures(store))
    assert figures.ticks[str(Reason.MISSED)] == 6
    assert figures.sums["cost_usd"] == 0.125


def test_what_was_announced_twice_counts_once(store: Store) -> None:
    """Two who read the outbox at once: the second finds nothing of it left."""
    task = add_task(store, at=START)
    run_id = ended(store, task.id, output="once")
    store.announce([run_id], [], at=START)
    store.announce([run_id], [], at=START)
    assert cells(store.run_figures()) == cells(all_figures(store))
    assert found(store, "once") == [run_id]
