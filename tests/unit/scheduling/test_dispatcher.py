"""The dispatcher: what it claims, and within which limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import Trigger
from claude_tasks.scheduling.dispatcher import Dispatcher
from support.builders import add_task, lead
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.store_records import Claimed


class Launches:
    """Takes what is launched, and runs nothing."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def launch(self, claimed: Claimed) -> None:
        self.ids.append(claimed.run.id)


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
