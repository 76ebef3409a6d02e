"""The terminal's second screen, and a first frame on it before the terminal UI is loaded."""

from __future__ import annotations

import os
import signal
import sys
import termios
from contextlib import contextmanager, suppress

from claude_tasks.text.layout import table_lines
from claude_tasks.text.task_table import task_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_tasks.cli.context import Context

_ENTER = "\x1b[?1049h\x1b[H\x1b[2J\x1b[?25l"
"""Switch to the alternate screen, clear it, hide the cursor (xterm, ctlseqs)."""
_LEAVE = "\x1b[?1049l\x1b[?25h"
_HEAD_LINES = 3
"""Lines that the UI has above its list."""


@contextmanager
def alternate_screen() -> Iterator[None]:
    """Have the second screen, and keys that are neither echoed nor taken for signals by line.

    What was before is there again afterwards, also after an error, SIGTERM or SIGHUP.
    """
    from claude_tasks.cli.exit_codes import Terminated

    def end(_number: int, _frame: object) -> None:
        raise Terminated

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    _write(_ENTER)
    try:
        quiet = termios.tcgetattr(descriptor)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
        yield
    finally:
        for number in handlers:  # asked to end already: nothing more is to be lost
            signal.signal(number, signal.SIG_IGN)
        _write(_LEAVE)
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def draw_first_frame(context: Context) -> None:
    """The tasks as ``list`` shows them, as many as there is room for."""
    columns, rows = os.get_terminal_size(sys.stderr.fileno())
    found = context.tasks.list(limit=rows)
    if not found:
        return
    table = task_table(found, (), context.zone, now=context.now())
    lines = table_lines(table, columns - 2, lambda text, _tone: text)
    shown = lines[: max(1, rows - _HEAD_LINES - 1)]
    _write(f"\x1b[{_HEAD_LINES + 1};1H" + "\r\n".join(f" {line}" for line in shown))


def _write(text: str) -> None:
    """Onto the stream that the UI draws on; a terminal that was closed takes nothing any more."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
