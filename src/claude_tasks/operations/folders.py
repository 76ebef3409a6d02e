"""Whether an agent could work in a task's folder, found out without going there."""

from __future__ import annotations

from claude_tasks.path_probe import Looked, absolute, look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FAILS = "until that changes, every run fails"
_OBSTACLES = {
    Looked.MISSING: "is not there; until it is, every run fails",
    Looked.OTHER: f"is no folder; {_FAILS}",
    Looked.BARRED: f"cannot be entered by this user; {_FAILS}",
    Looked.NO_ANSWER: "does not answer (its mount may be dead); until it does, every run waits"
    " there for its time limit",
}


def folder_obstacles(folders: Iterable[str]) -> dict[str, str]:
    """The folders in which no agent could work, and why, in words that follow the folder's name."""
    looked = look_at(absolute(folder) for folder in folders)
    return {folder: _OBSTACLES[found] for folder, found in looked.items() if found in _OBSTACLES}
