"""The dispatcher: claims queued runs and hands them to whoever carries them out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from claude_tasks.domain.usage import Answer

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Execution, RunStore
    from claude_tasks.domain.store_records import UsageBlock
    from claude_tasks.scheduling.preflight import Preflight

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
        preflight: Preflight | None = None,
    ) -> None:
        """With ``per_node`` the limit counts this node's own runs only.

        ``own_limit`` is how many runs assigned to this very node it runs at once. Without a
        ``preflight`` usage is of no interest.
        """
        self._store = store
        self._execution = execution
        self._node_id = node_id
        self._limit = max_concurrent_runs
        self._per_node = per_node
        self._own_limit = own_limit
        self._preflight = preflight

    def start_queued(self, term: Term | None, *, at: int) -> int:
        """Start what may start, if preflight lets it; how many."""
        if self._preflight is None:
            return self._start(term, None, at=at)
        if not self._store.has_startable(self._node_id, leading=term is not None, at=at):
            return 0
        judgement = self._preflight.judge(at=at)
        if judgement.answer is Answer.ASK:
            self._preflight.ask()
            return 0
        if judgement.answer is Answer.OVER:
            self._turn_away(term, self._preflight.block(judgement, at=at), at=at)
            return 0
        fails = judgement.answer is Answer.UNAVAILABLE
        refusal = self._preflight.refusal(judgement, at=at) if fails else None
        return self._start(term, refusal, at=at)

    def _turn_away(self, term: Term | None, block: UsageBlock, *, at: int) -> None:
        done = self._store.turn_away(self._node_id, term=term, block=block, at=at)
        log.warning("%s: %d skipped, %d deferred", block.text, done.skipped, done.deferred)

    def _start(self, term: Term | None, refusal: str | None, *, at: int) -> int:
        """Claim and launch, or refuse; how many. The claim is on disk before the agent starts."""
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
            if refusal is not None:
                self._execution.refuse(entry, refusal, at=at)
                continue
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
