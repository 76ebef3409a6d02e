"""Builds the agent's command line from a task: a pure function. The prompt is not part of it.

The agent reads the prompt from standard input: in argv it would be visible in ``ps``, limited to
128 KiB, and read as flags where it starts with ``-``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.agent_flags import flags_of, split_tools
from claude_tasks.domain.session import without_session
from claude_tasks.execution.agent_environment import NO_SCHEDULING_VARIABLE

if TYPE_CHECKING:
    from claude_tasks.domain.task import Task

NOT_UNATTENDED = ("ScheduleWakeup", "SendMessage")
"""Tools with which an agent would go on after its run; a task may allow them by name."""

_SCHEDULING = ("CronCreate", "CronDelete", "CronList")

_ALLOWING = frozenset({"--allowedTools", "--allowed-tools", "--tools"})
"""The agent's flags whose values allow tools. Naming a tool with another flag does not allow it."""


def agent_argv(
    binary: str,
    task: Task,
    *,
    session_id: str | None = None,
    resume_session: str | None = None,
) -> list[str]:
    """The command line of one run. Order is fixed, so that equal tasks give equal lines.

    ``session_id`` names the session that the run begins, ``resume_session`` the one it continues.

    ``--allowedTools`` and ``--disallowedTools`` take any number of words and would take the next
    argument too: so each list is one comma-separated word behind ``=``.
    """
    argv = [binary, "-p", "--output-format", "stream-json", "--verbose"]
    if resume_session is None:
        argv += _valued("--session-id", session_id)
    argv += _valued("--resume", resume_session)
    argv += _valued("--model", task.spec.model)
    argv += _valued("--permission-mode", task.spec.permission_mode)
    if task.spec.allowed_tools:
        argv.append(f"--allowedTools={','.join(task.spec.allowed_tools)}")
    refused = [
        *task.spec.disallowed_tools,
        *(tool for tool in NOT_UNATTENDED if not _names(task, tool)),
    ]
    if refused:
        argv.append(f"--disallowedTools={','.join(dict.fromkeys(refused))}")
    argv += _valued("--max-turns", task.spec.max_turns)
    argv += _valued("--max-budget-usd", task.spec.max_budget_usd)
    argv += _valued("--append-system-prompt", task.spec.append_system_prompt)
    argv += (
        task.spec.extra_args if resume_session is None else without_session(task.spec.extra_args)
    )
    return argv


def unattended_environment(task: Task) -> dict[str, str]:
    """The variables added for an agent: by default it must not schedule runs itself.

    Where the task allows that, nothing is added: an agent never inherits the variable.
    """
    if any(_names(task, tool) for tool in _SCHEDULING):
        return {}
    return {NO_SCHEDULING_VARIABLE: "1"}


def _names(task: Task, tool: str) -> bool:
    """Whether the task allows a tool, in its list of tools or in its extra arguments."""
    own = [
        value
        for given in flags_of(task.spec.extra_args)
        if given.name in _ALLOWING
        for value in given.values
    ]
    rules = [rule for value in (*task.spec.allowed_tools, *own) for rule in split_tools(value)]
    return any(rule.partition("(")[0] == tool for rule in rules)


def _valued(flag: str, value: object) -> list[str]:
    if value is None or value == "":
        return []
    text = _decimal(value) if isinstance(value, float) else str(value)
    # A value that starts with a dash would be read as the next flag.
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _decimal(value: float) -> str:
    """A number as plain decimal text: it limits spending, so it is neither rounded nor 1.9e-06."""
    text = repr(value)
    if "e" in text:
        text = f"{value:.12f}"
    return text.rstrip("0").rstrip(".")
