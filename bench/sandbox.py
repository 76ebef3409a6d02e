"""A throw-away data folder with a stand-in agent, nodes as real processes, and a look inside."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.processes import wait_until
from claude_tasks.domain.task_fields import TaskSpec
from claude_tasks.settings import load_settings
from claude_tasks.wiring.operations import open_operations

if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from claude_tasks.operations.facade import Operations

PROMPT = "say hi\n"
_READ_ALL = "while read -r line; do :; done"


@functools.cache
def _folder_of_all() -> str:
    """One folder for all sandboxes, removed at the end of the bench and not before.

    File systems remember what was deleted lately (ext4 without a journal walks over such inodes at
    every file it creates): cleaning up between two measurements would be measured by the second.
    """
    folder = tempfile.mkdtemp(prefix="claude-tasks-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _plain_environment() -> dict[str, str]:
    """Ours without settings, and with bytecode kept: an installed package has it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CLAUDE_TASKS_") and name != "PYTHONDONTWRITEBYTECODE"
    }


class Sandbox:
    """One data folder. Whatever was started in it is ended with it."""

    def __init__(self, **settings: object) -> None:
        """``settings`` become CLAUDE_TASKS_… variables of its nodes."""
        self.root = Path(tempfile.mkdtemp(dir=_folder_of_all()))
        self.stamps = self.root / "stamps"
        self.stamps.mkdir()
        self.data = self.root / "data"
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.agent = self.write_agent("echo done")
        self.environment = {
            **_plain_environment(),
            "CLAUDE_TASKS_DATA": str(self.data),
            "CLAUDE_TASKS_LOG_LEVEL": "warning",
            "CLAUDE_TASKS_CLAUDE_BIN": str(self.agent),
            "CLAUDE_TASKS_DISABLE_USAGE_CHECK": "1",
            **{f"CLAUDE_TASKS_{k.upper()}": str(v) for k, v in settings.items()},
        }
        self.operations: Operations = open_operations(load_settings(self.environment))
        self._database = sqlite3.connect(
            f"file:{self.data / 'tasks.db'}?mode=ro", uri=True, isolation_level=None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in list(self._nodes):
            node.send_signal(signal.SIGCONT)
            self.stop_node(node)
        self._database.close()
        self.operations.close()

    def write_agent(self, work: str) -> Path:
        """A shell script that stamps its start with an empty file, reads its prompt and works.

        The file's time is the start: no further process is needed to tell it.
        """
        path = self.root / "agent"
        stamp = f'run=${{CLAUDE_TASKS_RUN:-peer}}; : > "{self.stamps}/${{run##*/}}.$$"'
        path.write_text(f"#!/bin/sh\n{stamp}\n{_READ_ALL}\n{work}\n", encoding="utf-8")
        path.chmod(0o700)
        return path

    def spec(self, name: str, **fields: Any) -> TaskSpec:
        """A task that works in this folder."""
        return TaskSpec(name, PROMPT, working_dir=str(self.root), **fields)

    def start_node(self) -> subprocess.Popen[bytes]:
        """Start a node; it is not waited for."""
        return self.start(*node_command())

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start any process that stays; it ends with the sandbox."""
        node = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._nodes.append(node)
        return node

    def start_leader(self) -> subprocess.Popen[bytes]:
        """Start a node and wait until it holds the lease."""
        node = self.start_node()
        wait_until(lambda: self.leader() == node.pid, seconds=30)
        return node

    def stop_node(self, node: subprocess.Popen[bytes]) -> resource.struct_rusage:
        """SIGTERM and wait; what it and all its reaped descendants used."""
        node.terminate()
        return self.reap(node)

    def reap(self, node: subprocess.Popen[bytes]) -> resource.struct_rusage:
        """Wait for a node that ends by itself or was killed."""
        self._nodes.remove(node)
        _, status, usage = os.wait4(node.pid, 0)
        node.returncode = os.waitstatus_to_exitcode(status)
        return usage

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """Ask the database directly, apart from the program."""
        return self._database.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        """The first column of the first row, None without one."""
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def leader(self) -> int | None:
        """The pid in the lease, None while it is free."""
        pid: int | None = self.value("SELECT pid FROM scheduler_leases WHERE holder IS NOT NULL")
        return pid

    def epoch(self) -> int:
        """The epoch of a lease that is held, 0 while it is free."""
        return self.value("SELECT epoch FROM scheduler_leases WHERE holder IS NOT NULL") or 0

    def is_locked(self) -> bool:
        """Whether somebody keeps the database from being written, for half a second at least."""
        with contextlib.closing(sqlite3.connect(self.data / "tasks.db", timeout=0.5)) as other:
            other.isolation_level = None
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            other.execute("ROLLBACK")
        return False

    def active_runs(self) -> int:
        """Runs that have not ended."""
        sql = "SELECT COUNT(*) FROM task_runs WHERE state IN ('queued', 'running')"
        return int(self.value(sql))

    def start_times(self) -> list[float]:
        """When each agent started, seconds since the epoch."""
        return [entry.stat().st_mtime for entry in self.stamps.iterdir()]


def node_command() -> list[str]:
    """The real daemon."""
    return [*cli_command(), "daemon"]


def cli_command() -> list[str]:
    """The command line as installed; where it is not, what the installed script does."""
    script = Path(sys.executable).with_name("claude-tasks")
    if script.exists():
        return [str(script)]
    return [
        sys.executable,
        "-c",
        "from claude_tasks.__main__ import main; raise SystemExit(main())",
    ]


def next_second(*, ahead: float) -> int:
    """A whole second at least ``ahead`` seconds away."""
    return int(time.time() + ahead) + 1
