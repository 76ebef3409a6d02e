"""Messages in the store: one attempt at a time, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.notification import DeliveryState, NewDelivery
from claude_tasks.domain.run import Trigger
from support.builders import MINUTELY, add_task
from support.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.notification import DueDelivery
    from claude_tasks.domain.ports import Store


@pytest.fixture
def due(store: Store) -> DueDelivery:
    """A message about a run, due now."""
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    store.add_deliveries(
        [NewDelivery(task.id, run.id, None, "slack", "https://x", "failed")] * 2, at=START
    )
    [found] = store.due_deliveries(at=START, limit=9)
    return found


def test_two_who_saw_the_same_message_do_not_both_send_it(
    store: Store, open_another: Callable[[], Store], due: DueDelivery
) -> None:
    other = open_another()
    assert other.due_deliveries(at=START, limit=9) == [due]
    assert store.begin_delivery(due, until=START + 60_000)
    assert not other.begin_delivery(due, until=START + 60_000)
    assert other.due_deliveries(at=START + 59_999, limit=9) == []


def test_the_end_of_an_attempt_that_was_taken_for_dead_changes_nothing(
    store: Store, due: DueDelivery
) -> None:
    store.begin_delivery(due, until=START + 60_000)
    [again] = store.due_deliveries(at=START + 60_000, limit=9)
    store.begin_delivery(again, until=START + 120_000)
    assert due.run_id is not None
    for attempts, state in ((1, DeliveryState.PENDING), (2, DeliveryState.SENT)):
        store.end_delivery(
            due.id, DeliveryState.SENT, attempts=attempts, next_attempt_at=None, error=None,
            at=START + 61_000,
        )  # fmt: skip
        assert store.deliveries_of(due.run_id)[0].state is state
    store.end_delivery(
        due.id, DeliveryState.FAILED, attempts=2, next_attempt_at=None, error="late", at=START
    )
    assert store.deliveries_of(due.run_id)[0].state is DeliveryState.SENT


def test_of_one_address_only_a_few_are_due_at_once(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    for target, count in (("https://busy", 20), ("https://quiet", 1)):
        for tick in range(count):
            new = NewDelivery(task.id, None, tick, "slack", target, "overdue")
            store.add_deliveries([new], at=START)
    targets = [each.target for each in store.due_deliveries(at=START, limit=99)]
    assert targets.count("https://busy") == 5
    assert targets[1] == "https://quiet"


def test_messages_of_one_task_are_listed_apart(store: Store, due: DueDelivery) -> None:
    other = add_task(store, at=START, cron_expr=MINUTELY)
    new = NewDelivery(other.id, None, START, "slack", "https://x", "overdue")
    store.add_deliveries([new], at=START)
    assert [each.task_id for each in store.list_deliveries(limit=9)] == [other.id, due.task_id]
    assert [each.id for each in store.list_deliveries(limit=9, task_id=due.task_id)] == [due.id]
