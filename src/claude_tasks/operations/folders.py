"""Whether an agent could work in a task's folder, found out without going there."""

from __future__ import annotations

from claude_tasks.system.path_probe import Looked, absolute, look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from claude_tasks.operations.explanation import Explanation

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


def with_folder(explanation: Explanation) -> Explanation:
    """The explanation with a finding about the folder, behind that about the agent.

    Takes up to a second: never on a thread that others wait for.
    """
    from claude_tasks.operations.explanation import Circumstance  # noqa: PLC0415 (loaded by now)

    folder = explanation.task.spec.working_dir
    if not folder.startswith(("/", "~")):
        found = Circumstance("folder", f"{folder}, from the folder in which the daemon was started")
    else:
        obstacles = folder_obstacles([folder])
        texts = [f"{path} {obstacle}" for path, obstacle in obstacles.items()]
        found = Circumstance("folder", next(iter(texts), folder), stands_in_the_way=bool(texts))
    findings = list(explanation.findings)
    place = [finding.topic for finding in findings].index("agent") + 1
    return explanation._replace(findings=[*findings[:place], found, *findings[place:]])
