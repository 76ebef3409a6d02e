"""The dispatcher: claims queued runs and hands them to whoever carries them out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Execution, RunStore

log = logging.getLogger(__name__)


class Dispatcher:
    """Starts what may start. The leader takes the common queue, every node its own runs."""

    def __init__(
        self,
        *,
        store: RunStore,
        execution: Execution,
        node_id: str,
        max_concurrent_runs: int,
        per_node: bool = False,
        own_limit: int | None = None,
    ) -> None:
        """With ``per_node`` the limit counts this node's own runs only.

        ``own_limit`` is how many runs assigned to this very node it runs at once.
        """
        self._store = store
        self._execution = execution
        self._node_id = node_id
        self._limit = max_concurrent_runs
        self._per_node = per_node
        self._own_limit = own_limit

    def start_queued(self, term: Term | None, *, at: int) -> int:
        """Claim and launch; how many. The claim is on disk before the agent starts."""
        claimed = self._store.claim_runs(
            self._node_id,
            term=term,
            limit=self._limit,
            per_node=self._per_node,
            own_limit=self._own_limit,
            at=at,
        )
        for entry in claimed:
            run = entry.run
            log.info('run %d of task %d "%s" starts', run.id, run.task_id, run.task_name)
            self._execution.launch(entry)
        return len(claimed)

    def cancel_requested(self) -> None:
        """End the runs that somebody asked to end."""
        for run_id in self._store.cancel_requests(self._node_id):
            self._execution.cancel(run_id)

    def next_start_at(self, *, leading: bool, after: int) -> int | None:
        """When a queued run that must still wait may start."""
        return self._store.next_start_at(self._node_id, leading=leading, after=after)
