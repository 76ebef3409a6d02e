"""What the agent of a run says, as it says it: read from its events, away from the event loop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.domain.control_characters import escape_controls
from claude_tasks.text.event_text import event_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

_LAST_BYTES = 32 * 1024
_MOST_LINES = 5_000


def last_said(path: str) -> str:
    """The last line that the agent said, "" where there is none yet. For any thread."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _LAST_BYTES))
            lines = file.read(_LAST_BYTES).splitlines()
    except OSError:  # it has not begun, or its log was removed
        return ""
    for line in reversed(lines[1:] if size > _LAST_BYTES else lines):
        if said := event_lines(line):
            return escape_controls(said[-1])
    return ""


def shown_lines(events: Iterable[bytes]) -> list[str]:
    """What to show of some events, at most `_MOST_LINES` lines of the newest."""
    lines = [escape_controls(line, "\t") for event in events for line in event_lines(event)]
    return lines[-_MOST_LINES:]
