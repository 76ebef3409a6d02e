"""The data folder is there and can be written, or can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    failed,
    passed,
    why_barred,
)
from claude_tasks.doctor.folders import folder_facts, wrong_with

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        FolderFacts,
    )
    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings


_ELSEWHERE = "export CLAUDE_TASKS_DATA=~/.claude-tasks"


def inner(*, settings: Settings) -> tuple[FolderFacts, ...]:
    """The folders within the data folder without which no node starts."""
    return folder_facts(settings.folder.runs), folder_facts(settings.folder.nodes)


def judge(data: FolderFacts, inner: tuple[FolderFacts, ...]) -> Finding:
    """There and writable with all that a node needs in it, or none yet where one can be made."""
    name = "data_dir"
    if not data.exists:
        if data.barred is None and data.base_is_folder:
            return passed(name, f"none yet: the first start makes {data.path}")
        return failed(name, f"none yet, and {_why_not_made(data)}", _ELSEWHERE)
    for folder in (data, *(folder for folder in inner if folder.exists)):
        wrong = wrong_with(name, folder)
        if wrong is not None:
            return wrong
    return passed(name, data.path)


def _why_not_made(folder: FolderFacts) -> str:
    barred = folder.barred
    why = f"{folder.base} is no folder" if barred is None else why_barred(barred)
    return f"{why}: {folder.path} cannot be made"
