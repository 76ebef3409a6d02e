"""From a task to the agent's command line: a pure function. The prompt is not part of it.

The prompt goes in on standard input: in argv it would be visible in ``ps``, limited to 128 KiB, and
one that starts with ``-`` would turn into flags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.agent_flags import flags_of, split_tools
from claude_tasks.domain.session import without_session
from claude_tasks.execution.agent_environment import NO_SCHEDULING_VARIABLE

if TYPE_CHECKING:
    from claude_tasks.domain.task import Task

NOT_UNATTENDED = ("ScheduleWakeup", "SendMessage")
"""Tools by which an agent would go on behind our back; a task may allow them by name."""

_SCHEDULING = ("CronCreate", "CronDelete", "CronList")

_ALLOWING = frozenset({"--allowedTools", "--allowed-tools", "--tools"})
"""The agent's own flags whose values allow tools; others may name them for any reason."""


def agent_argv(
    binary: str,
    task: Task,
    *,
    session_id: str | None = None,
    resume_session: str | None = None,
) -> list[str]:
    """The command line of one run. Order is fixed, so that equal tasks give equal lines.

    ``session_id`` names the session that it begins, ``resume_session`` the one it goes on in.

    ``--allowedTools`` and ``--disallowedTools`` take any number of words and swallow whatever
    follows: each list is one comma-separated word behind ``=``.
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
    """What an agent gets beside what it inherits: it must not schedule runs of its own.

    Where the task lets it there is nothing to add: an agent never inherits the variable.
    """
    if any(_names(task, tool) for tool in _SCHEDULING):
        return {}
    return {NO_SCHEDULING_VARIABLE: "1"}


def _names(task: Task, tool: str) -> bool:
    """Whether the task allows a tool, itself or with its own words for the agent."""
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
    """A number as it was typed: it caps what is spent, so it is neither rounded nor 1.9e-06."""
    text = repr(value)
    if "e" in text:
        text = f"{value:.12f}"
    return text.rstrip("0").rstrip(".")
