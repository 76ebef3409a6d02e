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


class LastSaid:
    """The last line that each of some running agents said. For one thread at a time."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._read: dict[str, tuple[int, str]] = {}
        """By the path of its events: how long they were, and the line."""

    def look(self, paths: Iterable[str]) -> dict[str, str]:
        """By path; "" where there is no such line yet. Events that did not grow are not read."""
        before, self._read = self._read, {}
        for path in paths:
            try:
                size = os.stat(path).st_size
            except OSError:  # it has not begun, or its log was removed
                continue
            known = before.get(path)
            is_same = known is not None and known[0] == size
            self._read[path] = known if known and is_same else (size, last_said(path))
        return {path: said for path, (_, said) in self._read.items()}


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
