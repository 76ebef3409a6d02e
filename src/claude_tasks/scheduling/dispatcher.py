"""The dispatcher: claims queued runs and hands them to the execution."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.session import fresh_session
from claude_tasks.domain.usage import NETWORK_PATIENCE_MS, Decision
from claude_tasks.scheduling.preflight import PATIENCE_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Execution
    from claude_tasks.domain.run_ports import RunStore
    from claude_tasks.domain.store_records import UsageBlock
    from claude_tasks.domain.usage import Judgement
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
        new_session: Callable[[], str] = fresh_session,
    ) -> None:
        """With ``per_node`` the limit counts this node's own runs only.

        ``own_limit`` is how many runs assigned to this node it runs at once. Without a
        ``preflight`` usage is not checked. ``new_session`` gives an id that no run has had.
        """
        self._store = store
        self._execution = execution
        self._node_id = node_id
        self._limit = max_concurrent_runs
        self._per_node = per_node
        self._own_limit = own_limit
        self._preflight = preflight
        self._new_session = new_session

    def start_queued(self, term: Term | None, *, at: int) -> int:
        """Start what may start, if preflight lets it; how many."""
        preflight = self._preflight
        if preflight is None:
            return self._start_freely(term, at=at)
        if not self._has_startable(term, at=at):
            return 0
        if not preflight.applies():
            return self._start_freely(term, at=at)
        return self._start_as_judged(preflight, term, at=at)

    def _start_as_judged(self, preflight: Preflight, term: Term | None, *, at: int) -> int:
        judgement = preflight.decide(at=at)
        if judgement.decision is Decision.UNAVAILABLE:
            return self._refuse(term, preflight, judgement, at=at)
        if judgement.decision is Decision.GO:
            return self._start_freely(term, at=at)
        if judgement.decision is Decision.ASK:
            preflight.ask()
        else:
            self._turn_away(term, preflight.block(judgement, at=at), at=at)
        return 0

    def _start_freely(self, term: Term | None, *, at: int) -> int:
        """Usage allows runs: release the deferred ones too, and start."""
        if term is not None:
            self._store.reconsider_deferred(at=at)
        return self._start(term, None, at=at)

    def _has_startable(self, term: Term | None, *, at: int) -> bool:
        """Whether a run could start: without room for one, usage need not be asked for."""
        return self._store.has_startable(
            self._node_id,
            leading=term is not None,
            limit=self._limit,
            per_node=self._per_node,
            own_limit=self._own_limit,
            at=at,
        )

    def _refuse(
        self, term: Term | None, preflight: Preflight, judgement: Judgement, *, at: int
    ) -> int:
        """Usage is unknown: runs that waited for a reset wait a little longer, the others fail.

        Where the network cannot be reached, all wait for it, up to a limit.
        """
        refusal = preflight.refusal(judgement, at=at)
        look_at = preflight.look_again_at(judgement, at=at)
        self._store.postpone_deferred(
            self._node_id,
            term=term,
            since=at - PATIENCE_MS,
            text=f"{refusal}; asked again at {to_rfc3339(look_at)}",
            look_at=look_at,
            at=at,
        )
        if preflight.is_cut_off(judgement):
            self._store.postpone_unreachable(
                self._node_id,
                term=term,
                since=at - NETWORK_PATIENCE_MS,
                text=f"{refusal}; the network is away, asked again at {to_rfc3339(look_at)}",
                look_at=look_at,
                at=at,
            )
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
            new_session=self._new_session if refusal is None else None,
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
        """End the runs with a cancel request."""
        for run_id in self._store.cancel_requests(self._node_id):
            self._execution.cancel(run_id)

    def next_start_at(self, *, leading: bool, after: int) -> int | None:
        """When the next queued run that must wait may start."""
        return self._store.next_start_at(self._node_id, leading=leading, after=after)
