"""Run a task now, cancel a run, look at runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import IllegibleError, NotFoundError
from claude_tasks.domain.run import State, Trigger
from claude_tasks.domain.store_records import MOST_COUNTED, RunFilter, TaskSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.run_figures import RunFigures
    from claude_tasks.domain.run_ports import RunStore
    from claude_tasks.domain.task import Task


class RunOperations:
    """What can be done with runs."""

    def __init__(self, store: RunStore, clock: Clock, *, ask_to_end: Callable[[Run], bool]) -> None:
        """``ask_to_end`` signals the supervisor of a running run, whichever node watches it."""
        self._store = store
        self._clock = clock
        self._ask_to_end = ask_to_end

    def start(self, task_id: int, *, assigned_to: str | None = None) -> Run:
        """Queue a run by hand: for the leader, or for the node named.

        The overlap rule holds for it too: the run comes back ``skipped`` when the task is busy.
        """
        return self._store.add_run(
            task_id, trigger=Trigger.MANUAL, assigned_to=assigned_to, at=self._clock.now()
        )

    def get(self, run_id: int) -> Run:
        """One run. Errors: `NotFoundError`."""
        return self._store.get_run(run_id)

    def list(self, wanted: RunFilter) -> list[Run]:
        """Runs, newest first."""
        return self._store.list_runs(wanted)

    def count(self, wanted: RunFilter, *, most: int | None = None) -> int:
        """How many match, whatever the page; ``most`` for so many or more."""
        return self._store.count_runs(wanted, most=most)

    def counts_since(self, since: int) -> dict[State, int]:
        """How many runs that began, or were queued, from then on (ms) are in each ended state."""
        ended = [state for state in State if state.is_terminal]
        return {
            state: self._store.count_runs(
                RunFilter(states=(state,), since=since), most=MOST_COUNTED
            )
            for state in ended
        }

    def figures(self) -> RunFigures:
        """Figures about all runs there ever were."""
        return self._store.run_figures()

    def running_of(self, node_id: str) -> Sequence[Run]:
        """The running runs that a node watches, or watched when it stopped."""
        return self._store.running_of(node_id)

    def waiting_for(self, node_id: str) -> int:
        """How many queued runs only this node may execute."""
        return self._store.count_waiting(node_id)

    def latest(self, task_id: int) -> Run | None:
        """The newest run of a task."""
        found = self._store.list_runs(RunFilter(task_id=task_id, limit=1))
        return found[0] if found else None

    def summary(self, task: Task) -> TaskSummary:
        """A task with the run it last began, as a list shows it."""
        deferred_until = self._deferred_until(task.id)
        if task.last_run_id is None:
            return TaskSummary(task, None, None, None, deferred_until)
        try:
            run = self._store.get_run(task.last_run_id)
        except (NotFoundError, IllegibleError):  # its task is shown all the same
            return TaskSummary(task, None, None, None, deferred_until)
        return TaskSummary(task, run.started_at, run.state, run.reason, deferred_until)

    def _deferred_until(self, task_id: int) -> int | None:
        queued = self._store.list_runs(RunFilter(task_id=task_id, states=(State.QUEUED,)))
        told = [run.deferred_until for run in queued if run.deferred_until is not None]
        return min(told, default=None)

    def cancel(self, run_id: int) -> Run:
        """Cancel a queued run, ask a running one to end. Errors: `ConflictError` when it ended.

        The request is kept, and the supervisor told at once: it works without any living node.
        """
        run = self._store.request_cancel(run_id, at=self._clock.now())
        if run.state is State.RUNNING:
            self._ask_to_end(run)
        return run
