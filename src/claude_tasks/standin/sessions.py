"""Which sessions exist: one small file each, in the folder ``CLAUDE_TASKS_STANDIN_SESSIONS`` names.

The real CLI keeps its sessions below ``~/.claude``. The stand-in never writes there: without the
variable it remembers nothing, takes every new id, and resumes every id.
"""

from __future__ import annotations

import os

VARIABLE = "CLAUDE_TASKS_STANDIN_SESSIONS"


def begin(session_id: str) -> bool:
    """Record a new session; False when there is one of that id already."""
    path = _path(session_id)
    if path is None:
        return True
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def spent(session_id: str) -> float | None:
    """US dollars an earlier session cost; None when there is no such session."""
    path = _path(session_id)
    if path is None:
        return 0.0
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read() or 0)
    except FileNotFoundError:
        return None


def note_cost(session_id: str, cost: float) -> None:
    """Remember what the session has cost so far."""
    path = _path(session_id)
    if path is not None:
        with open(path, "w", encoding="ascii") as file:
            file.write(repr(cost))


def _path(session_id: str) -> str | None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.path.join(folder, session_id)
