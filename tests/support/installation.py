"""A whole installation in a throw-away folder: data, agent, daemons as real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

import claude_tasks
from claude_tasks.doctor.catalog import run_checks
from claude_tasks.domain.run import Run, State
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.execution.run_folder import RunFolder
from claude_tasks.settings import load_settings
from claude_tasks.storage.sqlite.write_lock import write_lock_holder
from claude_tasks.wiring.doctor import look_around
from claude_tasks.wiring.operations import open_operations
from support.agent import install
from support.builders import spec
from support.fresh_database import lay
from support.invariants import check_invariants
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.doctor.finding import Finding
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations

TESTS = Path(__file__).resolve().parent.parent
SOURCE = Path(claude_tasks.__file__).resolve().parent.parent
EVERY_SECOND = "* * * * * *"
FAULTY_NODE = ("-m", "support.node_process")
DAEMON = ("-m", "claude_tasks", "daemon")
TTL = 3.0


class Installation:
    """One data folder, its agent and the processes started on it. Ends all of them at `close`."""

    def __init__(self, folder: Path, *, logs: Path | None = None) -> None:
        self.folder = folder
        self.logs = logs or folder
        self.data = folder / "data"
        self.starts = folder / "starts"
        self.processes: list[subprocess.Popen[bytes]] = []
        simulated = install(folder / "agent")
        self.agent = folder / "claude"
        self.agent.write_text(
            f'#!/bin/sh\necho "${{CLAUDE_TASKS_RUN##*/}}" >> {self.starts}\nexec {simulated} "$@"\n'
        )
        self.agent.chmod(0o755)
        self.environment = {
            "ANTHROPIC_API_KEY": "",
            "TZ": "UTC",
            "CLAUDE_TASKS_DATA": str(self.data),
            "CLAUDE_TASKS_CLAUDE_BIN": str(self.agent),
            "CLAUDE_TASKS_LEASE_TTL": str(TTL),
            "CLAUDE_TASKS_KILL_GRACE": "0.5",
            "CLAUDE_TASKS_DISABLE_USAGE_CHECK": "1",
        }
        lay(self.database)
        self.operations: Operations = open_operations(load_settings(self.environment))

    def forget_data(self) -> None:
        """Back to before the first start: there is not even a folder."""
        self.operations.close()
        shutil.rmtree(self.data)

    def reopen(self) -> None:
        """Look at the database that is there now."""
        self.operations.close()
        self.operations = open_operations(load_settings(self.environment))

    @property
    def database(self) -> Path:
        return self.data / "tasks.db"

    def add(self, **fields: Any) -> Task:
        return self.operations.tasks.add(spec(working_dir=str(self.folder), **fields))

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a daemon; does not wait for it to be ready."""
        with (self.logs / f"node-{len(self.processes)}.log").open("wb") as log:
            return self.start_onto(log.fileno(), *command, environment=environment)

    def start_onto(
        self,
        output: int,
        *command: str,
        errors: int = subprocess.STDOUT,
        prepare: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """The same, with its output on these descriptors; ``prepare`` runs in the new process.

        ``folder`` is where it is started.
        """
        process = subprocess.Popen(
            [sys.executable, *(command or DAEMON)],
            env={
                **os.environ,
                **self.environment,
                "PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=folder or self.folder,
            preexec_fn=prepare,  # noqa: PLW1509 (this process has no threads)
        )
        self.processes.append(process)
        return process

    def start_leader(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a daemon and wait until it leads."""
        process = self.start(*command, **environment)
        wait_until(lambda: self.leader_pid() == process.pid, what="the daemon leads")
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGSTOP, but not in the middle of a write: such a process is ended for the others."""

        def stopped_between_writes() -> bool:
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: stopped(process.pid), what="the process is stopped")
            if write_lock_holder(str(self.database)) != process.pid:
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(stopped_between_writes, what="it is stopped between two writes")

    def lock_database(self, seconds: float) -> None:
        """Hold the write lock for so long, as a stuck process would."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            pause(seconds)
            connection.execute("ROLLBACK")

    def replace_database(self, *, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Put its own copy in its place, both while nobody can write: no row is lost.

        ``meanwhile`` is done once nobody can.
        """
        copy = self.database.with_name("copy.db")
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as source:
            source.isolation_level = None
            source.execute("BEGIN IMMEDIATE")
            meanwhile()
            with (
                contextlib.closing(sqlite3.connect(self.database)) as reader,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                reader.backup(target)
            os.replace(copy, self.database)
            for ending in ("-wal", "-shm"):
                self.database.with_name(self.database.name + ending).unlink(missing_ok=True)
            source.execute("ROLLBACK")

    def start_from_cold(self, count: int) -> None:
        """Start many daemons at once where there is not even a folder; wait until all are up."""
        self.forget_data()
        for _ in range(count):
            self.start()
        wait_until(
            lambda: (
                self.database.exists()
                and self.query("SELECT name FROM sqlite_master WHERE name = 'nodes'")
                and len(self.query("SELECT id FROM nodes")) == count
            ),
            seconds=180,
            what="all nodes are up",
        )

    def log(self, place: int = 0) -> str:
        return (self.logs / f"node-{place}.log").read_text()

    def query(self, sql: str, *parameters: object) -> list[Any]:
        """Rows straight from the file, as other programs read it."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=10)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def rewrite(self, sql: str, *parameters: object) -> None:
        """Change the file as no program does: to have time pass that nobody can wait for."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=10)) as file, file:
            file.execute(sql, parameters)

    def leader_pid(self) -> int | None:
        [(pid,)] = self.query("SELECT pid FROM scheduler_leases")
        return pid if pid is None else int(pid)

    def epoch(self) -> int:
        return int(self.query("SELECT epoch FROM scheduler_leases")[0][0])

    def runs(self, state: State | None = None) -> list[Run]:
        states = () if state is None else (state,)
        return self.operations.runs.list(RunFilter(states=states, limit=10_000))[::-1]

    def wait_for_runs(self, count: int, state: State, *, seconds: float = 30) -> list[Run]:
        wait_until(
            lambda: len(self.runs(state)) >= count,
            seconds=seconds,
            what=f"{count} runs {state}; there are {[(r.id, r.state) for r in self.runs()]}",
        )
        return self.runs(state)

    def supervisor_pid(self, run: Run) -> int:
        folder = RunFolder.of(str(self.data / "runs"), run.id, max(run.claim, 1))
        return wait_until(folder.supervisor_pid, what="the supervisor has started") or 0

    def settle(self) -> None:
        """Let everything end: nothing fires any more, what runs is recorded."""
        for summary in self.operations.tasks.list():
            if summary.task.spec.enabled:
                self.operations.tasks.disable(summary.task.id)
        wait_until(
            lambda: not self.runs(State.QUEUED) and not self.runs(State.RUNNING),
            seconds=40,
            what="nothing is queued or running",
        )

    def finding(self, check: str) -> Finding:
        """What one of doctor's checks says."""
        look = look_around(load_settings(self.environment), self.environment)
        [finding] = run_checks(look, [check]).findings
        return finding

    def check(self, *, settled: bool = True) -> None:
        check_invariants(self.database, settled=settled, starts=self.starts)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
            process.wait()
        self.operations.close()
        self._end_strays()

    def _end_strays(self) -> None:
        """Supervisors and agents that a test left behind, by their working folder."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                ours = process.environ().get("CLAUDE_TASKS_DATA") == str(self.data)
                if ours and process.pid != os.getpid():
                    process.kill()


def missing_ticks(installation: Installation, task_id: int) -> list[int]:
    """Whole seconds between a per-second task's first and last tick that have no row."""
    rows = installation.query(
        "SELECT scheduled_for, COALESCE(skipped_until, scheduled_for) FROM task_runs "
        "WHERE task_id = ? AND scheduled_for IS NOT NULL ORDER BY scheduled_for",
        task_id,
    )
    covered = {tick for first, last in rows for tick in range(first, last + 1, 1000)}
    return sorted(set(range(min(covered), max(covered) + 1, 1000)) - covered)


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def pause(seconds: float) -> None:
    """Let real time pass, where the passing of time is what a test is about."""
    time.sleep(seconds)
