"""What the scheduler uses to run agents: the executor that watches them, the recorder of ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import IllegibleError, NotFoundError
from claude_tasks.execution.executor import Executor
from claude_tasks.execution.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import Claimed
    from claude_tasks.domain.task import Task
    from claude_tasks.execution.launching import LaunchRules
    from claude_tasks.execution.recorder import EndRules, RecordingStore
    from claude_tasks.system.data_folder import DataFolder


class SupervisedExecution:
    """`claude_tasks.domain.ports.Execution` by supervised local processes."""

    def __init__(
        self,
        *,
        store: RecordingStore,
        folder: DataFolder,
        launches: LaunchRules,
        ends: EndRules,
        node_id: str,
    ) -> None:
        """``store`` is used only by the engine's thread, as is this object."""
        self._store = store
        self._executor = Executor(
            launches, folder=folder, node_id=node_id, require_same=store.require_same
        )
        self._recorder = Recorder(store, ends, logs=folder.logs, node_id=node_id)

    @property
    def descriptor(self) -> int | None:
        """Readable when the spawner has reported something."""
        return self._executor.descriptor

    @property
    def busy(self) -> bool:
        """Whether a run is watched here, or the end of one is still to be written."""
        return self._executor.busy or self._recorder.waiting

    @property
    def pending(self) -> bool:
        """Whether `settle` has something to do at once."""
        return self._executor.pending

    @property
    def stuck(self) -> bool:
        """Whether no run could be started now."""
        return self._executor.stuck

    def start(self) -> None:
        """Have the spawner ready. Errors: `OSError`."""
        self._executor.start()

    def stop(self) -> None:
        """Stop watching; runs go on under their supervisors. Safe to repeat."""
        self._executor.stop()

    def launch(self, claimed: Claimed) -> None:
        """Start the agent of a run just claimed."""
        self._executor.launch(claimed)

    def refuse(self, claimed: Claimed, why: str, *, at: int) -> None:
        """Let a run just claimed fail its preflight."""
        self._executor.refuse(claimed, why, at=at)

    def adopt(self, run: Run, task: Task | None) -> None:
        """Watch a run of another node."""
        self._executor.adopt(run, task)

    def watches(self, run: Run) -> bool:
        """Whether this claim is watched here, or its end still to be written."""
        return self._executor.watches(run) or self._recorder.holds(run)

    def lives(self, run_id: int) -> bool:
        """Whether a supervisor or an agent of a run lives, of any claim."""
        return self._executor.lives(run_id)

    def cancel(self, run_id: int) -> None:
        """End a run."""
        self._executor.cancel(run_id)

    def tidy(self, launches_no_more: Callable[[str], bool]) -> None:
        """Remove the folders of claims that are over."""
        self._executor.tidy(self._is_open, launches_no_more)

    def _is_open(self, run_id: int, claim: int) -> bool:
        try:
            run = self._store.get_run(run_id)
        except (NotFoundError, IllegibleError):
            return True  # unknown: keep its folder
        return not run.state.is_terminal and run.claim == claim

    def settle(self, *, at: int) -> int:
        """Record the runs that ended; how many."""
        return self._recorder.record(self._executor.collect(), at=at)
