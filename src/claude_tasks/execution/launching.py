"""Makes the supervisor's ``spec.json`` for a claimed run, without opening a path the task names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import SpawnError
from claude_tasks.execution.agent_binary import find_agent_binary
from claude_tasks.execution.agent_environment import with_binary_folder
from claude_tasks.execution.command import agent_argv, unattended_environment
from claude_tasks.execution.contract import RunSpec
from claude_tasks.execution.run_log import events_path

if TYPE_CHECKING:
    from claude_tasks.domain.store_records import Claimed
    from claude_tasks.domain.task import Task
    from claude_tasks.execution.contract import TaskSnapshot
    from claude_tasks.execution.run_folder import RunFolder

RESUME_PROMPT = (
    "The usage limit interrupted you; it has been reset. Go on where you stopped, and finish."
)


class LaunchRules(NamedTuple):
    """Settings that apply to every agent.

    Times are in seconds; ``claude_bin`` None: search for it.
    """

    claude_bin: str | None
    kill_grace: float
    linger: float


class LaunchPlan:
    """Makes the specification of each run that this process starts."""

    def __init__(self, rules: LaunchRules, *, logs: str) -> None:
        """``logs`` is a folder. Relative working folders start at this process's current folder."""
        self._rules = rules
        self._logs = logs
        self._base = _current_folder()
        self._home = os.path.expanduser("~")
        self._search_paths: dict[str, str] = {}

    def spec(self, claimed: Claimed, folder: RunFolder, snapshot: TaskSnapshot) -> RunSpec:
        """The claim's ``spec.json``.

        Errors: `SpawnError` where task or settings do not allow it.
        """
        run, task = claimed
        _refuse_bypass_as_root(task)
        binary = find_agent_binary(self._rules.claude_bin)
        return RunSpec(
            argv=agent_argv(binary, task, session_id=run.session_id, resume_session=run.resume_of),
            cwd=self._working_folder(task),
            marker=folder.path,  # run ids repeat from one data folder to the next
            events=events_path(self._logs, task.id, run.id),
            timeout_seconds=task.spec.timeout_seconds,
            kill_grace_seconds=self._rules.kill_grace,
            task=snapshot,
            linger_seconds=self._rules.linger,
            environment={**unattended_environment(task), "PATH": self._search_path(binary)},
            run_id=run.id,
            queued_at=run.queued_at,
            claim=run.claim,
        )

    def _search_path(self, binary: str) -> str:
        """The agent's PATH, with what lies beside its binary."""
        if binary not in self._search_paths:
            self._search_paths[binary] = with_binary_folder(os.environ, binary)["PATH"]
        return self._search_paths[binary]

    def _working_folder(self, task: Task) -> str:
        """The absolute path. The run's supervisor finds out whether it exists."""
        path = task.spec.working_dir or "."
        if path.startswith("~"):
            path = self._at_home(path)
        if os.path.isabs(path):
            return path
        if self._base is None:
            raise SpawnError(
                f"the working directory {path} is relative, and the folder that this process was "
                "started in was gone",
                hint="edit the task's --dir",
            )
        return self._base if path == "." else os.path.join(self._base, path)

    def _at_home(self, path: str) -> str:
        """Expand ``~``, not ``~name``: looking up another user's home may wait for a network."""
        first, _, rest = path.partition("/")
        if first != "~":
            raise SpawnError(
                f"the working directory {path}: only ~ and what is below it is looked up",
                hint="edit the task's --dir",
            )
        return os.path.join(self._home, rest) if rest else self._home


def _current_folder() -> str | None:
    """This process's current folder, None where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _refuse_bypass_as_root(task: Task) -> None:
    """The CLI refuses this itself, but only after it has started, and less clearly."""
    words = ("--dangerously-skip-permissions", "bypassPermissions")
    asked = task.spec.permission_mode == "bypassPermissions" or any(
        argument.endswith(words) for argument in task.spec.extra_args
    )
    if asked and os.geteuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        raise SpawnError(
            "claude refuses to bypass permissions as root",
            hint="run claude-tasks as another user, set IS_SANDBOX=1 inside a sandbox, or edit the "
            "task's --permission-mode",
        )
