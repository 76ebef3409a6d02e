"""The one place that prints: results as text or JSON, progress, notes, errors.

Standard output is data and nothing else; notes and errors go to standard error.
"""

from __future__ import annotations

import os

from claude_tasks.cli.layout import clean, pair_lines, table_lines
from claude_tasks.cli.results import Pairs, Raw, Table
from claude_tasks.cli.typable import PROGRAM, typable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from claude_tasks.cli.results import Block, Result
    from claude_tasks.domain.errors import ClaudeTasksError

_TONES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}
_NARROWEST = 40


class Printer:
    """Prints onto two streams, in text or in JSON."""

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        environment: Mapping[str, str],
        *,
        as_json: bool,
        program: str = PROGRAM,
    ) -> None:
        """``environment`` says about colour (NO_COLOR, TERM), width (COLUMNS) and PATH.

        ``program`` is how this program was started.
        """
        self.as_json = as_json
        self._stdout = stdout
        self.stderr = stderr
        self._program = program
        self._environment = environment
        self.data: str | None = None
        """The data folder, where it was given by flag: hints name it too."""
        self.width = _width(stdout, environment)
        """Columns of the terminal; None where there is none."""
        self._colour = _has_colour(stdout, environment)
        self._error_colour = _has_colour(stderr, environment)

    def never_wait(self) -> None:
        """From now on a reader who does not read keeps no thread of this process waiting.

        For processes that stay: what does not fit is dropped, and said. Others wait as they should.
        """
        from claude_tasks.cli.log_output import tell_of_output_gaps  # noqa: PLC0415 (for who stays)
        from claude_tasks.cli.outlet import take_the_place_of  # noqa: PLC0415 (the same)

        self._stdout = take_the_place_of(self._stdout)
        self.stderr = take_the_place_of(self.stderr)
        tell_of_output_gaps(self._stdout)

    def drain(self, seconds: float) -> None:
        """After `never_wait`: wait so long at most until standard output has been written."""
        from claude_tasks.cli.outlet import Outlet  # noqa: PLC0415 (loaded by now)

        if isinstance(self._stdout, Outlet):
            self._stdout.drain(seconds)

    def result(self, result: Result) -> None:
        """Print a command's result, then its notes."""
        if result.streamed:
            pass
        elif self.as_json:
            self.value(result.data(), indent=2)
        else:
            for block in result.text():
                self._block(block)
        self._stdout.flush()
        for note in result.notes:
            self.note(note)

    def text(self, text: str) -> None:
        """A text of our own with its lines, such as help."""
        self._stdout.write(text if text.endswith("\n") else text + "\n")
        self._stdout.flush()

    def line(self, text: str) -> None:
        """One line of a result that comes bit by bit."""
        self._stdout.write(clean(text) + "\n")
        self._stdout.flush()

    def value(self, value: Any, *, indent: int | None = None) -> None:
        """A JSON value, on one line unless indented."""
        import json  # noqa: PLC0415 (text needs none of it)

        self._stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
        self._stdout.flush()

    def note(self, text: str) -> None:
        """Something to know, beside the data."""
        self.stderr.write(clean(self.typable(text)) + "\n")
        self.stderr.flush()

    def typable(self, text: str) -> str:
        """A hint of ours whose commands can be typed as they stand, also where PATH lacks us."""
        return typable(text, self._program, self._environment, data=self.data)

    def for_this_data(self, text: str) -> str:
        """A hint for a program to read: as it is, but for the data folder that it is about."""
        return typable(text, PROGRAM, self._environment, data=self.data)

    def error(self, error: ClaudeTasksError) -> None:
        """Why the command failed, and what helps."""
        if self.as_json:
            self._error_object(error)
            return
        label = "\x1b[31merror:\x1b[0m" if self._error_colour else "error:"
        self.stderr.write(f"{label} {clean(error.message)}\n")
        if error.hint:
            self.stderr.write(f"  {clean(self.typable(error.hint))}\n")

    def _error_object(self, error: ClaudeTasksError) -> None:
        import json  # noqa: PLC0415 (see `value`)

        hint = None if error.hint is None else self.typable(error.hint)
        value = {"error": error.message, "code": error.code, "hint": hint}
        self.stderr.write(json.dumps(value, ensure_ascii=False) + "\n")

    def _block(self, block: Block) -> None:
        if isinstance(block, Raw):
            self._stdout.write(block.text if block.text.endswith("\n") else block.text + "\n")
        elif isinstance(block, Table):
            empty = [self.typable(block.empty)]
            lines = table_lines(block, self.width, self._paint) if block.rows else empty
            self._stdout.writelines(f"{line}\n" for line in lines if line)
        elif isinstance(block, Pairs):
            self._stdout.writelines(f"{line}\n" for line in pair_lines(block, self._paint))
        else:
            self._stdout.write(self._paint(clean(block), getattr(block, "tone", "")) + "\n")

    def _paint(self, text: str, tone: str) -> str:
        if not self._colour or tone not in _TONES or not text:
            return text
        return f"\x1b[{_TONES[tone]}m{text}\x1b[0m"


def _has_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """On a terminal that knows colour, unless NO_COLOR (no-color.org) is set to anything."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _width(stream: TextIO, environment: Mapping[str, str]) -> int | None:
    """The terminal's width; None where there is no terminal, and so nothing to cut for."""
    columns = environment.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return max(_NARROWEST, int(columns))
    if not stream.isatty():
        return None
    try:
        return max(_NARROWEST, os.get_terminal_size(stream.fileno()).columns)
    except OSError:  # a terminal that does not tell
        return 80
