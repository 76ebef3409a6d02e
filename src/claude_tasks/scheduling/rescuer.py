"""The rescuer: this node takes over the runs of a node that died or hangs.

Only the lifetime lock tells that a node is dead, never the passing of time: a run may be long. The
beat tells that a node hangs; only the leader acts on that, and the node may wake up at any time.
The claim's compare-and-swap then keeps it from recording an end twice, and the claim's tombstone
from starting a run that was queued again. A run in progress goes on under its supervisor either
way.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import IllegibleError, NotFoundError, StorageValueError

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Execution, Store
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import IllegibleRun
    from claude_tasks.scheduling.lifetime import NodeRegistry

log = logging.getLogger(__name__)


class _Fate(StrEnum):
    """Why the claims of a node are to be settled."""

    DEAD = "dead"
    HUNG = "hung"


class Rescuer:
    """Adopts running runs, releases queued ones, clears the registry."""

    def __init__(
        self, *, store: Store, execution: Execution, registry: NodeRegistry, node_id: str
    ) -> None:
        """``registry`` knows which nodes live."""
        self._store = store
        self._execution = execution
        self._node_id = node_id
        self._registry = registry
        self._illegible: set[int] = set()

    def resume_own(self) -> int:
        """Watch this node's own claims that a pass did not launch because it failed before."""
        forgotten = [
            run for run in self._store.running_of(self._node_id) if not self._execution.watches(run)
        ]
        for run in forgotten:
            self._watch(run)
        return len(forgotten)

    def take_over(self, term: Term | None, *, at: int) -> int:
        """Rescue all that other nodes left behind; how many runs."""
        rescued = 0
        for run in self._store.running_elsewhere(self._node_id):
            fate = self._fate(run.claimed_by, term)
            if fate is not None:
                rescued += self._adopt(run, term, fate, at=at)
        rescued += self._store.release_nobodys(at=at)
        for node_id in self._store.assigned_nodes():
            if self._fate(node_id, term) is not None:
                rescued += self._store.release_assigned(node_id, at=at)
        self._registry.forget_the_dead()
        self._end_illegible(at=at)
        return rescued

    def _end_illegible(self, *, at: int) -> None:
        """Repair the unreadable rows of running runs; the next look at their folders settles them.

        Where the row no longer identifies its claim, the run ends once no process of it lives. Not
        at the first look: the node that watched it before the row was damaged records its end.
        """
        found = {run.run_id: run for run in self._store.illegible_running()}
        seen, self._illegible = self._illegible, set(found)
        for run_id in found.keys() & seen:
            try:
                self._set_right_or_end(found[run_id], at=at)
            except StorageValueError as error:  # it ended just now
                log.warning("%s: it stays as it is: %s", found[run_id].error, error)

    def _set_right_or_end(self, run: IllegibleRun, *, at: int) -> None:
        lives = self._execution.lives(run.run_id)
        if self._store.mend_run(run.run_id, node_id=self._node_id, lives=lives, at=at):
            log.warning("%s: it is set right", run.error)
        elif not lives:
            log.error("%s: it is ended", run.error)
            self._store.fail_illegible_run(run, at=at)

    def tidy(self) -> None:
        """Remove the folders of claims that are over, this node's own included."""
        self._execution.tidy(lambda it: it == self._node_id or self._registry.is_dead(it))

    def _fate(self, node_id: str | None, term: Term | None) -> _Fate | None:
        """Whether a node is dead or hangs; None while its claims remain its own."""
        if node_id is None:
            return None
        if self._registry.is_dead(node_id):
            return _Fate.DEAD
        return _Fate.HUNG if term is not None and self._registry.is_hung(node_id) else None

    def _adopt(self, run: Run, term: Term | None, fate: _Fate, *, at: int) -> int:
        epoch = run.lease_epoch if term is None else term.epoch
        if not self._store.adopt_run(run, node_id=self._node_id, epoch=epoch, at=at):
            return 0  # another node was faster, or it ended
        log.info("adopted run %d of %s node %s", run.id, fate, run.claimed_by)
        self._watch(run)
        return 1

    def _watch(self, run: Run) -> None:
        try:
            task = self._store.get_task(run.task_id, include_deleted=True)
        except (NotFoundError, IllegibleError):  # its folder may say enough
            task = None
        self._execution.adopt(run, task)
