"""The dispatcher: what it claims, and within which limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import State, Trigger
from claude_tasks.domain.usage import NETWORK_PATIENCE_MS, Failure
from claude_tasks.scheduling.dispatcher import Dispatcher
from claude_tasks.scheduling.preflight import Preflight
from support.builders import MINUTELY, add_task, lead
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.store_records import Claimed


class Launches:
    """Takes what is launched, and runs nothing."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.refused: list[tuple[int, str | None]] = []

    def launch(self, claimed: Claimed) -> None:
        self.ids.append(claimed.run.id)

    def refuse(self, claimed: Claimed, _why: str, *, at: int) -> None:  # noqa: ARG002 (the port's)
        self.refused.append((claimed.run.id, claimed.run.session_id))


@pytest.mark.parametrize(("own_limit", "started"), [(None, 4), (1, 3), (0, 2)])
def test_its_own_limit_holds_for_runs_of_this_node_only(
    store: Store, own_limit: int | None, started: int
) -> None:
    for assigned_to in ("node-a", "node-a", None, None):
        task = add_task(store, at=START)
        store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=assigned_to, at=START)
    launches: Any = Launches()
    dispatcher = Dispatcher(
        store=store,
        execution=launches,
        node_id="node-a",
        max_concurrent_runs=8,
        own_limit=own_limit,
    )
    assert dispatcher.start_queued(lead(store, at=START), at=START) == started
    assert len(launches.ids) == started


def cut_off(store: Store, refused: Launches, *, code: str) -> Dispatcher:
    """A dispatcher whose sources of usage all failed with ``code`` just now."""
    store.record_failure(Failure(code, "nobody answered", START, START + 30_000))
    execution: Any = refused
    return Dispatcher(
        store=store,
        execution=execution,
        node_id="node-a",
        max_concurrent_runs=8,
        preflight=Preflight(
            store=store, threshold=lambda: 90.0, ask=lambda: None, defers=False,
            billed_by=lambda: None,
        ),
    )  # fmt: skip


def test_while_the_network_is_away_runs_wait_for_a_quarter_of_an_hour(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    term, launches = lead(store, at=START), Launches()
    dispatcher = cut_off(store, launches, code="usage_unreachable")
    assert dispatcher.start_queued(term, at=START + 1) == 0
    waiting = store.get_run(run.id)
    assert (waiting.state, waiting.unreachable_since) == (State.QUEUED, START + 1)
    assert waiting.not_before == START + 30_001
    assert "the network is away" in (waiting.error or "")
    late = START + NETWORK_PATIENCE_MS + 2
    store.record_failure(Failure("usage_unreachable", "nobody answered", late, late + 30_000))
    assert dispatcher.start_queued(term, at=late) == 1
    assert launches.refused == [(run.id, None)], "and it has no session: no agent is started"


def test_other_trouble_is_a_failed_preflight_at_once(store: Store) -> None:
    task = add_task(store, at=START, cron_expr=MINUTELY)
    run = store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to=None, at=START)
    launches = Launches()
    dispatcher = cut_off(store, launches, code="usage_unauthorized")
    assert dispatcher.start_queued(lead(store, at=START), at=START + 1) == 1
    assert [run_id for run_id, _ in launches.refused] == [run.id]
