"""The rescuer: what a dead node left behind goes on under this one.

Death is the kernel's word (the lifetime lock), never a matter of time: a long run is not dead. An
adopted run may still be running under its supervisor; whoever watches its folder finds out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Execution, Store
    from claude_tasks.domain.run import Run
    from claude_tasks.scheduling.lifetime import Register

log = logging.getLogger(__name__)


class Rescuer:
    """Adopts running runs, hands on queued ones, clears the register."""

    def __init__(
        self, *, store: Store, execution: Execution, register: Register, node_id: str
    ) -> None:
        """``register`` knows who lives."""
        self._store = store
        self._execution = execution
        self._node_id = node_id
        self._register = register

    def resume_own(self) -> int:
        """Watch the claims of ours that nobody watches: a pass failed between claim and launch."""
        forgotten = [
            run for run in self._store.running_of(self._node_id) if not self._execution.watches(run)
        ]
        for run in forgotten:
            self._watch(run)
        return len(forgotten)

    def take_over(self, term: Term | None, *, at: int) -> int:
        """Rescue all that dead nodes left; how many runs."""
        rescued = 0
        for run in self._store.running_elsewhere(self._node_id):
            if run.claimed_by is not None and self._register.is_dead(run.claimed_by):
                rescued += self._adopt(run, term, at=at)
        for node_id in self._store.assigned_nodes():
            if self._register.is_dead(node_id):
                rescued += self._store.release_assigned(node_id, at=at)
        self._register.forget_the_dead()
        return rescued

    def _adopt(self, run: Run, term: Term | None, *, at: int) -> int:
        epoch = run.lease_epoch if term is None else term.epoch
        if not self._store.adopt_run(run, node_id=self._node_id, epoch=epoch, at=at):
            return 0  # another node was faster, or it ended
        log.info("adopted run %d of dead node %s", run.id, run.claimed_by)
        self._watch(run)
        return 1

    def _watch(self, run: Run) -> None:
        self._execution.adopt(run, self._store.get_task(run.task_id, include_deleted=True))
