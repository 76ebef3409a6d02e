"""Runs carried out for real: the spawner, supervisors and the stand-in agent, without a daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.run import Run, State, Trigger
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.execution.contract import RunSpec
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.execution.run_log import snapshot_of
from claude_tasks.settings import load_settings
from claude_tasks.storage.sqlite.store import open_store
from claude_tasks.system.clock import SystemClock
from claude_tasks.wiring.node import build_execution
from support.agent import install
from support.builders import add_task
from support.fresh_database import lay
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from claude_tasks.execution.execution import SupervisedExecution


class Workshop:
    """Queues, claims, launches and settles runs as the engine's thread does."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """``settings`` are laid over the workshop's own, by their names in the environment."""
        self.folder = folder
        self.starts = folder / "starts"
        folder.mkdir(exist_ok=True)
        simulated = install(folder / "agent")
        agent = folder / "claude"
        agent.write_text(
            f'#!/bin/sh\necho "${{CLAUDE_TASKS_RUN##*/}}" >> {self.starts}\nexec {simulated} "$@"\n'
        )
        agent.chmod(0o755)
        self.settings = load_settings(
            {
                "CLAUDE_TASKS_DATA": str(folder / "data"),
                "CLAUDE_TASKS_CLAUDE_BIN": str(agent),
                "CLAUDE_TASKS_KILL_GRACE": "0.3",
                "CLAUDE_TASKS_RETRY_BACKOFF": "0.01",
                **settings,
            }
        )
        self.settings.folder.create()
        self.clock = SystemClock()
        lay(self.settings.folder.database)
        self.store = open_store(self.settings.folder.database, at=0)
        self.execution = self.new_execution()

    def new_execution(self) -> SupervisedExecution:
        return build_execution(self.settings, self.store, "me")

    def launch(self, prompt: str, **fields: Any) -> Run:
        """Start a run of a new task; returns it as claimed."""
        at = self.clock.now()
        task = add_task(
            self.store, at=at, prompt=prompt, **{"working_dir": str(self.folder), **fields}
        )
        run = self.store.add_run(task.id, trigger=Trigger.MANUAL, assigned_to="me", at=at)
        self.claim()
        return self.store.get_run(run.id)

    def claim(self) -> None:
        """Start whatever is in line, however long it was to wait."""
        waiting = self.store.list_runs(RunFilter(states=(State.QUEUED,)))
        at = max([self.clock.now(), *(run.not_before for run in waiting)])
        for entry in self.store.claim_runs("me", term=None, limit=100, per_node=False, at=at):
            self.execution.launch(entry)

    def finish(self, run: Run, *, seconds: float = 20) -> Run:
        """Settle until the run has ended."""

        def ended() -> bool:
            self.execution.settle(at=self.clock.now())
            return self.store.get_run(run.id).state.is_terminal

        wait_until(ended, seconds=seconds, what=f"run {run.id} ends")
        return self.store.get_run(run.id)

    def run(self, prompt: str, **fields: Any) -> Run:
        """A run from start to end."""
        return self.finish(self.launch(prompt, **fields))

    def supervisor_pid(self, run: Run) -> int:
        folder = RunFolder.of(self.settings.folder.runs, run.id, run.claim)
        pid = wait_until(folder.supervisor_pid, what="the supervisor has started")
        assert pid is not None
        return pid

    def spec_of(self, run: Run) -> RunSpec:
        """What a supervisor would be told to start the agent with."""
        return RunSpec(
            argv=[str(self.folder / "claude")],
            cwd=str(self.folder),
            marker=RunFolder.of(self.settings.folder.runs, run.id, run.claim).path,
            events=str(self.folder / "events"),
            timeout_seconds=5,
            kill_grace_seconds=1,
            task=snapshot_of(self.store.get_task(run.task_id)),
        )

    def wait_for_start(self, run: Run) -> None:
        mark = f"{run.id}.{run.claim}"
        wait_until(lambda: self.starts.exists() and mark in self.starts.read_text().split())

    def started(self) -> list[str]:
        return self.starts.read_text().split() if self.starts.exists() else []

    def close(self) -> None:
        for state in (State.RUNNING,):
            for run in self.store.list_runs(RunFilter(states=(state,))):
                self.execution.cancel(run.id)
        self.execution.stop()
        self.store.close()
