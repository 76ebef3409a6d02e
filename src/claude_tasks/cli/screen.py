"""A stream to print on. A terminal gets no control sequence but the colours made here.

Printed text may come from agents, clients of the API, files and errors. So no text is trusted:
`Screen.write` writes out every control character of a text that goes to a terminal, and what
`Screen.paint` put around a text is known by a mark that other text cannot contain. What goes into a
pipe or a file stays as it is.
"""

from __future__ import annotations

import os

from claude_tasks.domain.control_characters import escape_controls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

_TONES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}
_INTRODUCER = "\x1b["
_MARK_BYTES = 12
_KEPT = "\n\t"
_NARROWEST = 40
_MOST_DIGITS = 5
"""Digits of a number of columns: COLUMNS may be set to anything."""


class Screen:
    """Writes onto one stream, with colour where it is a terminal that knows it."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        """``environment`` says about colour (NO_COLOR, TERM) and width (COLUMNS)."""
        self.stream = stream
        """Where it goes; another may take its place."""
        self._is_terminal = stream.isatty()
        # NO_COLOR: no-color.org, set to anything.
        colour = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        self._mark = os.urandom(_MARK_BYTES).hex() if self._is_terminal and colour else None
        """Marks the beginning of a colour of ours until the text is written."""
        self.width = self._width(environment)
        """Columns of the terminal; None where there is none, and so nothing to cut for."""

    def write(self, text: str) -> None:
        """Write it, harmless where it is a terminal."""
        if self._is_terminal:
            parts = [text] if self._mark is None else text.split(self._mark)
            text = _INTRODUCER.join(map(_harmless, parts))
        self.stream.write(text)

    def flush(self) -> None:
        """Let it be seen."""
        self.stream.flush()

    def paint(self, text: str, tone: str) -> str:
        """The text in the colour of its tone, for `write`."""
        if self._mark is None or tone not in _TONES or not text:
            return text
        return f"{self._mark}{_TONES[tone]}m{text}{self._mark}0m"

    def _width(self, environment: Mapping[str, str]) -> int | None:
        columns = environment.get("COLUMNS", "")
        if columns.isdecimal() and len(columns) <= _MOST_DIGITS and int(columns) > 0:
            return max(_NARROWEST, int(columns))
        if not self._is_terminal:
            return None
        try:
            return max(_NARROWEST, os.get_terminal_size(self.stream.fileno()).columns)
        except OSError:  # a terminal that does not tell
            return 80


def _harmless(text: str) -> str:
    return escape_controls(text.replace("\r\n", "\n"), _KEPT)
