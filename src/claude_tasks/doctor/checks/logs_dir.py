"""The folder of logs is there and can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    allow,
    failed,
    passed,
    warned,
    why_barred,
)
from claude_tasks.doctor.folders import MEND, wrong_with

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        FolderFacts,
    )
    from claude_tasks.doctor.finding import Finding


def judge(logs: FolderFacts, data: FolderFacts) -> Finding:
    """The folder exists and is writable: runs start without it, but leave no log."""
    name = "logs_dir"
    if not data.exists:
        return passed(name, "none yet: the data folder is not there")
    if not data.is_folder:
        return warned(name, "not looked at: there is no data folder (see data_dir)")
    if not logs.exists:
        if logs.barred is None:
            return warned(name, f"{logs.path} is missing: the next start makes it", MEND)
        text = f"{logs.path} is missing, and {why_barred(logs.barred)}"
        return failed(name, text, allow(logs.barred))
    return wrong_with(name, logs) or passed(name, logs.path)
