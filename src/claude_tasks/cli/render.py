"""The one place that prints: results as text or JSON, progress, notes, errors.

Standard output is data and nothing else; notes and errors go to standard error. All of it goes
through a `Screen`, which escapes control characters in untrusted text.
"""

from __future__ import annotations

import os

from claude_tasks.cli.screen import Screen
from claude_tasks.domain.hint import PROGRAM, Command, Hint, called, quoted
from claude_tasks.text.blocks import Pairs, Raw, Table, Toned
from claude_tasks.text.layout import clean, pair_lines, table_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from claude_tasks.cli.results import Result
    from claude_tasks.domain.errors import ClaudeTasksError
    from claude_tasks.text.blocks import Block


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
        self._out = Screen(stdout, environment)
        self._err = Screen(stderr, environment)
        self.stderr = stderr
        """For a log, which writes its own lines: see `log_output`."""
        self._program = program
        self._environment = environment
        self.data: str | None = None
        """The data folder, where it was given by flag: hints name it too."""
        self.width = self._out.width
        """Columns of the terminal; None where there is none."""

    def never_wait(self) -> None:
        """From now on a reader that does not read blocks no thread of this process.

        For long-running processes: lines that do not fit are dropped and counted. Other commands
        wait.
        """
        from claude_tasks.cli.log_output import tell_of_output_gaps
        from claude_tasks.cli.outlet import take_the_place_of

        self._out.stream = take_the_place_of(self._out.stream)
        self.stderr = self._err.stream = take_the_place_of(self.stderr)
        tell_of_output_gaps(self._out.stream)

    def drain(self, seconds: float) -> None:
        """After `never_wait`: wait so long at most until standard output has been written."""
        from claude_tasks.cli.outlet import Outlet

        if isinstance(self._out.stream, Outlet):
            self._out.stream.drain(seconds)

    def result(self, result: Result) -> None:
        """Print a command's result, then its notes."""
        if result.streamed:
            pass
        elif self.as_json:
            self.value(result.data(), indent=2)
        else:
            for block in result.text():
                self._block(block)
        self._out.flush()
        for note in result.notes:
            self.note(note)

    def text(self, text: str) -> None:
        """A text of our own with its lines, such as help."""
        self._out.write(text if text.endswith("\n") else text + "\n")
        self._out.flush()

    def line(self, text: str) -> None:
        """One line of a result that comes bit by bit."""
        self._out.write(clean(text) + "\n")
        self._out.flush()

    def raw_line(self, text: str) -> None:
        """A line that is not ours, as it is where a program reads it."""
        self._out.write(text + "\n")
        self._out.flush()

    def value(self, value: Any, *, indent: int | None = None) -> None:
        """A JSON value, on one line unless indented."""
        from claude_tasks.cli.json_text import json_text

        self._out.write(json_text(value, indent=indent) + "\n")
        self._out.flush()

    def note(self, text: str) -> None:
        """Something to know, beside the data."""
        self._err.write(clean(self.called(text)) + "\n")
        self._err.flush()

    def called(self, text: str) -> str:
        """``text`` with its commands as they can be typed, also where PATH lacks this program."""
        if isinstance(text, Toned):
            return Toned(self.called(text.text), text.tone)
        if not isinstance(text, (Command, Hint)):  # there is no need to look at PATH
            return text
        return called(text, self.call)

    @property
    def call(self) -> str:
        """How this program can be started as it was, with its data folder."""
        is_found = self._program == PROGRAM or _is_on_path(self._environment)
        return self._on_this_data(PROGRAM if is_found else self._program)

    def for_this_data(self, text: str) -> str:
        """A hint for a program to read: as it is, but for the data folder that it is about."""
        return called(text, self._on_this_data(PROGRAM))

    def _on_this_data(self, program: str) -> str:
        return program if self.data is None else f"{program} --data {quoted(self.data)}"

    def error(self, error: ClaudeTasksError) -> None:
        """Why the command failed, and what helps."""
        if self.as_json:
            self._error_object(error)
            return
        label = self._err.paint("error:", "bad")
        self._err.write(f"{label} {clean(error.message)}\n")
        if error.hint:
            self._err.write(f"  {clean(self.called(error.hint))}\n")

    def _error_object(self, error: ClaudeTasksError) -> None:
        from claude_tasks.cli.json_text import json_text

        hint = None if error.hint is None else self.called(error.hint)
        value = {"error": error.message, "code": error.code, "hint": hint}
        self._err.write(json_text(value) + "\n")

    def _lines(self, lines: list[str]) -> None:
        for line in lines:
            self._out.write(f"{line}\n")

    def _block(self, block: Block) -> None:
        if isinstance(block, Raw):
            self._out.write(block.text if block.text.endswith("\n") else block.text + "\n")
        elif isinstance(block, Table):
            empty = [self.called(block.empty)]
            lines = table_lines(block, self.width, self._out.paint) if block.rows else empty
            self._lines([line for line in lines if line])
        elif isinstance(block, Pairs):
            pairs = [(label, self.called(value)) for label, value in block.pairs]
            self._lines(pair_lines(Pairs(pairs), self._out.paint))
        else:
            self._out.write(self._out.paint(clean(block), getattr(block, "tone", "")) + "\n")


def _is_on_path(environment: Mapping[str, str]) -> bool:
    folders = environment.get("PATH", "").split(os.pathsep)
    return any(folder and os.access(os.path.join(folder, PROGRAM), os.X_OK) for folder in folders)
