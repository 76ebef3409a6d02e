"""From a task to the agent's command line: a pure function. The prompt is not part of it.

The prompt goes in on standard input: in argv it would be visible in ``ps``, limited to 128 KiB, and
one that starts with ``-`` would turn into flags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_tasks.domain.task import Task


def agent_argv(binary: str, task: Task, *, resume_session: str | None = None) -> list[str]:
    """The command line of one run. Order is fixed, so that equal tasks give equal lines.

    ``--allowedTools`` and ``--disallowedTools`` take any number of words and swallow whatever
    follows: each list is one comma-separated word behind ``=``.
    """
    argv = [binary, "-p", "--output-format", "stream-json", "--verbose"]
    argv += _valued("--resume", resume_session)
    argv += _valued("--model", task.model)
    argv += _valued("--permission-mode", task.permission_mode)
    if task.allowed_tools:
        argv.append(f"--allowedTools={','.join(task.allowed_tools)}")
    if task.disallowed_tools:
        argv.append(f"--disallowedTools={','.join(task.disallowed_tools)}")
    argv += _valued("--max-turns", task.max_turns)
    argv += _valued("--max-budget-usd", task.max_budget_usd)
    argv += _valued("--append-system-prompt", task.append_system_prompt)
    argv += task.extra_args
    return argv


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
