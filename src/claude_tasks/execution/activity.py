"""What an agent is still busy with, as its stream tells it: a turn, commands, subagents.

    init · tool use · tool result ──▶ a turn is open ──result──▶ reported
    task_started, background_tasks_changed ──▶ outstanding ──task_notification──▶ gone

An agent may report a result, be woken by the end of a background task, and report another.
"""

from __future__ import annotations

from typing import Any

_MOST_TASKS = 10_000
_OVER = frozenset({"completed", "failed", "killed", "stopped", "cancelled", "error"})


class Activity:
    """Takes the agent's events one by one; ignores what it does not understand."""

    def __init__(self) -> None:
        """Begin with no result reported and no background task."""
        self.reported = False
        """Whether the last turn reported its result and no other turn has begun."""
        self._tasks: set[str] = set()

    @property
    def outstanding(self) -> bool:
        """Whether a background task or a subagent has not ended."""
        return bool(self._tasks)

    def note(self, event: dict[str, Any]) -> None:
        """Take one event."""
        kind = event.get("type")
        if kind == "result":
            self.reported = True
        elif kind == "user" or (kind == "assistant" and _uses_a_tool(event)):
            self.reported = False
        elif kind == "system":
            self._note_system(event)

    def _note_system(self, event: dict[str, Any]) -> None:
        subtype, task = event.get("subtype"), event.get("task_id")
        if subtype == "init":
            self.reported = False
        elif subtype == "background_tasks_changed":
            self._tasks = _ids(event.get("tasks"))
        elif not isinstance(task, str):
            return
        elif subtype == "task_started":
            # A foreground task always ends before its turn, so only background tasks are counted.
            if event.get("is_backgrounded") is not False and len(self._tasks) < _MOST_TASKS:
                self._tasks.add(task)
        elif subtype == "task_notification" or (subtype == "task_updated" and _is_over(event)):
            self._tasks.discard(task)


def _ids(tasks: Any) -> set[str]:
    entries = tasks[:_MOST_TASKS] if isinstance(tasks, list) else []
    ids = [entry.get("task_id") for entry in entries if isinstance(entry, dict)]
    return {task for task in ids if isinstance(task, str)}


def _is_over(event: dict[str, Any]) -> bool:
    patch = event.get("patch")
    status = patch.get("status") if isinstance(patch, dict) else None
    return isinstance(status, str) and status in _OVER


def _uses_a_tool(event: dict[str, Any]) -> bool:
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "tool_use" for block in blocks)
